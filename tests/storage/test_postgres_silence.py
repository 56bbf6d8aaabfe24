"""A connection to PostgreSQL that says nothing more: no request waits for it for ever."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.black_hole import BlackHole
from tests.support.postgres import server
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Transaction
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.postgres import connection as connections

pytestmark = [pytest.mark.anyio, pytest.mark.promise("postgres.silence")]


@pytest.fixture
def hole(tmp_path) -> Iterator[BlackHole]:
    with BlackHole(server().of(tmp_path)) as one:
        yield one


@pytest.fixture(params=[True, False], ids=["prepared", "pooled"])
async def database(hole, monkeypatch, request) -> AsyncIterator[PostgresDatabase]:
    """One open connection, whose server has half a second for a statement, and a tenth more to say so."""
    monkeypatch.setattr(connections, "SECONDS_OF_SILENCE", 0.1)
    options = PostgresOptions(hole.url, 1, statement_timeout=500, prepared=request.param)
    opened = PostgresDatabase(options)
    await opened.check()
    monkeypatch.setattr(connections, "SECONDS_FOR_A_CONNECTION", 0.2)  # for those that go into the hole
    monkeypatch.setattr("threadkeep.storage.postgres.SECONDS_TO_RECOVER", 0.2)
    yield opened
    await opened.close()
    await asyncpgs_tasks_ended()


async def asyncpgs_tasks_ended() -> None:
    """End its own requests to cancel, which were swallowed too; by itself it gives them up later."""
    tasks = [task for task in asyncio.all_tasks() if "asyncpg" in repr(task)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with warnings.catch_warnings():  # it forgets the sockets of what is cancelled like this
        warnings.simplefilter("ignore", ResourceWarning)
        await asyncio.sleep(0)
        gc.collect()


async def select(transaction: Transaction) -> None:
    await transaction.one("SELECT 1", {})


async def insert(transaction: Transaction) -> None:
    await transaction.run("INSERT INTO projects VALUES ('proj_1', 'name', 0)", {})


async def test_a_read_is_given_up(database, hole):
    hole.swallow()
    with pytest.raises(Unavailable) as given_up:
        await database.scan(select)
    assert (given_up.value.reason, hole.swallowed > 0) == ("unreachable", True)


async def test_a_write_is_given_up(database, hole):
    hole.swallow()
    with pytest.raises(Unavailable):
        await database.write(insert)


async def test_a_write_is_given_up_whose_commit_goes_nowhere(database, hole):
    async def silenced(transaction: Transaction) -> None:
        await insert(transaction)
        hole.swallow()

    with pytest.raises(Unavailable):
        await database.write(silenced)


async def test_the_next_one_gets_a_connection_that_speaks(database, hole, monkeypatch):
    hole.swallow()
    with pytest.raises(Unavailable):
        await database.scan(select)
    hole.swallow(everything=False)
    monkeypatch.undo()
    await database.write(insert)
    await database.check()
