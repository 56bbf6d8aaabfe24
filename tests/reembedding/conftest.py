"""Servers on one database of each kind, with small batches."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.ingestion.desk import open_desk
from tests.reembedding.scene import Server
from tests.support.house import database_url
from tests.support.settings import no_settings
from threadkeep.context import Context
from threadkeep.engine import leases
from threadkeep.ingestion import reembedding
from threadkeep.search import base as search
from threadkeep.storage.database import Transaction

__all__ = ["no_settings"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def opened(directory: Path, url: str) -> AsyncIterator[Server]:
    async with open_desk(directory, url) as desk:
        server = Server(desk.context, desk.clock)
        await empty(server.context)
        try:
            yield server
        finally:
            await server.ingester.stop()
            if hasattr(server, "reembedder"):
                await server.end()


async def empty(context: Context) -> None:
    """What tests before this one have left."""

    async def work(transaction: Transaction) -> None:
        for row in await transaction.all("SELECT DISTINCT store_id FROM chunks", {}):
            await search.remove_store_some(transaction, row[0], 10_000)
        for table in ("vector_store_files", "vector_stores", "embedding", "sweeps"):
            await transaction.run(f"DELETE FROM {table}", {})

    await context.database.write(work)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, database: str) -> str:
    return database_url(database, tmp_path_factory.mktemp("reembedding"))


@pytest.fixture
async def server(tmp_path: Path, url: str) -> AsyncIterator[Server]:
    async with opened(tmp_path, url) as one:
        yield one


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Server]:
    """Another server on the same database."""
    async with AsyncExitStack() as stack:
        one = Server(server.context, server.clock)
        stack.push_async_callback(one.ingester.stop)
        yield one
        if hasattr(one, "reembedder"):
            await one.end()


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(reembedding, "CHUNKS_AT_ONCE", 8)
    monkeypatch.setattr(reembedding, "VECTORS_AT_ONCE", 3)
