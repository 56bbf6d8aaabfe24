"""What unit tests share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import database_url
from tests.support.settings import no_settings
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.ids import id_maker
from threadkeep.settings import Settings

__all__ = ["no_settings"]


class Workshop:
    """What rooms work with, on an event loop that runs a coroutine at a time."""

    def __init__(self, directory: Path, database: str) -> None:
        self._runner = asyncio.Runner()
        settings = Settings(
            database_url=database_url(database, directory),
            files_url=f"file:///{directory / 'files'}",
        )
        self._opening = open_context(settings, system_clock, id_maker(system_clock))
        self.run = self._runner.run
        self.context: Context = self.run(self._opening.__aenter__())

    def close(self) -> None:
        self.run(self._opening.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Workshop]:
    opened = Workshop(tmp_path_factory.mktemp("workshop"), database)
    yield opened
    opened.close()
