"""Runs and their steps, in the form that OpenAI v2 serves them, and how a run may move.

Reference: protocol sections 5 and 6. The order of fields is the order on the wire.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.assistants.model import (
    AssistantTool,
    ReasoningEffort,
    ResponseFormat,
    StoredAssistant,
    assistant_of,
)
from threadkeep.messages.model import NewMessage
from threadkeep.metadata import Metadata
from threadkeep.threads.model import NewThread, Thread, ToolResources

Status = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]
MOVES: dict[Status, frozenset[Status]] = {
    "queued": frozenset({"in_progress", "cancelling", "failed", "expired"}),
    "in_progress": frozenset(
        {"requires_action", "cancelling", "completed", "incomplete", "failed", "expired"}
    ),
    "requires_action": frozenset({"queued", "cancelling", "expired"}),
    "cancelling": frozenset({"cancelled", "expired"}),
    "cancelled": frozenset(),
    "failed": frozenset(),
    "completed": frozenset(),
    "incomplete": frozenset(),
    "expired": frozenset(),
}
"""Every legal move (protocol section 5.3). The database refuses any other: see the triggers on `runs`."""
TERMINAL = frozenset(status for status, onward in MOVES.items() if not onward)
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class IllegalMove(Exception):
    """A run was to be moved in a way that the table of moves does not have."""


class FunctionCall(Struct, frozen=True):
    """`arguments` is JSON text as the model wrote it, which is not always JSON."""

    name: str
    arguments: str


class RequiredCall(Struct, frozen=True, kw_only=True):
    """A call that the client is asked to carry out."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class SubmitToolOutputs(Struct, frozen=True):
    tool_calls: list[RequiredCall]


class RequiredAction(Struct, frozen=True, kw_only=True):
    type: Literal["submit_tool_outputs"] = "submit_tool_outputs"
    submit_tool_outputs: SubmitToolOutputs


class LastError(Struct, frozen=True):
    code: ErrorCode
    message: str


ToolChoiceWord = Literal["none", "auto", "required"]


class TruncationStrategy(Struct, frozen=True):
    type: Literal["auto", "last_messages"] = "auto"
    last_messages: int | None = None


class IncompleteRun(Struct, frozen=True):
    reason: Literal["max_completion_tokens", "max_prompt_tokens"]


class CachedTokens(Struct, frozen=True):
    cached_tokens: int = 0


class ReasoningTokens(Struct, frozen=True):
    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """Tokens; the singular `prompt_token_details` is the service's."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_token_details: CachedTokens = CachedTokens()
    completion_tokens_details: ReasoningTokens = ReasoningTokens()

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
            CachedTokens(self.prompt_token_details.cached_tokens + other.prompt_token_details.cached_tokens),
            ReasoningTokens(
                self.completion_tokens_details.reasoning_tokens
                + other.completion_tokens_details.reasoning_tokens
            ),
        )


class Run(Struct, frozen=True, kw_only=True):
    """One run. Times are whole seconds since 1970."""

    id: str
    object: Literal["thread.run"] = "thread.run"
    created_at: int
    assistant_id: str
    thread_id: str
    status: Status = "queued"
    started_at: int | None = None
    expires_at: int | None = None
    cancelled_at: int | None = None
    failed_at: int | None = None
    completed_at: int | None = None
    required_action: RequiredAction | None = None
    last_error: LastError | None = None
    model: str
    instructions: str | None = None
    tools: list[AssistantTool] = []
    tool_resources: ToolResources = ToolResources()
    file_ids: list[str] | UnsetType = UNSET
    """The files that v1 had given the assistant when the run was made, if any: for v1 alone."""
    metadata: Metadata = {}
    temperature: float = 1.0
    top_p: float = 1.0
    reasoning_effort: ReasoningEffort | None = None
    max_completion_tokens: int | None = None
    max_prompt_tokens: int | None = None
    truncation_strategy: TruncationStrategy = TruncationStrategy()
    incomplete_details: IncompleteRun | None = None
    usage: Usage | None = None
    response_format: ResponseFormat = "auto"
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL


def moved(run: Run, status: Status, **changes: Any) -> Run:
    """The run after a move, with other fields changed as given. Raises `IllegalMove`."""
    if status not in MOVES[run.status]:
        raise IllegalMove(f"{run.id}: {run.status} -> {status}")
    if status in TERMINAL:
        changes = {"expires_at": None, "required_action": None, **changes}
    return msgspec.structs.replace(run, status=status, **changes)


# ---------------------------------------------------------------- what clients ask for


class NewRun(Struct, frozen=True, kw_only=True):
    """A run to be made. None stands for the assistant's own value."""

    assistant_id: str
    model: str | None = None
    instructions: str | None = None
    additional_instructions: str | None = None
    additional_messages: list[NewMessage] = []
    tools: list[AssistantTool] | None = None
    tool_resources: ToolResources = ToolResources()
    """Given to this run's tools beside the assistant's and the thread's; of create thread and run only."""
    metadata: Metadata = {}
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation_strategy: TruncationStrategy = TruncationStrategy()
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None
    stream: bool = False
    needs_something_to_say: bool = True
    """Whether a thread without a user message and an assistant without instructions are refused."""


def created(new: NewRun, stored: StoredAssistant, id: str, thread_id: str, now: int, expires_at: int) -> Run:
    """The run that a client asked for, with the assistant's values where it gave none of its own."""
    assistant = assistant_of(stored.body)
    said = assistant.instructions if new.instructions is None else new.instructions
    return Run(
        id=id,
        created_at=now,
        assistant_id=assistant.id,
        thread_id=thread_id,
        expires_at=expires_at,
        model=new.model or assistant.model,
        instructions="\n".join(filter(None, (said, new.additional_instructions))) or said,
        tools=assistant.tools if new.tools is None else new.tools,
        tool_resources=new.tool_resources,
        file_ids=stored.file_ids or UNSET,
        metadata=new.metadata,
        temperature=assistant.temperature if new.temperature is None else new.temperature,
        top_p=assistant.top_p if new.top_p is None else new.top_p,
        reasoning_effort=new.reasoning_effort or assistant.reasoning_effort,
        max_completion_tokens=new.max_completion_tokens,
        max_prompt_tokens=new.max_prompt_tokens,
        truncation_strategy=new.truncation_strategy,
        response_format=assistant.response_format if new.response_format is None else new.response_format,
        tool_choice=new.tool_choice,
        parallel_tool_calls=new.parallel_tool_calls,
    )


class NewThreadAndRun(Struct, frozen=True):
    """A thread to be made together with a run on it."""

    thread: NewThread
    run: NewRun


class ToolOutput(Struct, frozen=True):
    """What a client's function answered to one call."""

    tool_call_id: str
    output: str


class ToolOutputs(Struct, frozen=True):
    """The outputs of all calls that a run waits for."""

    outputs: list[ToolOutput]
    stream: bool = False


class Start(Struct, frozen=True):
    """How a run set out, or set out again: what a stream of it begins with.

    `run` is queued; `thread` was made with it; `step` is the one that was completed by tool outputs. Steps
    show what searches of files found where whoever made the run asked for that.
    """

    run: Run
    thread: Thread | None = None
    step: "RunStep | None" = None
    include_search_content: bool = False


# ---------------------------------------------------------------- working a run


class Job(Struct, frozen=True, kw_only=True):
    """What a run is worked with besides its public form; stored beside it."""

    virtual_key: str | None = None
    """The id of the virtual key that its models are reached with."""
    include_search_content: bool = False
    """Whether streams of it show what searches of files found."""


class Claim(Struct, frozen=True):
    """The right to work one run, until another process takes it."""

    run_id: str
    owner: str
    attempt: int


# ---------------------------------------------------------------- steps


class MessageCreation(Struct, frozen=True):
    message_id: str


class MessageCreationDetails(Struct, frozen=True, tag_field="type", tag="message_creation"):
    message_creation: MessageCreation


class CalledFunction(Struct, frozen=True):
    """`output` is null until the client has handed it in."""

    name: str
    arguments: str
    output: str | None = None


class FunctionToolCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    id: str
    function: CalledFunction


class CodeInterpreterCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="code_interpreter"):
    id: str
    code_interpreter: dict[str, Any]


class FileSearchCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="file_search"):
    """`arguments` is what the model asked for, as JSON text, and `no_room` whether something was found but
    nothing of it fits into the prompt; no dialect shows either."""

    id: str
    file_search: dict[str, Any]
    arguments: str = ""
    no_room: bool = False


ToolCall = FunctionToolCall | CodeInterpreterCall | FileSearchCall


class ToolCallsDetails(Struct, frozen=True, tag_field="type", tag="tool_calls"):
    tool_calls: list[ToolCall]


StepDetails = MessageCreationDetails | ToolCallsDetails


class RunStep(Struct, frozen=True, kw_only=True):
    """One step of a run. The calls of one turn of the model are one step.

    `expires_at` stays as it is when the step ends: events show it, dialects leave it out elsewhere.
    """

    id: str
    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: Literal["in_progress", "cancelled", "failed", "completed", "expired"] = "in_progress"
    cancelled_at: int | None = None
    completed_at: int | None = None
    expires_at: int | None = None
    expired_at: int | None = None
    failed_at: int | None = None
    last_error: LastError | None = None
    step_details: StepDetails
    usage: Usage | None = None
    metadata: Metadata | UnsetType = UNSET


def completed_by(step: RunStep, given: ToolOutputs, now: int) -> RunStep:
    """A step of function calls with what the client's functions answered."""
    outputs = {one.tool_call_id: one.output for one in given.outputs}
    calls = step.step_details.tool_calls if isinstance(step.step_details, ToolCallsDetails) else []
    details = ToolCallsDetails([answered(call, outputs) for call in calls])
    return msgspec.structs.replace(step, status="completed", completed_at=now, step_details=details)


def answered(call: ToolCall, outputs: Mapping[str, str]) -> ToolCall:
    if not isinstance(call, FunctionToolCall) or call.id not in outputs:
        return call
    return msgspec.structs.replace(
        call, function=msgspec.structs.replace(call.function, output=outputs[call.id])
    )


run_of = msgspec.json.Decoder(Run).decode
"""The run in a stored body; likewise the others."""
step_of = msgspec.json.Decoder(RunStep).decode
job_of = msgspec.json.Decoder(Job).decode
start_of = msgspec.json.Decoder(Start).decode


def text_of(value: Struct) -> str:
    """The JSON text that is stored."""
    return msgspec.json.encode(value).decode()
