"""What additions leave to be done to the index is done a little at a time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.house import database_url
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.ids import id_maker
from threadkeep.search import base as search
from threadkeep.search.model import Chunk
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction

pytestmark = pytest.mark.anyio
ADDITIONS = 100
MOST_SEGMENTS = 15
"""Of one size. At 16 FTS5 merges all of them at once, however large they are."""


@pytest.fixture
def url(tmp_path: Path, database: str) -> str:
    return database_url(database, tmp_path)


@pytest.fixture
async def context(tmp_path: Path, url: str) -> AsyncIterator[Context]:
    settings = Settings(database_url=url, files_url=f"file:///{tmp_path}/files")
    async with open_context(settings, system_clock, id_maker(system_clock)) as opened:
        yield opened


async def add(context: Context, number: int) -> int:
    """A chunk of its own transaction; in how many steps the index was tidied."""
    words = " ".join(f"word{number * 50 + place}" for place in range(50))

    async def work(transaction: Transaction) -> bool:
        await search.add(transaction, "vs_1", "file-1", [Chunk(number, words)], None, None)
        return await search.tidy(transaction)

    more, steps = await context.database.write(work), 1
    while more:
        more, steps = await context.database.write(search.tidy), steps + 1
    return steps


@pytest.mark.promise("ingestion.gentle")
async def test_additions_leave_little_to_be_done(context, database):
    steps = [await add(context, number) for number in range(ADDITIONS)]
    assert max(steps) < 10
    if database == "postgres":
        assert set(steps) == {1}
        return
    async with context.database.read() as transaction:
        rows = await transaction.all("SELECT DISTINCT segid FROM chunk_words_idx ORDER BY segid", {})
        assert await transaction.one("SELECT v FROM chunk_words_config WHERE k = 'automerge'", {}) == (0,)
    assert len(rows) <= MOST_SEGMENTS < ADDITIONS
