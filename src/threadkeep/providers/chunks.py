"""A chat completion as it arrives: bytes in, pieces out.

This runs once for every piece that a model writes, so only what `providers.completion` names is decoded and
everything else in a chunk is skipped. It takes what servers of this API really send: the form that OpenAI
published, and their departures from it, which the comments name.
"""

from typing import Any

from threadkeep.providers.base import Finish, Piece, Refusal, Text, Used
from threadkeep.providers.calls import Calls
from threadkeep.providers.completion import (
    FINISHES,
    CallDelta,
    Chunk,
    Malformed,
    UsageSaid,
    decoded,
    joined,
    shown,
    usage_of,
)
from threadkeep.providers.halves import Halves, mended

MOST_HELD = 16 * 1024 * 1024
"""Bytes of one line, or of one answer that is not a stream. More is no chat completion."""


class ErrorSaid(Exception):
    """An error in the place of a completion: `error` is what was said about it, in any form."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.error = error


class Chunks:
    """One answer. Feed it what arrives until it is `done` or has `trouble`, then take its `end`."""

    def __init__(self) -> None:
        self.done = False
        """Whether nothing more of the completion will come."""
        self.trouble: Malformed | ErrorSaid | None = None
        """What went wrong after the pieces so far."""
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._partial = b""
        self._seen = False
        self._whole = False
        self._begun = False
        self._finish: str | None = None
        self._usage: UsageSaid | None = None
        self._calls = Calls()
        self._halves = Halves()

    @property
    def finished(self) -> bool:
        """Whether the answer is whole, however the stream ends: the model has said why it stopped."""
        return self._finish is not None or (self.done and self._begun)

    @property
    def empty(self) -> bool:
        """Whether nothing of a completion has come."""
        return not (self._begun or self._whole)

    @property
    def cut_off(self) -> bool:
        """Whether a stream that ends here was cut off."""
        return not (self._whole or self.finished)

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces in what arrived, up to any `trouble`."""
        pieces: list[Piece] = []
        try:
            self._feed(data, pieces)
        except (Malformed, ErrorSaid) as problem:
            self.trouble = problem
        return pieces

    def end(self) -> list[Piece]:
        """What can be said once nothing follows: the rest, and where the answer is whole, why the model
        stopped and its tokens."""
        pieces: list[Piece] = []
        try:
            self._last(pieces)
        except (Malformed, ErrorSaid) as problem:
            self.trouble = problem
        return pieces

    def _feed(self, data: bytes, pieces: list[Piece]) -> None:
        if not self._seen and (start := data.lstrip()[:1]):
            self._seen, self._whole = True, start == b"{"  # no stream, though one was asked for
        if self._whole or not (b"\n" in data or b"\r" in data):
            self._hold(data)
            return
        if self._held:
            data = self._taken() + data
        if b"\r" in data:
            data = self._without_carriage_returns(data)
        lines = data.split(b"\n")
        if rest := lines.pop():
            self._held.insert(0, rest)
        for line in lines:
            if line.startswith(b"data:"):
                self._data(line[5:], pieces)
            elif not line and self._partial:
                raise Malformed(shown(self._partial))

    def _last(self, pieces: list[Piece]) -> None:
        rest = self._taken()
        if self._whole:
            self._take(decoded(rest), pieces)
            if not self._begun:
                raise Malformed(shown(rest))
            self.done = True
        elif rest.startswith(b"data:"):
            self._data(rest.rstrip(b"\r")[5:], pieces)  # else it was cut off in the middle
        if not self.finished:
            return
        self._calls.check()
        ends: list[Piece] = [self._why()]
        if self._usage is not None:
            ends.append(Used(usage_of(self._usage)))
        pieces += self._halves.joined(ends)

    def _hold(self, data: bytes) -> None:
        """Keep what is a part of a line, or of an answer that is no stream."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MOST_HELD:
            raise Malformed(f"{shown(self._held[0])}, and no end of it")

    def _taken(self) -> bytes:
        """All that was kept."""
        held = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return held

    def _without_carriage_returns(self, data: bytes) -> bytes:
        """Lines that end in CRLF or CR as lines that end in LF. A CR at the end is kept: an LF may follow."""
        if data.endswith(b"\r"):
            self._held.append(b"\r")
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _data(self, payload: bytes, pieces: list[Piece]) -> None:
        if self.done:
            return
        if self._partial:
            payload = self._partial + b"\n" + payload
        try:
            chunk = decoded(payload)
        except Malformed:
            self._not_a_chunk(payload)
            return
        self._partial = b""
        self._take(chunk, pieces)

    def _not_a_chunk(self, payload: bytes) -> None:
        """The end, nothing, or the beginning of data that go on in the next line."""
        said = payload.strip()
        if said == b"[DONE]":
            self.done = True
        elif said:
            if len(payload) > MOST_HELD:
                raise Malformed(f"{shown(payload)}, and no end of it")
            self._partial = payload

    def _take(self, chunk: Chunk, pieces: list[Piece]) -> None:
        if type(chunk) is Chunk and self._halves.held is None:
            self._chunk(chunk, pieces)
            return
        said: list[Piece] = []
        self._chunk(chunk, said)
        pieces += self._halves.joined(said)

    def _chunk(self, chunk: Chunk, pieces: list[Piece]) -> None:
        if chunk.error:
            raise ErrorSaid(mended(chunk.error))
        if chunk.choices:
            self._begun = True
            choice = chunk.choices[0]
            delta = choice.delta or choice.message
            if delta is not None:
                content = delta.content
                if content:
                    pieces.append(Text(content if isinstance(content, str) else joined(content)))
                if delta.refusal:
                    pieces.append(Refusal(delta.refusal))
                if delta.tool_calls:
                    self._calls.take(delta.tool_calls, pieces)
                if delta.function_call:
                    self._calls.take([CallDelta(0, None, delta.function_call)], pieces)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        elif chunk.object == "error":
            raise ErrorSaid(mended({"message": chunk.message, "code": chunk.code}))
        if chunk.usage is not None:
            self._usage = chunk.usage

    def _why(self) -> Finish:
        """Some say `stop` after calls, and some stop for reasons of their own."""
        said = FINISHES.get(self._finish or "stop", FINISHES["stop"])
        return FINISHES["tool_calls"] if said.reason == "stop" and self._calls.any else said
