"""A database of either kind with a small store in it."""

from collections.abc import AsyncIterator

import pytest

from tests.search.shelf import Shelf
from tests.support.house import database_url
from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.sqlite import SQLiteDatabase


@pytest.fixture
def url(tmp_path, database) -> str:
    return database_url(database, tmp_path)


@pytest.fixture
async def shelf(tmp_path, url) -> AsyncIterator[Shelf]:
    opened = (
        SQLiteDatabase(tmp_path / "threadkeep.db")
        if url.startswith("sqlite")
        else PostgresDatabase(PostgresOptions(url, 4))
    )
    await migrate(opened)
    yield Shelf(opened)
    await opened.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
