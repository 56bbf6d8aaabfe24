"""One turn of a model: how what it says becomes a message and steps, and what of that is told.

What is told while the turn goes on is protocol section 7 up to the last delta. How a turn ends is told by
its `Closing`, once that is written down.
"""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, Literal

import msgspec
from msgspec import Struct

from threadkeep.engine.citations import Citer, Sources
from threadkeep.engine.events import CallDelta, Event, MessageEvent, SearchDelta, StepEvent, TextDelta
from threadkeep.ids import IdMaker
from threadkeep.messages.model import IncompleteDetails, Message, Part, RefusalPart, Text, TextPart
from threadkeep.providers.base import Call
from threadkeep.runs.model import (
    CalledFunction,
    FileSearchCall,
    FunctionCall,
    FunctionToolCall,
    LastError,
    MessageCreation,
    MessageCreationDetails,
    RequiredCall,
    Run,
    RunStep,
    ToolCall,
    ToolCallsDetails,
    Usage,
)

Tell = Callable[[Event], None]
Results = list[dict[str, Any]] | None
"""What a search has found, as steps show it; None where there is no room for any of that."""
StepEnd = Literal["completed", "cancelled", "failed", "expired"]


class Ending(Struct, frozen=True):
    """How a turn ends: why its message is incomplete, if it is, and what becomes of its steps."""

    step: StepEnd
    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"] | None
    error: LastError | None = None


COMPLETED = Ending("completed", None)
CUT_OFF = Ending("completed", "max_tokens")
FILTERED = Ending("completed", "content_filter")
CANCELLED = Ending("cancelled", "run_cancelled")
EXPIRED = Ending("expired", "run_expired")


def failed(error: LastError) -> Ending:
    return Ending("failed", "run_failed", error)


class Closing(Struct, frozen=True):
    """What is to be written down at the end of a turn, and told after that."""

    messages: Sequence[Message] = ()
    steps: Sequence[RunStep] = ()
    events: Sequence[Event] = ()


def ended(step: RunStep, ending: Ending, now: int, usage: Usage | None = None) -> RunStep:
    """A step at its end. `usage` is the turn's, where the step is its last one."""
    return msgspec.structs.replace(
        step,
        status=ending.step,
        last_error=ending.error,
        usage=usage or step.usage or Usage(),
        **{f"{ending.step}_at": now},
    )


def stored(step: RunStep) -> RunStep:
    """A step as it is kept: one that is over does not expire any more, though its last event says when it
    would have."""
    return step if step.status == "in_progress" else msgspec.structs.replace(step, expires_at=None)


class OpenPart:
    """A part of a message while it is spoken; `citer` finds what its text cites, where that may be."""

    __slots__ = ("citer", "is_refusal", "text")

    def __init__(self, is_refusal: bool, sources: Sources | None) -> None:
        self.is_refusal, self.text = is_refusal, StringIO()
        self.citer = Citer(sources) if sources and not is_refusal else None

    def content(self) -> Part:
        value = self.text.getvalue()
        if self.is_refusal:
            return RefusalPart(value)
        return TextPart(Text(value, list(self.citer.annotations) if self.citer else []))


class OpenMessage:
    """A message while it is spoken."""

    __slots__ = ("message", "parts", "step")

    def __init__(self, message: Message, step: RunStep) -> None:
        self.message, self.step = message, step
        self.parts: list[OpenPart] = []

    def content(self) -> list[Part]:
        return [part.content() for part in self.parts]

    def held(self) -> list[TextDelta]:
        """What is still to be told of the parts: a beginning of a marker that did not become one."""
        return [
            TextDelta(self.message.id, index, held, first=held == part.text.getvalue())
            for index, part in enumerate(self.parts)
            if part.citer and (held := part.citer.held)
        ]


class OpenCall:
    """A call while its arguments are written. One with `ranking` is a search that the server carries out:
    `results` are what it has found."""

    __slots__ = ("arguments", "id", "name", "place", "ranking", "results")

    def __init__(self, id: str, name: str, place: int, ranking: dict[str, Any] | None) -> None:
        self.id, self.name, self.place, self.ranking = id, name, place, ranking
        self.arguments = StringIO()
        self.results: Results = []

    def so_far(self) -> ToolCall:
        arguments = self.arguments.getvalue()
        if self.ranking is None:
            return FunctionToolCall(id=self.id, function=CalledFunction(self.name, arguments))
        search = {"ranking_options": self.ranking, "results": self.results or []}
        no_room = self.results is None
        return FileSearchCall(id=self.id, file_search=search, arguments=arguments, no_room=no_room)


class Searchable(Struct, frozen=True):
    """How the model calls the search of files; what it was shown of them before."""

    name: str
    ranking: dict[str, Any]
    sources: Sources | None


class Turn:
    """What the model has said so far in one turn of a run. `tell` is None where nobody watches,
    `search` where no files can be searched."""

    def __init__(
        self,
        run: Run,
        new_id: IdMaker,
        now: Callable[[], int],
        tell: Tell | None,
        search: Searchable | None = None,
    ) -> None:
        self._run, self._new_id, self._now = run, new_id, now
        self._search = search
        self._sources = search.sources if search else None
        self._tell = tell
        self._message: OpenMessage | None = None
        self._step_of_calls: RunStep | None = None
        self._calls: dict[int, OpenCall] = {}
        self.has_spoken = False
        """Whether it has made a message or a call."""
        self.usage: Usage | None = None

    # -------------------------------------------------------------- what comes from the model

    def say(self, value: str, refusal: bool = False) -> None:
        """A piece of text."""
        if not value:
            return
        message = self._message or self._begin_message()
        parts = message.parts
        first = not parts or parts[-1].is_refusal is not refusal
        if first:
            parts.append(OpenPart(refusal, self._sources))
        part = parts[-1]
        part.text.write(value)
        if part.citer is not None:
            self._say_cited(message, part, part.citer, value)
        elif self._tell is not None:
            self._tell(TextDelta(message.message.id, len(parts) - 1, value, first, refusal))

    def _say_cited(self, message: OpenMessage, part: OpenPart, citer: Citer, value: str) -> None:
        """A piece of a text that may cite something."""
        first = len(citer.held) + len(value) == part.text.tell()
        index = len(citer.annotations)
        for text, annotation in citer.take(value):
            annotations: tuple[dict[str, Any], ...] = ()
            if annotation is not None:
                annotations = ({"index": index, **annotation},)
                index += 1
            if self._tell is not None:
                place = len(message.parts) - 1
                self._tell(TextDelta(message.message.id, place, text, first, False, annotations))
            first = False

    def say_nothing(self) -> None:
        """An answer without a word is a message all the same."""
        (self._message or self._begin_message()).parts.append(OpenPart(False, None))

    @property
    def has_message(self) -> bool:
        """Whether a message is open, which must be closed before a call is told of."""
        return self._message is not None

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    @property
    def waits_for_client(self) -> bool:
        """Whether a call is the client's to carry out."""
        return any(call.ranking is None for call in self._calls.values())

    def searches(self) -> dict[str, str]:
        """The arguments of each search, by the id of its call."""
        return {
            call.id: call.arguments.getvalue() for call in self._calls.values() if call.ranking is not None
        }

    def answer(self, found: Mapping[str, Results]) -> None:
        """Searches have found these results, by the ids of their calls."""
        for call in self._calls.values():
            call.results = found.get(call.id, call.results)

    def call(self, piece: Call) -> None:
        """A piece of a function call."""
        step = self._step_of_calls or self._begin_calls()
        call = self._calls.get(piece.index)
        id = name = None
        if call is None:
            taken = {one.id for one in self._calls.values()}
            id = piece.id if piece.id and piece.id not in taken else self._new_id("call_")
            name = piece.name or ""
            search = self._search
            ranking = search.ranking if search and search.name == name else None
            call = self._calls[piece.index] = OpenCall(id, name, len(self._calls), ranking)
        call.arguments.write(piece.arguments)
        if self._tell is None:
            return
        if call.ranking is None:
            self._tell(CallDelta(step.id, call.place, piece.arguments, id, name))
        elif id is not None:
            self._tell(SearchDelta(step.id, call.place, id, call.ranking))

    def _begin_message(self) -> OpenMessage:
        run, now = self._run, self._now()
        message = Message(
            id=self._new_id("msg_"),
            created_at=now,
            assistant_id=run.assistant_id,
            thread_id=run.thread_id,
            run_id=run.id,
            status="in_progress",
            role="assistant",
            content=[],
        )
        step = self._begin_step("message_creation", MessageCreationDetails(MessageCreation(message.id)))
        self._message = OpenMessage(message, step)
        if self._tell is not None:
            self._tell(MessageEvent("created", message))
            self._tell(MessageEvent("in_progress", message))
        return self._message

    def _begin_calls(self) -> RunStep:
        self._step_of_calls = self._begin_step("tool_calls", ToolCallsDetails([]))
        return self._step_of_calls

    def _begin_step(
        self,
        type: Literal["message_creation", "tool_calls"],
        details: MessageCreationDetails | ToolCallsDetails,
    ) -> RunStep:
        run = self._run
        step = RunStep(
            id=self._new_id("step_"),
            created_at=self._now(),
            run_id=run.id,
            assistant_id=run.assistant_id,
            thread_id=run.thread_id,
            type=type,
            expires_at=run.expires_at,
            step_details=details,
        )
        self.has_spoken = True
        if self._tell is not None:
            self._tell(StepEvent("created", step))
            self._tell(StepEvent("in_progress", step))
        return step

    # -------------------------------------------------------------- how it ends

    def closed(self, ending: Ending) -> Closing:
        """Everything that is open, ended in the same way. Nothing changes here: what cannot be written down
        may end otherwise."""
        now, open_calls = self._now(), self._calls_so_far()
        message = self._closed_message(ending, now, None if open_calls else self.usage)
        if open_calls is None:
            return message
        step = ended(open_calls, ending, now, self.usage)
        return Closing(
            message.messages, [*message.steps, step], [*message.events, StepEvent(ending.step, step)]
        )

    def waiting(self) -> Closing:
        """The message, if one is open, completed; the calls as the client is to see them."""
        step = self._calls_so_far()
        assert step is not None
        message = self._closed_message(COMPLETED, self._now(), None)
        step = msgspec.structs.replace(step, usage=self.usage or Usage())
        return Closing(message.messages, [*message.steps, step], message.events)

    def closed_message(self) -> Closing:
        """The message, completed before the turn goes on with a call."""
        return self._closed_message(COMPLETED, self._now(), None)

    def message_is_written(self) -> None:
        """What comes now belongs to another message."""
        self._message = None

    def required_calls(self) -> list[RequiredCall]:
        """What the client is asked to carry out."""
        return [
            RequiredCall(id=call.id, function=FunctionCall(call.name, call.arguments.getvalue()))
            for call in self._calls.values()
            if call.ranking is None
        ]

    def _closed_message(self, ending: Ending, now: int, usage: Usage | None) -> Closing:
        if self._message is None:
            return Closing()
        incomplete = ending.reason is not None
        message = msgspec.structs.replace(
            self._message.message,
            content=self._message.content(),
            status="incomplete" if incomplete else "completed",
            incomplete_details=IncompleteDetails(ending.reason) if ending.reason else None,
            **{"incomplete_at" if incomplete else "completed_at": now},
        )
        step = ended(self._message.step, ending, now, usage)
        told = MessageEvent("incomplete" if incomplete else "completed", message)
        return Closing([message], [step], [*self._message.held(), told, StepEvent(ending.step, step)])

    def _calls_so_far(self) -> RunStep | None:
        if self._step_of_calls is None:
            return None
        calls = [call.so_far() for call in self._calls.values()]
        return msgspec.structs.replace(self._step_of_calls, step_details=ToolCallsDetails(calls))
