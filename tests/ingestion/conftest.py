"""What the tests of ingestion share: coroutines, settings of the tests' own, and servers' hands."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.ingestion.desk import Desk, Embedder, open_desk
from tests.support.house import database_url
from tests.support.settings import no_settings

__all__ = ["no_settings"]


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, database: str) -> str:
    """A database for a module's tests, each of which makes stores of its own."""
    return database_url(database, tmp_path_factory.mktemp("ingestion"))


@pytest.fixture
async def desk(tmp_path: Path, url: str) -> AsyncIterator[Desk]:
    """A server's own hands on it."""
    async with open_desk(tmp_path, url) as opened:
        yield opened


@pytest.fixture
async def embedded(tmp_path: Path, url: str) -> AsyncIterator[tuple[Desk, Embedder]]:
    """The same with an embedding model."""
    async with open_desk(tmp_path, url) as opened:
        embedder = Embedder()
        opened.context = msgspec.structs.replace(opened.context, embedder=embedder)
        yield opened, embedder
