"""Answers leave together: one write an answer, at the end of the turn of the loop that made it.

uvicorn writes head and body apart, each with a system call at once, and each such call may wake the
reader on another processor. Held back until every request of the turn is answered, a loaded server
spends half the time on sending, and an idle one sends no later.

An answer that is whole can also be handed over whole, as bytes: see `WHOLE`.
"""

import asyncio
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from threadkeep.http.heads import BoundedProtocol

WHOLE = "threadkeep.whole"
"""The extension of ASGI that takes a whole answer at once: `send`, a status, the lines of the head but for
those that the server adds, and the body. What is done with headers one by one costs a tenth of a request."""
LARGE = 64 * 1024
"""Bytes of a write that goes out at once, behind what is held: backpressure must see it."""


class Cork:
    """A transport that holds small writes back until the turn ends."""

    def __init__(self, transport: asyncio.Transport, waiting: "list[Cork]") -> None:
        self._transport, self._waiting = transport, waiting
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing  # asked at every answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(flush, self._waiting)
            self._waiting.append(self)
        self._held.append(data)
        if len(data) > LARGE:
            self.flush()

    def flush(self) -> None:
        """Send what is held; to a client that has hung up, nothing."""
        if self._held:
            data = b"".join(self._held)  # cheaper than a gathering write of so few pieces
            self._held.clear()
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()


def flush(waiting: list[Cork]) -> None:
    """Send what every connection holds."""
    corks = waiting.copy()
    waiting.clear()  # first: were it left behind by an error, nobody would be flushed ever again
    for cork in corks:
        cork.flush()


class CorkedProtocol(BoundedProtocol):
    """The same over corked transports."""

    _waiting: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, list[Cork]]] = WeakKeyDictionary()
    """What each loop has to flush."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        waiting = self._waiting.setdefault(asyncio.get_running_loop(), [])
        super().connection_made(Cork(transport, waiting))  # type: ignore[arg-type]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["method"] != "HEAD":
            cycle.scope["extensions"] = EXTENSIONS  # type: ignore[typeddict-item]
        super()._start_asgi_task(cycle, app)


def send_whole(send: Any, status: int, lines: bytes, body: bytes) -> None:
    """Answer the request that `send` belongs to and be done with it; to a client that hung up, nothing."""
    cycle: RequestResponseCycle = send.__self__
    if cycle.disconnected:
        return
    added = [b"%b: %b\r\n" % header for header in cycle.default_headers]
    if not cycle.keep_alive:
        added.append(b"connection: close\r\n")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], *added, lines, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


EXTENSIONS = {WHOLE: send_whole}
"""The same for all requests: what refers to its own request is freed by the collector alone."""
