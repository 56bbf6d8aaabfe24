"""Migrations that take long on PostgreSQL: they are waited for, and hold nobody up who does not need them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.support.postgres import Postgres
from tests.support.waiting import until
from threadkeep.clock import system_clock
from threadkeep.errors import Unavailable
from threadkeep.ids import id_maker
from threadkeep.projects.actions import Keys
from threadkeep.storage import migrate as module
from threadkeep.storage.health import BUSY
from threadkeep.storage.migrate import Migration, migrate, migrations, pending
from threadkeep.storage.postgres import OUR_LOCK, PostgresDatabase, PostgresOptions
from threadkeep.storage.postgres import connection as connections

pytestmark = [pytest.mark.anyio, pytest.mark.promise("server.migrate.long")]
STATEMENT, LOCK, SILENCE, LONG = 1000, 300, 500, 1800
"""Milliseconds for a statement, for a lock, until a connection counts as lost; and longer than all of it."""
WAITING = f"""
    SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = {OUR_LOCK >> 32}
    AND a.datname = current_database() AND now() - a.query_start > interval '{LONG} milliseconds'
"""


@pytest.fixture
def url(postgres: Postgres, tmp_path: Any) -> str:
    """The address of a database whose schema is that of this release."""
    return postgres.of(tmp_path)


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
async def database(
    request: pytest.FixtureRequest, url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresDatabase]:
    monkeypatch.setattr(connections, "SECONDS_OF_SILENCE", SILENCE / 1000)
    opened = PostgresDatabase(PostgresOptions(url, 2, STATEMENT, LOCK, prepared=request.param))
    yield opened
    await opened.close()


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Migration]:
    """Gives this release one more migration, of these statements."""
    every = migrations()

    def with_one_more(*statements: str) -> Migration:
        one = Migration(len(every) + 1, "of_tomorrow", statements, len(every))
        monkeypatch.setattr(module, "migrations", lambda: (*every, one))
        return one

    return with_one_more


@asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody whose transaction holds what the statement takes."""
    outsider = await asyncpg.connect(url)
    try:
        await outsider.execute(f"BEGIN; {statement}")
        yield outsider
    finally:
        await outsider.close()


async def test_a_statement_of_a_migration_may_take_as_long_as_it_takes(database, next_release):
    one = next_release(
        f"SELECT pg_sleep({LONG / 1000})", "CREATE TABLE of_tomorrow (id BIGINT NOT NULL PRIMARY KEY)"
    )
    assert await migrate(database) == [one]
    assert await pending(database) == []
    assert await migrate(database) == []


async def test_a_migration_that_another_process_is_at_is_waited_for(
    database, postgres, place, url, next_release, caplog
):
    caplog.set_level(logging.INFO)
    one = next_release("CREATE TABLE of_tomorrow (id BIGINT NOT NULL PRIMARY KEY)")
    async with holding(url, f"SELECT pg_advisory_xact_lock({OUR_LOCK})") as other:
        waits = asyncio.create_task(migrate(database))
        await asyncio.to_thread(until, lambda: waits.done() or postgres.execute(WAITING, place) == [(1,)])
        assert not waits.done()
        assert "event=migration_awaited" in caplog.text
        await other.execute("COMMIT")
        assert await waits == [one]


async def test_whoever_lacks_no_migration_waits_for_none(database, url):
    """As processes of the release before, which are started again while the next one migrates."""
    keys = Keys(database, system_clock, id_maker(system_clock))
    await keys.create("p", "k")
    await keys.fix("sk-fixed")
    async with holding(url, f"SELECT pg_advisory_xact_lock({OUR_LOCK})"):
        assert await migrate(database) == []
        assert await keys.first() is None
        await keys.fix("sk-fixed")


async def test_a_migration_does_not_wait_long_for_a_table_that_is_in_use(database, url, next_release):
    """Whoever waits for a table keeps everybody else from it."""
    next_release("ALTER TABLE threads ADD COLUMN of_tomorrow BIGINT")
    async with holding(url, "LOCK TABLE threads IN ACCESS SHARE MODE"):
        with pytest.raises(Unavailable) as refused:
            await migrate(database)
        assert refused.value.reason == BUSY
    assert len(await migrate(database)) == 1
