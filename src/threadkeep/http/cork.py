"""Answers leave together: one write an answer, at the end of the turn of the loop that made it.

uvicorn writes head and body apart, each with a system call at once, and each such call may wake the
reader on another processor. Held back until every request of the turn is answered, a loaded server
spends half the time on sending, and an idle one sends no later.
"""

import asyncio
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


class CorkedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over corked transports."""

    _waiting: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, list[Cork]]] = WeakKeyDictionary()
    """What each loop has to flush."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        waiting = self._waiting.setdefault(asyncio.get_running_loop(), [])
        super().connection_made(Cork(transport, waiting))  # type: ignore[arg-type]
