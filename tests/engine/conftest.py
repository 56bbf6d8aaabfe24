"""What the engine's tests share: its rooms on a database, with a model that does as it is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.bench import Bench, open_bench
from tests.support.clock import SetClock
from tests.support.house import database_url
from tests.support.settings import no_settings

__all__ = ["no_settings"]


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, database: str) -> str:
    """The address of a database of each kind; every test finds it without runs."""
    return database_url(database, tmp_path_factory.mktemp("engine"))


@pytest.fixture
async def bench(tmp_path: Path, url: str, clock: SetClock) -> AsyncIterator[Bench]:
    """An engine at work, on each kind of database."""
    async with open_bench(tmp_path, url, clock) as opened:
        yield opened
