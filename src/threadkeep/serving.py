"""Running the server: the socket, the event loop, what is said at the start, and a graceful stop."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn

from threadkeep import __version__
from threadkeep.accepting import Acceptor, Counts, Share
from threadkeep.app import POSTGRES, create_app, wait_for_database
from threadkeep.errors import ThreadkeepError
from threadkeep.http.cork import CorkedProtocol
from threadkeep.http.heads import SECONDS_FOR_A_HEAD, BoundedProtocol
from threadkeep.http.middleware import Application
from threadkeep.settings import BadSettings, Settings
from threadkeep.supervisor import Line, Supervisor

SECONDS_IDLE = 75
"""How long a connection may wait for its next request: longer than clients do, so that they close first."""
SECONDS_TO_FINISH = 30
"""How long requests under way have at a stop."""
BACKLOG = 2048
TICKS_FOR_A_HEAD = SECONDS_FOR_A_HEAD * 10
"""uvicorn ticks ten times a second."""

SAMPLE = """\
Threadkeep {version} serves the Assistants API on {address}/v1

  API key: {shown}
{note}
Try it in another terminal:

  curl {address}/v1/threads \\
    -H "Authorization: Bearer {key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"messages": [{{"role": "user", "content": "Hello!"}}]}}'

Stop with Ctrl-C.
"""


def run(settings: Settings) -> int:
    """Serve until told to stop. Returns an exit status; raises what keeps the server from starting."""
    logging.basicConfig(
        level=logging.INFO, format="time=%(created).3f level=%(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a start that fails is told below, once
    if settings.workers > 1 and not settings.database_url.startswith(POSTGRES):
        raise BadSettings(
            f"workers is {settings.workers}, but several processes need PostgreSQL: on SQLite it must be 1."
        )
    asyncio.run(wait_for_database(settings))
    listener = listen(settings)

    def greet(key: str | None) -> None:
        sys.stdout.write(welcome(address_of(listener), key))
        sys.stdout.flush()

    if settings.workers == 1:
        return serve(settings, listener, lambda _, key: greet(key))
    gc.collect()
    gc.freeze()  # what is loaded is shared by all, as long as nobody touches it
    work = partial(work_for_parent, settings, listener, Counts(settings.workers))
    return Supervisor(settings.workers, work, greet, listener.close, SECONDS_TO_FINISH + 5).run()


Started = Callable[[uvicorn.Server, str | None], None]
"""Called on the event loop once the server can work, with the key if one was just made."""


def work_for_parent(settings: Settings, listener: socket.socket, counts: Counts, line: Line) -> int:
    """One worker of several: serve until told to stop, or until the parent has died."""

    def started(server: uvicorn.Server, key: str | None) -> None:
        loop = asyncio.get_running_loop()

        def orphaned() -> None:
            loop.remove_reader(line.parent)
            server.should_exit = True

        loop.add_reader(line.parent, orphaned)
        line.ready(key)

    try:
        return serve(settings, listener, started, Share(counts, line.worker))
    except (BadSettings, ThreadkeepError) as problem:
        print(f"threadkeep: {problem}", file=sys.stderr)
        return 1


class Server(uvicorn.Server):
    """Tells the application at once that it stops: streams would else keep it up until they end."""

    def __init__(self, config: uvicorn.Config, app: Application, share: Share | None = None) -> None:
        super().__init__(config)
        self._app, self._share = app, share

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        share = self._share
        if share is None:
            await super().startup(sockets)
            return

        def connected() -> asyncio.Protocol:
            return CorkedProtocol(self.config, self.server_state, self.lifespan.state)

        def count() -> int:
            return len(self.server_state.connections)

        await super().startup([])
        acceptors: list[Any] = [Acceptor(one, connected, count, share) for one in sockets or []]
        self.servers = acceptors

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_FOR_A_HEAD == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.hurry()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.drain()
        await super().shutdown(sockets)


def serve(settings: Settings, listener: socket.socket, started: Started, share: Share | None = None) -> int:
    """Serve in this process until told to stop, with a `share` of the connections where there are other
    workers. As `run` otherwise."""

    async def announce(key: str | None) -> None:
        collect_rarely()
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        started(server, key)

    app = create_app(settings, announce)
    config = uvicorn.Config(
        app,
        loop="auto",
        http=CorkedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        timeout_keep_alive=SECONDS_IDLE,
    )
    server = Server(config, app, share)
    with suppress(SystemExit):  # uvicorn's way to end a start that failed
        server.run(sockets=[listener])
    if app.refusal:
        raise app.refusal
    return 0 if server.started else 1


def collect_rarely() -> None:
    """What start-up has made stays; what requests make is freed by counting, seldom by the collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises `BadSettings` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as problem:
        listener.close()
        reason = getattr(problem, "strerror", None) or problem
        raise BadSettings(f"Cannot listen on {settings.host}, port {settings.port}: {reason}.") from problem
    listener.listen(BACKLOG)
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def welcome(address: str, key: str | None) -> str:
    """What a person needs to know; the key only where it was made just now."""
    if key:
        note = "  (shown this once; only its hash is kept. `threadkeep keys create` makes another)\n"
        shown = pasted = key
    else:
        note = ""
        shown = "as set or shown before (`threadkeep keys create` makes another)"
        pasted = "$THREADKEEP_API_KEY"
    return SAMPLE.format(version=__version__, address=address, shown=shown, note=note, key=pasted)
