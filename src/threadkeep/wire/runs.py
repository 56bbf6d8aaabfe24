"""Bodies of runs, v2, and how runs and steps look. Reference: protocol sections 5 and 6.

Null means "not given" everywhere (section 13.5): the assistant's own value, or the default.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from threadkeep.assistants.model import ReasoningEffort
from threadkeep.errors import Invalid
from threadkeep.metadata import CheckedMetadata
from threadkeep.runs.model import (
    CalledFunction,
    CodeInterpreterCall,
    FileSearchCall,
    FunctionToolCall,
    NewRun,
    NewThreadAndRun,
    Run,
    RunStep,
    ToolCall,
    ToolCallsDetails,
    ToolChoiceWord,
    ToolOutput,
    ToolOutputs,
    TruncationStrategy,
)
from threadkeep.threads.model import CodeInterpreterResources, NewThread, ToolResources
from threadkeep.wire.assistants import (
    Instructions,
    Model,
    ResponseFormatBody,
    Temperature,
    ToolBody,
    TopP,
    response_format_of,
    tools_of,
)
from threadkeep.wire.base import text_of
from threadkeep.wire.shapes import CreateMessageV2, new_message
from threadkeep.wire.threads import CreateThread, Resources, new_thread, resources

B = TypeVar("B")
C = TypeVar("C")

MAX_RUN_TOOLS = 20
"""An assistant has room for more (protocol section 5.1)."""

# ---------------------------------------------------------------- what all bodies have

TokenCap = Annotated[int, Meta(ge=1)]


class TruncateAsNeeded(Struct, frozen=True, tag_field="type", tag="auto"):
    """As much as fits; a number of messages means nothing here."""

    last_messages: int | None = None


class TruncateToLast(Struct, frozen=True, tag_field="type", tag="last_messages"):
    last_messages: Annotated[int, Meta(ge=1)]


Truncation = TruncateAsNeeded | TruncateToLast


def truncation_strategy(given: Truncation | None) -> TruncationStrategy:
    if isinstance(given, TruncateToLast):
        return TruncationStrategy("last_messages", given.last_messages)
    return TruncationStrategy()


class FunctionName(Struct, frozen=True):
    name: str


class ChooseFunction(Struct, frozen=True, tag_field="type", tag="function"):
    function: FunctionName


class ChooseCode(Struct, frozen=True, tag_field="type", tag="code_interpreter"):
    """No options."""


class ChooseSearch(Struct, frozen=True, tag_field="type", tag="file_search"):
    """No options."""


ToolChoice = ToolChoiceWord | ChooseFunction | ChooseCode | ChooseSearch


def tool_choice(given: Any) -> str | dict[str, Any]:
    """A choice as the domain has it, which is as v2 answers it."""
    if given is None:
        return "auto"
    chosen: str | dict[str, Any] = msgspec.to_builtins(given)
    return chosen


class RunOptions(Struct, frozen=True, kw_only=True):
    """What creating a run takes in either version, with a thread or without."""

    assistant_id: str
    model: Model | None = None
    instructions: Instructions | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: TokenCap | None = None
    max_completion_tokens: TokenCap | None = None
    truncation_strategy: Truncation | None = None


def options(body: RunOptions) -> dict[str, Any]:
    """The part of a `NewRun` that they make."""
    return {
        "assistant_id": body.assistant_id,
        "model": body.model,
        "instructions": body.instructions,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stream": bool(body.stream),
        "max_prompt_tokens": body.max_prompt_tokens,
        "max_completion_tokens": body.max_completion_tokens,
        "truncation_strategy": truncation_strategy(body.truncation_strategy),
    }


class OneOutput(Struct, frozen=True):
    tool_call_id: str
    output: str


class SubmitToolOutputs(Struct, frozen=True, forbid_unknown_fields=True):
    tool_outputs: list[OneOutput]
    stream: bool | None = None


def submitted(body: SubmitToolOutputs) -> ToolOutputs:
    return ToolOutputs(
        [ToolOutput(one.tool_call_id, one.output) for one in body.tool_outputs], bool(body.stream)
    )


# ---------------------------------------------------------------- bodies


class RunOptionsV2(RunOptions, frozen=True, kw_only=True):
    tools: Annotated[list[ToolBody], Meta(max_length=MAX_RUN_TOOLS)] | None = None
    metadata: CheckedMetadata | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatBody | None = None


class CreateRun(RunOptionsV2, frozen=True, kw_only=True, forbid_unknown_fields=True):
    additional_instructions: Instructions | None = None
    additional_messages: list[CreateMessageV2] | None = None
    reasoning_effort: ReasoningEffort | None = None


class CreateThreadAndRun(RunOptionsV2, frozen=True, kw_only=True, forbid_unknown_fields=True):
    thread: CreateThread | None = None
    tool_resources: Resources | None = None


def options_v2(body: RunOptionsV2) -> dict[str, Any]:
    return {
        **options(body),
        "tools": None if body.tools is None else tools_of(body.tools),
        "metadata": body.metadata or {},
        "tool_choice": tool_choice(body.tool_choice),
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "response_format": None if body.response_format is None else response_format_of(body.response_format),
    }


def new_run(body: CreateRun) -> NewRun:
    return NewRun(
        **options_v2(body),
        additional_instructions=body.additional_instructions,
        additional_messages=[new_message(one) for one in body.additional_messages or []],
        reasoning_effort=body.reasoning_effort,
    )


def new_thread_and_run(body: CreateThreadAndRun) -> NewThreadAndRun:
    thread = inside("thread", new_thread, body.thread) if body.thread else NewThread()
    return NewThreadAndRun(thread, NewRun(**options_v2(body), tool_resources=resources(body.tool_resources)))


def inside(name: str, step: Callable[[B], C], body: B) -> C:
    """The command in a part of a body. What `step` finds wrong is told with its place in the whole."""
    try:
        return step(body)
    except Invalid as refusal:
        problems = (msgspec.structs.replace(one, path=(name, *one.path)) for one in refusal.problems)
        raise Invalid(*problems) from None


# ---------------------------------------------------------------- objects


def run(stored: Run) -> str:
    return text_of(msgspec.structs.replace(stored, file_ids=UNSET))


EMPTY = CodeInterpreterResources()


def run_in_stream(stored: Run) -> str:
    """Events always show the code interpreter's files, be there any or not (protocol section 5.2)."""
    shown = stored.tool_resources
    if shown.code_interpreter is UNSET:
        stored = msgspec.structs.replace(stored, tool_resources=ToolResources(EMPTY, shown.file_search))
    return run(stored)


class ShownCall(Struct, frozen=True, kw_only=True):
    """A tool call in the order of the wire, where its type does not come first."""

    id: str
    type: str
    function: CalledFunction | UnsetType = UNSET
    code_interpreter: dict[str, Any] | UnsetType = UNSET
    file_search: dict[str, Any] | UnsetType = UNSET
    retrieval: dict[str, Any] | UnsetType = UNSET
    """In v1."""


def shown(call: ToolCall) -> ShownCall:
    match call:
        case FunctionToolCall():
            return ShownCall(id=call.id, type="function", function=call.function)
        case CodeInterpreterCall():
            return ShownCall(id=call.id, type="code_interpreter", code_interpreter=call.code_interpreter)
    return ShownCall(id=call.id, type="file_search", file_search=call.file_search)


def shown_without_content(call: ToolCall) -> ShownCall:
    """Of the text that was found, only `include[]` shows any."""
    if not isinstance(call, FileSearchCall) or not call.file_search.get("results"):
        return shown(call)
    results = [
        {name: value for name, value in one.items() if name != "content"}
        for one in call.file_search["results"]
    ]
    return ShownCall(id=call.id, type="file_search", file_search={**call.file_search, "results": results})


def step(stored: RunStep) -> str:
    return text_of(with_calls(settled(stored), shown_without_content))


def step_with_content(stored: RunStep) -> str:
    return text_of(with_calls(settled(stored), shown))


def step_in_stream(stored: RunStep) -> str:
    """A step that has ended still tells when it would have expired (protocol section 6)."""
    return text_of(with_calls(complete(stored), shown_without_content))


def step_in_stream_with_content(stored: RunStep) -> str:
    return text_of(with_calls(complete(stored), shown))


def with_calls(stored: RunStep, show: Callable[[ToolCall], ShownCall]) -> RunStep:
    """A step whose calls are as they are shown: to be written, and nothing else."""
    details = stored.step_details
    if not isinstance(details, ToolCallsDetails):
        return stored
    calls: list[Any] = [show(one) for one in details.tool_calls]
    return msgspec.structs.replace(stored, step_details=ToolCallsDetails(calls))


def complete(stored: RunStep) -> RunStep:
    """With all that the published reference has (protocol section 12.2); what was used shows at the end."""
    metadata = {} if stored.metadata is UNSET else stored.metadata
    usage = None if stored.status == "in_progress" else stored.usage
    return msgspec.structs.replace(stored, metadata=metadata, usage=usage)


def settled(stored: RunStep) -> RunStep:
    """What has ended does not expire any more."""
    stored = complete(stored)
    if stored.status == "in_progress" or stored.expires_at is None:
        return stored
    return msgspec.structs.replace(stored, expires_at=None)
