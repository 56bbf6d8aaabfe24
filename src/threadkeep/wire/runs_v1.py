"""Runs in v1, over the same rows. Reference: protocol sections 1.7, 5 and 6.

There is no status `incomplete`: such a run is completed, and `incomplete_details` says the rest.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct

from threadkeep.metadata import Metadata
from threadkeep.runs.model import (
    CodeInterpreterCall,
    FileSearchCall,
    FunctionToolCall,
    IncompleteRun,
    LastError,
    MessageCreationDetails,
    NewRun,
    NewThreadAndRun,
    RequiredAction,
    Run,
    RunStep,
    ToolCall,
    TruncationStrategy,
    Usage,
)
from threadkeep.threads.model import NewThread
from threadkeep.wire.assistants import Instructions
from threadkeep.wire.assistants_v1 import (
    ResponseFormatBody,
    ToolBody,
    ToolV1,
    response_format_of,
    tools_of,
    tools_v1,
)
from threadkeep.wire.base import text_of
from threadkeep.wire.runs import (
    MAX_RUN_TOOLS,
    ChooseCode,
    ChooseFunction,
    RunOptions,
    ShownCall,
    complete,
    inside,
    options,
    settled,
    shown,
    tool_choice,
    with_calls,
)
from threadkeep.wire.threads_v1 import (
    CreateMessage,
    CreateThread,
    V1Metadata,
    new_message,
    new_thread,
    strings,
)

# ---------------------------------------------------------------- bodies


class ChooseRetrieval(Struct, frozen=True, tag_field="type", tag="retrieval"):
    """What v2 calls `file_search`."""


ToolChoice = Literal["none", "auto"] | ChooseFunction | ChooseCode | ChooseRetrieval
SEARCH_CHOICE = {"type": "file_search"}
RETRIEVAL_CHOICE = {"type": "retrieval"}


class RunOptionsV1(RunOptions, frozen=True, kw_only=True):
    tools: Annotated[list[ToolBody], Meta(max_length=MAX_RUN_TOOLS)] | None = None
    metadata: V1Metadata | None = None
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormatBody | None = None


class CreateRun(RunOptionsV1, frozen=True, kw_only=True, forbid_unknown_fields=True):
    additional_instructions: Instructions | None = None
    additional_messages: list[CreateMessage] | None = None


class CreateThreadAndRun(RunOptionsV1, frozen=True, kw_only=True, forbid_unknown_fields=True):
    thread: CreateThread | None = None


def options_v1(body: RunOptionsV1) -> dict[str, Any]:
    """v1 ran threads without a word in them, too."""
    chosen = body.tool_choice
    return {
        **options(body),
        "tools": None if body.tools is None else tools_of(body.tools),
        "metadata": strings(body.metadata) or {},
        "tool_choice": SEARCH_CHOICE if isinstance(chosen, ChooseRetrieval) else tool_choice(chosen),
        "response_format": None if body.response_format is None else response_format_of(body.response_format),
        "needs_something_to_say": False,
    }


def new_run(body: CreateRun) -> NewRun:
    messages = enumerate(body.additional_messages or [])
    return NewRun(
        **options_v1(body),
        additional_instructions=body.additional_instructions,
        additional_messages=[new_message(one, ("additional_messages", index)) for index, one in messages],
    )


def new_thread_and_run(body: CreateThreadAndRun) -> NewThreadAndRun:
    thread = inside("thread", new_thread, body.thread) if body.thread else NewThread()
    return NewThreadAndRun(thread, NewRun(**options_v1(body)))


# ---------------------------------------------------------------- runs


class UsageV1(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage_v1(usage: Usage | None) -> UsageV1 | None:
    if usage is None:
        return None
    return UsageV1(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


class RunV1(Struct, frozen=True, kw_only=True):
    """A run as v1 shows it, in the order of late v1."""

    id: str
    object: Literal["thread.run"]
    created_at: int
    assistant_id: str
    thread_id: str
    status: Literal[
        "queued",
        "in_progress",
        "requires_action",
        "cancelling",
        "cancelled",
        "failed",
        "completed",
        "expired",
    ]
    started_at: int | None
    expires_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    required_action: RequiredAction | None
    last_error: LastError | None
    model: str
    instructions: str | None
    tools: list[ToolV1]
    file_ids: list[str]
    metadata: Metadata
    temperature: float
    top_p: float
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    truncation_strategy: TruncationStrategy
    incomplete_details: IncompleteRun | None
    usage: UsageV1 | None
    response_format: str | dict[str, Any]
    tool_choice: str | dict[str, Any]


TRANSLATED = {"status", "tools", "file_ids", "usage", "response_format", "tool_choice"}
AS_IN_V2 = [name for name in RunV1.__struct_fields__ if name not in TRANSLATED]
NAMES = {"incomplete": "completed"}
"""Statuses, and the events of runs, that v1 calls something else."""


def run(stored: Run) -> str:
    return text_of(
        RunV1(
            status=NAMES.get(stored.status, stored.status),  # type: ignore[arg-type]  # mypy sees a plain str
            tools=tools_v1(stored.tools),
            file_ids=stored.tool_resources.code_files() if stored.file_ids is UNSET else stored.file_ids,
            usage=usage_v1(stored.usage),
            response_format=response_format_v1(stored.response_format),
            tool_choice=tool_choice_v1(stored.tool_choice),
            **{name: getattr(stored, name) for name in AS_IN_V2},
        )
    )


def response_format_v1(format: str | dict[str, Any]) -> str | dict[str, Any]:
    """v1 has no word for schemas."""
    return "auto" if isinstance(format, dict) and format.get("type") == "json_schema" else format


def tool_choice_v1(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    """v1 has no word for `required`."""
    if choice == "required":
        return "auto"
    return RETRIEVAL_CHOICE if choice == SEARCH_CHOICE else choice


# ---------------------------------------------------------------- steps


class RetrievalCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="retrieval"):
    id: str
    retrieval: dict[str, Any] = {}


class ToolCallsV1(Struct, frozen=True, tag_field="type", tag="tool_calls"):
    tool_calls: list[FunctionToolCall | CodeInterpreterCall | RetrievalCall]


class RunStepV1(Struct, frozen=True, kw_only=True):
    """A step as v1 shows it."""

    id: str
    object: Literal["thread.run.step"]
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: Literal["in_progress", "cancelled", "failed", "completed", "expired"]
    cancelled_at: int | None
    completed_at: int | None
    expires_at: int | None
    expired_at: int | None
    failed_at: int | None
    last_error: LastError | None
    step_details: MessageCreationDetails | ToolCallsV1
    usage: UsageV1 | None
    metadata: Metadata


STEP_AS_IN_V2 = [name for name in RunStepV1.__struct_fields__ if name != "usage"]


def step(stored: RunStep) -> str:
    return step_in_stream(settled(stored))


def step_in_stream(stored: RunStep) -> str:
    stored = with_calls(complete(stored), shown_v1)
    values: dict[str, Any] = {name: getattr(stored, name) for name in STEP_AS_IN_V2}
    return text_of(RunStepV1(usage=usage_v1(stored.usage), **values))


def shown_v1(call: ToolCall) -> ShownCall:
    """What a search has found was never shown."""
    if isinstance(call, FileSearchCall):
        return ShownCall(id=call.id, type="retrieval", retrieval={})
    return shown(call)
