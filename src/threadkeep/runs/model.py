"""Runs and their steps, in the form that OpenAI v2 serves them, and how a run may move.

Reference: protocol sections 5 and 6. The order of fields is the order on the wire.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.assistants.model import AssistantTool, ReasoningEffort, ResponseFormat
from threadkeep.metadata import Metadata
from threadkeep.threads.model import ToolResources

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


class Job(Struct, frozen=True, kw_only=True):
    """What a run is worked with besides its public form; stored beside it."""

    virtual_key: str | None = None
    """The id of the virtual key that its models are reached with."""
    include_search_content: bool = False


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
    id: str
    file_search: dict[str, Any]


ToolCall = FunctionToolCall | CodeInterpreterCall | FileSearchCall


class ToolCallsDetails(Struct, frozen=True, tag_field="type", tag="tool_calls"):
    tool_calls: list[ToolCall]


StepDetails = MessageCreationDetails | ToolCallsDetails


class RunStep(Struct, frozen=True, kw_only=True):
    """One step of a run. The calls of one turn of the model are one step."""

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


run_of = msgspec.json.Decoder(Run).decode
"""The run in a stored body; likewise the others."""
step_of = msgspec.json.Decoder(RunStep).decode
job_of = msgspec.json.Decoder(Job).decode


def text_of(value: Struct) -> str:
    """The JSON text that is stored."""
    return msgspec.json.encode(value).decode()
