"""What happens in a run, as those who watch it are told. Pure shapes; dialects write them down (`wire.sse`).

The order of events is protocol section 7. `name` is the event's name without its `thread.` prefix.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from threadkeep.messages.model import Message
from threadkeep.runs.model import Run, RunStep
from threadkeep.threads.model import Thread


class ThreadCreated(Struct, frozen=True):
    thread: Thread


class RunEvent(Struct, frozen=True):
    """`created`, or the run's new status."""

    name: Literal[
        "created",
        "queued",
        "in_progress",
        "requires_action",
        "completed",
        "incomplete",
        "failed",
        "cancelling",
        "cancelled",
        "expired",
    ]
    run: Run


class StepEvent(Struct, frozen=True):
    name: Literal["created", "in_progress", "completed", "failed", "cancelled", "expired"]
    step: RunStep


class MessageEvent(Struct, frozen=True):
    name: Literal["created", "in_progress", "completed", "incomplete"]
    message: Message


class TextDelta(Struct, frozen=True):
    """A piece of a message's text. `first` of its content part: it carries the empty annotations.
    `annotations` are those of this piece, each with its place among the part's (`index`)."""

    message_id: str
    index: int
    value: str
    first: bool = False
    refusal: bool = False
    annotations: Sequence[dict[str, Any]] = ()


class CallDelta(Struct, frozen=True):
    """A piece of a function call in a step. `id` and `name` are given in the first piece of a call only."""

    step_id: str
    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


class SearchDelta(Struct, frozen=True):
    """A search of files in a step begins; what it finds comes when the step is completed."""

    step_id: str
    index: int
    id: str
    ranking_options: dict[str, Any]


class StreamError(Struct, frozen=True):
    """The stream cannot go on; the run may."""

    message: str
    code: str | None = "server_error"


ELSEWHERE = StreamError("This process no longer works on the run, which goes on without this stream.")


class Done(Struct, frozen=True):
    """Nothing follows."""


Event = (
    ThreadCreated
    | RunEvent
    | StepEvent
    | MessageEvent
    | TextDelta
    | CallDelta
    | SearchDelta
    | StreamError
    | Done
)
