"""A scripted model: a real HTTP server that answers chat completions as a test says.

    with Upstream() as up:
        up.script(Say("Hello ", "world"), Say(Call("weather", '{"city":', '"Paris"}')), Say("It rains."))
        ...                                   # a server with upstream_base_url=up.url runs three turns
        assert up.requests[0].json["messages"][-1]["content"] == "Hi"

Each request takes the next turn; `up.script(..., model="a")` scripts one model alone, and
`up.always(turn)` or `up.always(lambda asked: turn)` answers whatever nothing is scripted for. A request for
which there is no turn is answered with 400, and fails the test when the block ends.

A turn is one of

    Say("Hel", "lo")            streams these pieces of text, then why it stopped, usage, and [DONE]
    Say(Call("f", '{"a"', ":1}"), Call("g", "{}"))     calls of functions, their arguments in pieces
    Say("a", gate, "b")         holds still after "a" until the test calls gate.open()
    Say("a", Cut())             hangs up in the middle; Say("a", Raw(b"data: {oops\\n\\n")) sends just that
    Say("a", finish="length")   also "content_filter"; Say(Refusal("No.")); Say() is an empty answer
    Say("a", usage=None)        no usage; usage=(prompt, completion) else, every=True in every chunk
    Whole("Hello")              one JSON object, as from servers that do not stream; takes what Say takes
    Error(429, "Slow down", code="rate_limit_exceeded", headers={"retry-after": "1"})
    Hangup()                    hangs up without an answer; Bytes(b"...") answers 200 with just these bytes
    Vectors()                   answers POST /embeddings: a vector for each text (see `vector_of`)

and each takes `before=gate`, to hold still before anything is answered. Nothing here waits for a time: a
`Gate` tells when it was `reached` (`gate.wait()`), and opens when the test says so or the block ends.
`closed_port()` is an address at which nobody listens.
"""

import asyncio
import json
import math
import re
import socket
import struct
import threading
from array import array
from base64 import b64encode
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.waiting import SECONDS, until

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000}
MODELS = ("gpt-4o", "gpt-4o-mini")


class Gate:
    """A place in an answer where it holds still."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return once an answer has come to this place."""
        assert self.reached.wait(SECONDS), "no answer came to the gate"

    def open(self) -> None:
        """Let the answer go on, and every later one go through."""
        with self._lock:
            self._opened.set()
            for loop, event in self._waiting:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)

    async def passed(self) -> None:
        event = asyncio.Event()
        with self._lock:
            self._waiting.append((asyncio.get_running_loop(), event))
            self.reached.set()
            if self._opened.is_set():
                return
        await event.wait()


@dataclass(frozen=True)
class Refusal:
    """A piece of a refusal."""

    text: str


@dataclass(frozen=True)
class Raw:
    """Bytes as they are."""

    data: bytes


@dataclass(frozen=True)
class Cut:
    """The connection ends here."""


class Call:
    """A function call whose arguments come in these pieces; gates may stand between them."""

    def __init__(self, name: str, *pieces: str | Gate, id: str | None = None) -> None:
        self.name, self.pieces, self.id = name, pieces, id


Part = str | Gate | Call | Refusal | Raw | Cut
Usage = tuple[int, int] | None


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any
    peer: str
    """The connection that it came over."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set once whoever asked is gone before the answer was complete."""

    @property
    def model(self) -> str:
        return str((self.json or {}).get("model"))


class Turn:
    """One answer."""

    before: Gate | None = None

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        raise NotImplementedError

    def gates(self) -> Iterator[Gate]:
        if self.before:
            yield self.before


class Bytes(Turn):
    """A 200 with just these bytes."""

    def __init__(
        self,
        *parts: bytes | Gate | Cut,
        content_type: str = "text/event-stream",
        before: Gate | None = None,
    ) -> None:
        self.parts, self.content_type, self.before = parts, content_type, before

    def all_parts(self, asked: Asked) -> Iterator[bytes | Gate | Cut]:
        yield from self.parts

    def gates(self) -> Iterator[Gate]:
        yield from super().gates()
        yield from (part for part in self.parts if isinstance(part, Gate))

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": self.content_type})
        await response.prepare(request)
        for part in self.all_parts(asked):
            match part:
                case Gate():
                    await part.passed()
                case Cut():
                    return hang_up(request, response)
                case _:
                    await response.write(part)
        await response.write_eof()
        return response


class Say(Bytes):
    """A streamed completion."""

    def __init__(
        self,
        *parts: Part,
        finish: str | None = None,
        usage: Usage = (20, 10),
        every: bool = False,
        done: bool = True,
        before: Gate | None = None,
    ) -> None:
        super().__init__(before=before)
        self.said = parts
        self.finish = finish or ("tool_calls" if any(isinstance(one, Call) for one in parts) else "stop")
        self.usage = {**usage_of(usage)} if usage else None
        self.every, self.done = every, done

    def gates(self) -> Iterator[Gate]:
        yield from Turn.gates(self)
        for part in self.said:
            for one in part.pieces if isinstance(part, Call) else (part,):
                if isinstance(one, Gate):
                    yield one

    def all_parts(self, asked: Asked) -> Iterator[bytes | Gate | Cut]:
        yield self.delta(asked, {"role": "assistant", "content": ""})
        calls = 0
        for part in self.said:
            match part:
                case str():
                    yield self.delta(asked, {"content": part})
                case Refusal(text):
                    yield self.delta(asked, {"refusal": text})
                case Raw(data):
                    yield data
                case Call():
                    yield from self.call(asked, calls, part)
                    calls += 1
                case _:
                    yield part
        yield self.chunk(asked, choices=[{"index": 0, "delta": {}, "finish_reason": self.finish}])
        if self.usage and not self.every and (asked.json.get("stream_options") or {}).get("include_usage"):
            yield self.chunk(asked, choices=[], usage=self.usage)
        if self.done:
            yield b"data: [DONE]\n\n"

    def call(self, asked: Asked, index: int, call: Call) -> Iterator[bytes | Gate | Cut]:
        opening = {"id": call.id or f"call_{len(asked.json['messages'])}_{index}", "type": "function"}
        function = {"name": call.name, "arguments": ""}
        yield self.delta(asked, {"tool_calls": [{"index": index, **opening, "function": function}]})
        for piece in call.pieces:
            if isinstance(piece, Gate):
                yield piece
            else:
                yield self.delta(asked, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def delta(self, asked: Asked, delta: dict[str, Any]) -> bytes:
        return self.chunk(asked, choices=[{"index": 0, "delta": delta, "finish_reason": None}])

    def chunk(self, asked: Asked, **fields: Any) -> bytes:
        if self.every and self.usage:
            fields["usage"] = self.usage
        return b"data: " + json.dumps({**HEAD, "model": asked.model, **fields}).encode() + b"\n\n"


class Whole(Say):
    """The same as one JSON object."""

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        calls = [part for part in self.said if isinstance(part, Call)]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(part for part in self.said if isinstance(part, str)) or None,
            "refusal": "".join(part.text for part in self.said if isinstance(part, Refusal)) or None,
        }
        if calls:
            message["tool_calls"] = [
                {
                    "id": call.id or f"call_{index}",
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": "".join(one for one in call.pieces if isinstance(one, str)),
                    },
                }
                for index, call in enumerate(calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        answer = {**HEAD, "object": "chat.completion", "model": asked.model, "choices": [choice]}
        return web.json_response({**answer, "usage": self.usage})


def vector_of(text: str, dimensions: int) -> list[float]:
    """A text's vector, of length 1: how often each word comes, in the place that its letters add up to. So
    texts lie the closer together the more words they share. What 32 bits cannot hold is rounded off."""
    counts = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [""]:
        counts[sum(word.encode()) % dimensions] += 1.0
    length = math.sqrt(sum(count * count for count in counts))
    return array("f", (count / length for count in counts)).tolist()


class Vectors(Turn):
    """Embeddings of the texts in a request, as long as it asks for, else `dimensions`.

    `base64`: in that form; `change` may alter the list of what is answered for each text.
    """

    def __init__(
        self,
        *,
        dimensions: int = 8,
        base64: bool = False,
        change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = list,
        before: Gate | None = None,
    ) -> None:
        self.dimensions, self.base64, self.change, self.before = dimensions, base64, change, before

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        given = asked.json["input"]
        texts = [given] if isinstance(given, str) else given
        length = asked.json.get("dimensions") or self.dimensions
        vectors = [vector_of(text, length) for text in texts]
        data = [
            {"object": "embedding", "index": index, "embedding": in_base64(one) if self.base64 else one}
            for index, one in enumerate(vectors)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        answer = {"object": "list", "data": self.change(data), "model": asked.model, "usage": usage}
        return web.json_response(answer)


def in_base64(vector: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class Error(Turn):
    """An error status. `body` in the place of the usual form: an object, or text."""

    def __init__(
        self,
        status: int,
        message: str = "No.",
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        before: Gate | None = None,
    ) -> None:
        error = {"message": message, "type": type, "param": param, "code": code}
        self.status, self.headers, self.before = status, dict(headers or {}), before
        self.body = {"error": error} if body is None else body

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


class Hangup(Turn):
    """No answer at all."""

    def __init__(self, *, before: Gate | None = None) -> None:
        self.before = before

    async def give(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        return hang_up(request, web.Response())


def hang_up(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return response


def usage_of(usage: tuple[int, int]) -> dict[str, Any]:
    prompt, completion = usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def words(text: str) -> list[str]:
    """The pieces of a text in which each word has the space after it."""
    return [word for word in text.replace(" ", " \0").split("\0") if word]


def closed_port() -> str:
    """A base URL at which nobody listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{once.getsockname()[1]}/v1"


Answers = Turn | Callable[[Asked], Turn]


class Upstream:
    """The server. `url` is its base URL, `requests` what it was asked (GET /models apart, in `listings`)."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.listings: list[Asked] = []
        self.models: list[str] | Turn = list(MODELS)
        """What GET /models answers."""
        self.url = ""
        self.origin = ""
        self._turns: dict[str | None, deque[Turn]] = defaultdict(deque)
        self._always: Answers | None = None
        self._gates: list[Gate] = []
        self._unscripted: list[Asked] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="upstream")

    # -------------------------------------------------------------- what tests say

    def script(self, *turns: Turn, model: str | None = None) -> None:
        """Answer the next requests (for this model) with these turns."""
        with self._lock:
            self._turns[model].extend(turns)
            self._gates.extend(gate for turn in turns for gate in turn.gates())

    def always(self, answers: Answers) -> None:
        """Answer with this turn whatever nothing is scripted for."""
        with self._lock:
            self._always = answers
            self._gates.extend(answers.gates() if isinstance(answers, Turn) else ())

    def wait_for(self, requests: int) -> None:
        """Return once so many requests have come."""
        until(lambda: len(self.requests) >= requests)

    @property
    def bodies(self) -> list[Any]:
        """The JSON of every request so far."""
        return [asked.json for asked in self.requests]

    # -------------------------------------------------------------- how it runs

    def __enter__(self) -> "Upstream":
        self._thread.start()
        assert self._ready.wait(SECONDS), "the upstream did not start"
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for gate in self._gates:
            gate.open()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the upstream did not stop"
        if kind is None:
            unscripted = [asked.json for asked in self._unscripted]
            assert not unscripted, f"nothing was scripted for {unscripted}"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        await web.SockSite(runner, listener).start()
        self.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.url = self.origin + "/v1"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()  # `request.read` has a limit
        asked = Asked(
            request.method,
            request.path,
            dict(request.query),
            dict(request.headers),
            loaded(body),
            peer_of(request),
        )
        if request.path.endswith("/models"):
            self.listings.append(asked)
            turn: Turn = self._listing()
        else:
            self.requests.append(asked)
            turn = self._next(asked)
        try:
            if turn.before:
                await turn.before.passed()
            return await turn.give(request, asked)
        except asyncio.CancelledError:
            asked.hung_up.set()
            raise
        except ConnectionError:
            asked.hung_up.set()
            return web.Response()  # which nobody gets

    def _next(self, asked: Asked) -> Turn:
        with self._lock:
            for model in (asked.model, None):
                if self._turns[model]:
                    return self._turns[model].popleft()
            if self._always:
                return self._always if isinstance(self._always, Turn) else self._always(asked)
            self._unscripted.append(asked)
            return Error(400, "The script has no turn for this request.")

    def _listing(self) -> Turn:
        if isinstance(self.models, Turn):
            return self.models
        listed = [
            {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "upstream"}
            for name in self.models
        ]
        return Bytes(json.dumps({"object": "list", "data": listed}).encode(), content_type="application/json")


def peer_of(request: web.BaseRequest) -> str:
    return str(request.transport and request.transport.get_extra_info("peername"))


def loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
