"""A chat completion as it arrives: bytes in, pieces out.

This runs once for every piece that a model writes, so only the fields below are decoded and everything
else in a chunk is skipped. It takes what servers of this API really send: the form that OpenAI published,
and their departures from it, which the comments name.
"""

import json
import re
import secrets
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.providers.base import Call, Finish, Piece, Refusal, Text, Used
from threadkeep.runs.model import CachedTokens, ReasoningTokens, Usage

MOST_HELD = 16 * 1024 * 1024
"""Bytes of one line, or of one answer that is not a stream. More is no chat completion."""


class Malformed(Exception):
    """Something arrived that is not of a chat completion."""


class ErrorSaid(Exception):
    """An error in the place of a completion: `error` is what was said about it, in any form."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.error = error


# ---------------------------------------------------------------- what is read of a chunk


class PartOfText(Struct, gc=False):
    text: str | None = None


class FunctionDelta(Struct, gc=False):
    """`arguments` should be text; some send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    """`content` should be text; some send a list of parts."""

    content: str | list[PartOfText] | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class Choice(Struct, gc=False):
    """`message` in the place of `delta` where the answer is no stream."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageSaid(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    usage: UsageSaid | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    code: Any = None


decode = msgspec.json.Decoder(Chunk).decode
HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")

FINISHES: dict[str, Finish] = {
    "stop": Finish("stop"),
    "length": Finish("length"),
    "max_tokens": Finish("length"),
    "model_length": Finish("length"),
    "content_filter": Finish("content_filter"),
    "tool_calls": Finish("tool_calls"),
    "function_call": Finish("tool_calls"),  # what calls were called before `tool_calls`
}


def usage_of(said: UsageSaid) -> Usage:
    """Tokens as they were counted there; what was not counted is 0."""
    prompt, completion = said.prompt_tokens or 0, said.completion_tokens or 0
    cached, reasoning = said.prompt_tokens_details, said.completion_tokens_details
    return Usage(
        prompt,
        completion,
        said.total_tokens or prompt + completion,
        CachedTokens((cached and cached.cached_tokens) or 0),
        ReasoningTokens((reasoning and reasoning.reasoning_tokens) or 0),
    )


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
            self._chunk(decoded(rest), pieces)
            if not self._begun:
                raise Malformed(shown(rest))
            self.done = True
        elif rest.startswith(b"data:"):
            self._data(rest.rstrip(b"\r")[5:], pieces)  # else it was cut off in the middle
        if not self.finished:
            return
        self._calls.check()
        pieces.append(self._why())
        if self._usage is not None:
            pieces.append(Used(usage_of(self._usage)))

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
        self._chunk(chunk, pieces)

    def _not_a_chunk(self, payload: bytes) -> None:
        """The end, nothing, or the beginning of data that go on in the next line."""
        said = payload.strip()
        if said == b"[DONE]":
            self.done = True
        elif said:
            if len(payload) > MOST_HELD:
                raise Malformed(f"{shown(payload)}, and no end of it")
            self._partial = payload

    def _chunk(self, chunk: Chunk, pieces: list[Piece]) -> None:
        if chunk.error:
            raise ErrorSaid(chunk.error)
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
            raise ErrorSaid({"message": chunk.message, "code": chunk.code})
        if chunk.usage is not None:
            self._usage = chunk.usage

    def _why(self) -> Finish:
        """Some say `stop` after calls, and some stop for reasons of their own."""
        said = FINISHES.get(self._finish or "stop", FINISHES["stop"])
        return FINISHES["tool_calls"] if said.reason == "stop" and self._calls.any else said


def decoded(text: bytes) -> Chunk:
    """Raises `Malformed`."""
    try:
        return decode(text)
    except (ValueError, RecursionError) as problem:
        if not HALF_A_CHARACTER.search(text):
            raise Malformed(shown(text)) from problem
    try:
        return decode(mended(text))
    except (ValueError, RecursionError) as problem:
        raise Malformed(shown(text)) from problem


def mended(text: bytes) -> bytes:
    """JSON in which halves of characters are U+FFFD: some servers cut texts inside of one, and write each
    half as an escape of its own."""
    loaded = json.dumps(json.loads(text), ensure_ascii=False)
    return loaded.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class OneCall(Struct):
    """A call so far: its place in the answer, the id it came with, its own id, and the arguments that
    came before its name."""

    index: int
    came_as: str | None
    id: str
    told: bool = False
    early: str = ""


class Calls:
    """Puts the pieces of function calls in order: some come without index, id or either, some have every
    call under index 0, and some repeat or change the id with each piece."""

    def __init__(self) -> None:
        self._calls: list[OneCall] = []
        self._at: dict[int, OneCall] = {}

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def check(self) -> None:
        """Raises `Malformed` where a call never got its name."""
        if not all(call.told for call in self._calls):
            raise Malformed("a function call without a name")

    def take(self, deltas: list[CallDelta], pieces: list[Piece]) -> None:
        for delta in deltas:
            function = delta.function or FunctionDelta()
            call = self._call(delta, function.name)
            arguments = function.arguments or ""
            if not isinstance(arguments, str):
                arguments = msgspec.json.encode(arguments).decode()
            if call.told:
                if arguments:
                    pieces.append(Call(call.index, arguments))
            elif function.name:
                call.told = True
                pieces.append(Call(call.index, call.early + arguments, call.id, function.name))
            else:
                call.early += arguments

    def _call(self, delta: CallDelta, name: str | None) -> OneCall:
        """The call that a piece belongs to."""
        known = self._at.get(delta.index) if delta.index is not None else self._unplaced(delta.id, name)
        another = known and name and delta.id and known.came_as and delta.id != known.came_as
        if known is None or another:
            known = self._new(delta.id)
            if delta.index is not None:
                self._at[delta.index] = known
        elif known.came_as is None and delta.id and not known.told:
            known.came_as, known.id = delta.id, self._own_id(delta.id)
        return known

    def _unplaced(self, id: str | None, name: str | None) -> OneCall | None:
        """The call of a piece without index: the one of its id, a new one for a name, else the last."""
        if id:
            for call in self._calls:
                if call.came_as == id:
                    return call
        return None if name or not self._calls else self._calls[-1]

    def _new(self, came_as: str | None) -> OneCall:
        call = OneCall(len(self._calls), came_as or None, self._own_id(came_as))
        self._calls.append(call)
        return call

    def _own_id(self, came_as: str | None) -> str:
        """An id that no other call of this answer has."""
        if came_as and all(call.id != came_as for call in self._calls):
            return came_as
        return "call_" + secrets.token_hex(12)


def joined(parts: list[PartOfText]) -> str:
    return "".join(part.text for part in parts if part.text)


def shown(data: bytes) -> str:
    """The beginning of what could not be read, for a person."""
    return data.strip()[:80].decode("utf-8", "replace")
