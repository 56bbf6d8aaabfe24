"""The events of one run on their way to one reader, who may be as slow as it likes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from io import StringIO

from threadkeep.engine.events import CallDelta, Done, Event, TextDelta

SECONDS_OF_SILENCE = 15.0
"""After so long without an event the reader is given an empty batch."""
MOST_APART = 64
"""So many events wait as they came; from then on pieces of one text are joined."""


class Feed:
    """The `Watch` of one reader.

    What waits unread is kept in little: once there is much of it, consecutive pieces of one text, or of one
    call's arguments, are joined. So a reader that stands still costs little more memory than the run's own
    text, and a reader that keeps up is given each piece as it came.
    """

    __slots__ = ("_alarm", "_closed", "_ended", "_heard_at", "_joined", "_read_all", "_reader", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._joined: StringIO | None = None
        """What the last event that waits says, where it is made of several."""
        self._reader: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._ended = self._read_all = self._closed = False

    # -------------------------------------------------------------- the run's side

    def tell(self, event: Event) -> None:
        if self._ended or self._closed:
            return
        waiting = self._waiting
        if waiting:
            if len(waiting) >= MOST_APART and self._join(waiting[-1], event):
                return
            self._settle()
        waiting.append(event)
        if type(event) is Done:
            self._ended = True
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    def _join(self, last: Event, event: Event) -> bool:
        """Add a piece to the one before it, if they belong together."""
        if type(event) is TextDelta:
            if (
                type(last) is not TextDelta
                or last.message_id != event.message_id
                or last.index != event.index
                or last.refusal != event.refusal
                or last.annotations
                or event.annotations
            ):
                return False
            before, piece = last.value, event.value
        elif type(event) is CallDelta:
            if (
                type(last) is not CallDelta
                or event.id is not None
                or last.step_id != event.step_id
                or last.index != event.index
            ):
                return False
            before, piece = last.arguments, event.arguments
        else:
            return False
        if self._joined is None:
            self._joined = StringIO()
            self._joined.write(before)
        self._joined.write(piece)
        return True

    def _settle(self) -> None:
        """Make one event of the last one's pieces."""
        if self._joined is None:
            return
        text, last = self._joined.getvalue(), self._waiting[-1]
        self._joined = None
        if type(last) is TextDelta:
            self._waiting[-1] = TextDelta(last.message_id, last.index, text, last.first, last.refusal)
        elif type(last) is CallDelta:
            self._waiting[-1] = CallDelta(last.step_id, last.index, text, last.id, last.name)

    # -------------------------------------------------------------- the reader's side

    def batches(self) -> AsyncIterator[Sequence[Event]]:
        return self

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Sequence[Event]:
        if self._read_all:
            self.close()
        if self._closed:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        if self._alarm is None:
            self._alarm = loop.call_later(SECONDS_OF_SILENCE, self._ring, loop)
        if not self._waiting:
            self._reader = loop.create_future()
            await self._reader
            self._reader = None
            if self._closed:
                raise StopAsyncIteration
        self._heard_at = loop.time()
        self._settle()
        batch, self._waiting = self._waiting, []
        self._read_all = self._ended
        return batch

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake a reader that has heard nothing for long. One timer does for the whole stream: when it rings,
        it looks at when it should have."""
        now = loop.time()
        if now - self._heard_at >= SECONDS_OF_SILENCE:
            self._heard_at = now  # or, with a reader that is busy, not yet
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)
        self._alarm = loop.call_at(self._heard_at + SECONDS_OF_SILENCE, self._ring, loop)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._waiting, self._joined = [], None
        if self._alarm is not None:
            self._alarm.cancel()
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
