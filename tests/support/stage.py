"""A server whose every answer is one stream, of what a test tells it: the house's own HTTP side, from the
middleware's `respond` down to the socket, with nothing above it."""

import asyncio
import queue
import threading
from collections.abc import Sequence
from typing import Any

import uvicorn

from tests.support.house import SECONDS_TO_START, Settings
from tests.support.waiting import SECONDS
from threadkeep.engine.events import Event
from threadkeep.engine.watch import Feed
from threadkeep.http.cork import CorkedProtocol
from threadkeep.http.middleware import respond
from threadkeep.http.request import ClientGone, Request
from threadkeep.http.streaming import event_stream
from threadkeep.serving import listen
from threadkeep.wire.base import Dialect


class Seat(Feed):
    """One reader's place: a feed that counts what was taken from it."""

    __slots__ = ("batches_taken", "ended")

    def __init__(self) -> None:
        super().__init__()
        self.batches_taken = 0
        self.ended = threading.Event()
        """Set once the answer is over, however."""

    async def __anext__(self) -> Sequence[Event]:
        batch = await super().__anext__()
        self.batches_taken += 1
        return batch


class Protocol(CorkedProtocol):
    """Counts writes to the socket's transport."""

    writes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Counting(transport))  # type: ignore[arg-type]


class Counting:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        Protocol.writes += 1
        self._transport.write(data)


class Stage:
    """`with Stage(dialect) as stage:` serves on `stage.address`; each request takes a `Seat`."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.seats: queue.Queue[Seat] = queue.Queue()
        """Those that were taken."""
        self._started = threading.Event()
        self._listener = listen(Settings(host="127.0.0.1", port=0))
        self.place: tuple[str, int] = self._listener.getsockname()
        self.address = f"http://127.0.0.1:{self.place[1]}"
        config = uvicorn.Config(
            self._app, interface="asgi3", http=Protocol, lifespan="off", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="stage")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        nothing: Any = None
        headers = dict(scope["headers"])
        request = Request("req_1", nothing, self.dialect, headers, scope["query_string"], receive)
        await request.read_body(1 << 20)
        seat = Seat()
        self.seats.put(seat)
        try:
            await respond(send, request, event_stream(request, seat), 0.0)
        except ClientGone:
            pass
        finally:
            seat.ended.set()

    def seat(self) -> Seat:
        """The place of the reader who came next."""
        return self.seats.get(timeout=SECONDS)

    def tell(self, seat: Seat, *events: Event) -> None:
        """Tell events in one turn of the loop."""

        async def telling() -> None:
            for event in events:
                seat.tell(event)

        asyncio.run_coroutine_threadsafe(telling(), self.loop).result(SECONDS)

    def __enter__(self) -> "Stage":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(SECONDS_TO_START)
        assert not self._thread.is_alive(), "the stage did not close"
        self._listener.close()
