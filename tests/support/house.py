"""A real server on loopback for the tests: its own thread, event loop, database and files."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn

from tests.support import postgres
from threadkeep.app import create_app, open_database
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.http.cork import CorkedProtocol
from threadkeep.http.middleware import Application
from threadkeep.ids import id_maker
from threadkeep.projects.actions import Keys
from threadkeep.serving import Server, listen
from threadkeep.settings import Settings

T = TypeVar("T")
SECONDS_TO_START = 10
DATABASES = ("sqlite", "postgres")

__all__ = ["DATABASES", "House", "Settings", "database_url", "open_database"]


def database_url(database: str, directory: Path) -> str:
    """The address of the one database of that kind which belongs to a directory."""
    if database == "postgres":
        return postgres.server().of(directory)
    return f"sqlite:///{directory / 'threadkeep.db'}"


class House:
    """`with House(directory, database) as house:` serves on `house.address` until the block ends.

    `database` is one of `DATABASES`; houses in the same directory share it. `settings` go before.
    """

    def __init__(
        self,
        directory: Path,
        database: str = "sqlite",
        *,
        clock: Callable[[], float] = system_clock,
        **settings: Any,
    ) -> None:
        self.directory = directory
        defaults = {
            "host": "127.0.0.1",
            "port": 0,
            "files_url": f"file:///{directory / 'files'}",
            "access_log": False,
        }
        if "database_url" not in settings:
            settings["database_url"] = database_url(database, directory)
        self.settings = Settings(**{**defaults, **settings})
        self.clock = clock
        self._started = threading.Event()
        self._listener = listen(self.settings)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.base_url = self.address + "/v1"
        self.app: Application = create_app(self.settings, self._announce, clock)
        config = uvicorn.Config(
            self.app, http=CorkedProtocol, lifespan="on", log_config=None, access_log=False
        )
        self._server = Server(config, self.app)
        self._thread = threading.Thread(target=self._run, name="house")

    async def _announce(self, _: str | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._started.set()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(SECONDS_TO_START), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(SECONDS_TO_START)
        assert not self._thread.is_alive(), "the server did not stop"
        self._listener.close()

    @property
    def context(self) -> Context:
        """What the server's rooms work with."""
        assert self.app._running is not None
        return self.app._running.context

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of a coroutine run on the server's own loop."""

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(SECONDS_TO_START)

    def new_key(self, project: str) -> str:
        """A key for a project, which is made where it does not exist."""
        keys = Keys(self.context.database, self.clock, id_maker(self.clock))
        return self.call(lambda: keys.create(project, ""))
