"""The events of a run told from what is stored of it: for readers whom no process tells them as they happen.

That is so where a request is repeated under its Idempotency-Key, and where this process does not work the
run itself. Order and shapes are those of a live stream (protocol section 7); text comes in one piece.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from threadkeep.engine.base import Runner
from threadkeep.engine.events import (
    ELSEWHERE,
    CallDelta,
    Done,
    Event,
    MessageEvent,
    RunEvent,
    SearchDelta,
    StepEvent,
    TextDelta,
    ThreadCreated,
)
from threadkeep.messages.model import Message, RefusalPart, TextPart
from threadkeep.runs.model import (
    FileSearchCall,
    FunctionToolCall,
    MessageCreationDetails,
    Run,
    RunStep,
    Start,
    Usage,
)

SECONDS_BETWEEN_LOOKS = 1.0
"""Steps come without a change of the run's status; of changes a reader hears at once."""
LOOKS_IN_SILENCE = 15
"""After so many without news a reader is given an empty batch."""


class Stored(Struct, frozen=True):
    """A run as it stands, its steps in their order, and the messages that they made, by id."""

    run: Run
    steps: Sequence[RunStep]
    messages: Mapping[str, Message]


# ---------------------------------------------------------------- from objects to events


def beginning(start: Start) -> list[Event]:
    """What a stream tells before anybody works the run."""
    events: list[Event] = [] if start.thread is None else [ThreadCreated(start.thread)]
    if start.step is None:
        events.append(RunEvent("created", start.run))
    else:
        events.append(StepEvent("completed", start.step))
    return [*events, RunEvent("queued", start.run)]


def retold(start: Start, stored: Stored) -> Iterator[Event]:
    """Every event from `start` to where the run stands. `Done` comes where it is over or waits for its
    client."""
    run, status = stored.run, stored.run.status
    steps = [expiring(one, start.run) for one in steps_after(start.step, stored.steps)]
    yield from beginning(start)
    if run.started_at is not None and (status != "queued" or steps):
        yield RunEvent("in_progress", at(start, run, "in_progress"))
    for step in steps:
        yield from opening(step, stored.messages)
        if step.status != "cancelled":
            yield from closing(step, stored.messages)
    if status in ("cancelling", "cancelled"):
        yield RunEvent("cancelling", at(start, run, "cancelling"))
        for step in steps:
            if step.status == "cancelled":
                yield from closing(step, stored.messages)
    if status == "requires_action" or run.is_over:
        yield RunEvent(status, run)
        yield Done()


def steps_after(step: RunStep | None, steps: Sequence[RunStep]) -> Sequence[RunStep]:
    """Those that came after a step; all where there is none."""
    ids = [one.id for one in steps]
    return steps[ids.index(step.id) + 1 :] if step is not None and step.id in ids else steps


def expiring(step: RunStep, run: Run) -> RunStep:
    """A step as events tell it: also of one that is over they say when it would have expired."""
    return msgspec.structs.replace(step, expires_at=run.expires_at)


def at(start: Start, run: Run, status: str) -> Run:
    """The run as it was when it came to a status that it has left since."""
    return msgspec.structs.replace(start.run, status=status, started_at=run.started_at)


def message_in(step: RunStep, messages: Mapping[str, Message]) -> Message | None:
    """The message that a step made; None where it makes none, or its message was deleted."""
    details = step.step_details
    return (
        messages.get(details.message_creation.message_id)
        if isinstance(details, MessageCreationDetails)
        else None
    )


def opening(step: RunStep, messages: Mapping[str, Message]) -> Iterator[Event]:
    """A step and what is in it, as it grew."""
    opened = msgspec.structs.replace(
        step,
        status="in_progress",
        completed_at=None,
        cancelled_at=None,
        failed_at=None,
        expired_at=None,
        last_error=None,
        usage=None,
    )
    yield StepEvent("created", opened)
    yield StepEvent("in_progress", opened)
    if message := message_in(step, messages):
        yield from growing(message)
    elif not isinstance(step.step_details, MessageCreationDetails):
        for index, call in enumerate(step.step_details.tool_calls):
            if isinstance(call, FunctionToolCall):
                yield CallDelta(step.id, index, call.function.arguments, call.id, call.function.name)
            elif isinstance(call, FileSearchCall):
                yield SearchDelta(step.id, index, call.id, call.file_search.get("ranking_options", {}))


def growing(message: Message) -> Iterator[Event]:
    opened = msgspec.structs.replace(
        message,
        status="in_progress",
        incomplete_details=None,
        incomplete_at=None,
        completed_at=None,
        content=[],
    )
    yield MessageEvent("created", opened)
    yield MessageEvent("in_progress", opened)
    for index, part in enumerate(message.content):
        if isinstance(part, TextPart) and part.text.value:
            annotations = [{"index": n, **one} for n, one in enumerate(part.text.annotations)]
            yield TextDelta(message.id, index, part.text.value, first=True, annotations=annotations)
        elif isinstance(part, RefusalPart) and part.refusal:
            yield TextDelta(message.id, index, part.refusal, first=True, refusal=True)


def closing(step: RunStep, messages: Mapping[str, Message]) -> Iterator[Event]:
    """How a step and its message ended, if they have."""
    if step.status == "in_progress":
        return
    message = message_in(step, messages)
    if message and message.status != "in_progress":
        yield MessageEvent(message.status, message)
    yield StepEvent(step.status, step)


def sign_of(event: Event) -> tuple[str, ...]:
    """By what an event is known again: each is told once in a stream."""
    kind = type(event).__name__
    match event:
        case RunEvent():
            return (kind, event.name)
        case StepEvent():
            return (kind, event.name, event.step.id)
        case MessageEvent():
            return (kind, event.name, event.message.id)
        case TextDelta():
            return (kind, event.message_id, str(event.index))
        case CallDelta() | SearchDelta():
            return (kind, event.step_id, str(event.index))
    return (kind,)


# ---------------------------------------------------------------- following a run


class Follower:
    """The `Watch` of a run that another process may work: it looks at what is stored, again and again."""

    def __init__(self, start: Start, runner: Runner, look: Callable[[], Awaitable[Stored | None]]) -> None:
        self._start, self._runner, self._look = start, runner, look
        self._last = Stored(start.run, [], {})
        self._told: set[tuple[str, ...]] = set()
        self._closed = False

    def tell(self, event: Event) -> None:
        """Nobody tells it anything: it finds out by itself."""

    def close(self) -> None:
        self._closed = True

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        silence = 0
        while not self._closed:
            news = await self._news()
            silence = 0 if news else silence + 1
            if news or silence % LOOKS_IN_SILENCE == 0:
                yield news
            if news and isinstance(news[-1], Done):
                return
            last = self._last.run
            if not await self._runner.change(last.id, last.status, SECONDS_BETWEEN_LOOKS):
                yield [ELSEWHERE, Done()]
                return

    async def _news(self) -> list[Event]:
        """What was not told yet."""
        stored = await self._look()
        self._last = stored or gone(self._last)
        news = [event for event in retold(self._start, self._last) if sign_of(event) not in self._told]
        self._told.update(map(sign_of, news))
        return news


def gone(last: Stored) -> Stored:
    """A run that was deleted with its thread: it was cancelled (protocol section 12.7)."""
    usage = sum((step.usage for step in last.steps if step.usage), Usage())
    over = msgspec.structs.replace(
        last.run, status="cancelled", expires_at=None, required_action=None, usage=usage
    )
    return Stored(last.run if last.run.is_over else over, last.steps, last.messages)
