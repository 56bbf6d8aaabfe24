"""Wake-ups after a commit, sweepers side by side, and connections on which nothing is left."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support import postgres
from tests.support.clock import SetClock
from tests.support.waiting import SECONDS
from threadkeep.storage import sweeps
from threadkeep.storage.database import Transaction
from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions, commits
from threadkeep.storage.sqlite import SQLiteDatabase
from threadkeep.storage.sweeps import Sweeper

pytestmark = pytest.mark.anyio
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """An empty database."""
    made = f"wake_{os.getpid()}_{next(_numbers)}"
    postgres.server().empty(made)
    return made


@pytest.fixture
async def pair(name) -> AsyncIterator[tuple[PostgresDatabase, PostgresDatabase]]:
    """One database as two processes see it."""
    options = PostgresOptions(postgres.server().url(name), 4)
    one, other = PostgresDatabase(options), PostgresDatabase(options)
    await migrate(one)
    yield one, other
    await one.close()
    await other.close()


@pytest.fixture
async def sqlite(tmp_path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(tmp_path / "threadkeep.db")
    yield database
    await database.close()


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), SECONDS)
    event.clear()


async def wake(transaction: Transaction) -> None:
    await transaction.wake("ours")


async def test_sqlite_calls_whoever_listens_on_the_channel(sqlite):
    ours, theirs = asyncio.Event(), asyncio.Event()
    sqlite.listen("ours", ours.set)
    sqlite.listen("theirs", theirs.set)
    await sqlite.write(wake)
    await soon(ours)
    assert not theirs.is_set()


async def test_postgresql_calls_whoever_listens_in_every_process(pair):
    events = [asyncio.Event() for _ in pair]
    for database, event in zip(pair, events, strict=True):
        database.listen("ours", event.set)
        await soon(event)  # once for what was said before it listened
    await pair[0].write(wake)
    for event in events:
        await soon(event)


async def test_nobody_is_called_where_nothing_was_committed(pair):
    ours, done = asyncio.Event(), asyncio.Event()
    for channel, event in {"ours": ours, "done": done}.items():
        pair[0].listen(channel, event.set)
        await soon(event)

    async def failing(transaction: Transaction) -> None:
        await transaction.wake("ours")
        raise ValueError("on its way")

    async def finish(transaction: Transaction) -> None:
        await transaction.wake("done")

    with pytest.raises(ValueError, match="on its way"):
        await pair[1].write(failing)
    await pair[1].write(finish)
    await soon(done)
    assert not ours.is_set()


LISTENERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'threadkeep listener' AND datname = :name
"""


async def test_a_listener_comes_back_by_itself(pair, name):
    event = asyncio.Event()
    pair[0].listen("ours", event.set)
    await soon(event)
    async with pair[1].read() as transaction:
        assert await transaction.all(LISTENERS, {"name": name}) == [(True,)]
    await soon(event)  # it listens again, and calls for what it may have missed
    await pair[1].write(wake)
    await soon(event)


# ------------------------------------------------------------------ sweepers


def counting(seen: Counter[str]) -> Callable[[str], Awaitable[bool]]:
    async def handler(item: str) -> bool:
        seen[item] += 1
        await asyncio.sleep(0)
        return True

    return handler


async def swept(sweeper: Sweeper) -> None:
    while await sweeper.sweep():
        pass


@pytest.mark.promise("server.many.deletions-once")
async def test_sweepers_of_several_processes_share_what_is_due(pair, caplog):
    clock, seen = SetClock(), Counter[str]()
    items = [f"item {number:02}" for number in range(50)]

    async def plan(transaction: Transaction) -> None:
        for item in items:
            await sweeps.plan(transaction, sweeps.BLOB, item, int(clock()))

    await pair[0].write(plan)
    sweepers = [Sweeper(database, clock, {sweeps.BLOB: counting(seen)}) for database in (*pair, *pair)]
    await asyncio.gather(*map(swept, sweepers))
    async with pair[0].read() as transaction:
        assert await transaction.all("SELECT kind, item FROM sweeps", {}) == []
    assert seen == Counter(items)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.promise("server.many.deletions-once")
async def test_a_deletion_wakes_a_sweeper_of_another_process(pair, monkeypatch):
    monkeypatch.setattr(sweeps, "SECONDS_BETWEEN", 3600.0)
    clock, called = SetClock(), asyncio.Event()

    async def handler(_: str) -> bool:
        called.set()
        return True

    async def plan(transaction: Transaction) -> None:
        await sweeps.plan_now(transaction, sweeps.BLOB, "item", int(clock()))

    sweeper = Sweeper(pair[0], clock, {sweeps.BLOB: handler})
    sweeper.start()
    await pair[1].write(plan)
    await soon(called)
    await sweeper.stop()


async def test_what_a_dead_process_had_taken_on_is_due_again(pair):
    clock, seen = SetClock(), Counter[str]()

    async def plan(transaction: Transaction) -> None:
        await sweeps.plan(transaction, sweeps.BLOB, "item", int(clock()))

    await pair[0].write(plan)
    sweepers = [Sweeper(database, clock, {sweeps.BLOB: counting(seen)}) for database in pair]
    assert await sweepers[0]._claim(sweeps.BLOB, "item")  # and then it dies
    await swept(sweepers[1])
    assert seen == Counter()
    clock.advance(sweeps.SECONDS_CLAIMED)
    await swept(sweepers[1])
    assert seen == Counter(["item"])


@pytest.mark.promise("server.many.routines-once")
async def test_a_routine_is_one_process_s_work_at_a_time(pair):
    clock, under_way = SetClock(), 0
    done: list[int] = []

    async def routine() -> bool:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        for _ in range(20):
            await pair[0].scan(nothing)
        under_way -= 1
        done.append(1)
        return len(done) % 3 == 0  # it takes three goes

    sweepers = [Sweeper(database, clock, {}, {"ours": routine}) for database in (*pair, *pair)]
    for rounds in (1, 2):
        await asyncio.gather(*map(swept, sweepers))
        await asyncio.gather(*map(swept, sweepers))  # not again before its time
        assert len(done) == 3 * rounds
        clock.advance(sweeps.SECONDS_BETWEEN_ROUTINES)


async def nothing(transaction: Transaction) -> None:
    await transaction.one("SELECT 1", {})


async def test_what_a_later_release_has_planned_is_left_to_it(pair, caplog):
    async def plan(transaction: Transaction) -> None:
        await sweeps.plan(transaction, "of_tomorrow", "item", 0)

    await pair[0].write(plan)
    await swept(Sweeper(pair[0], SetClock(), {}))
    async with pair[0].read() as transaction:
        assert await transaction.all("SELECT item, due_at FROM sweeps", {}) == [("item", 0)]
    assert caplog.records == []


async def test_rows_of_connections_that_are_gone_are_removed(pair):
    async def begin(transaction: Transaction) -> None:
        await transaction.run("DELETE FROM commits", {})

    async def rows(transaction: Transaction) -> list[tuple]:
        return await transaction.all("SELECT number, closed, written_at FROM commits", {})

    await pair[0].write(begin)
    ((_, closed, written_at),) = await pair[1].scan(rows)
    assert closed == 0
    await pair[1].tidy(written_at + commits.KEPT_FOR - 1)
    assert len(await pair[1].scan(rows)) == 1
    await pair[1].tidy(written_at + commits.KEPT_FOR)
    assert len(await pair[0].scan(rows)) == 1  # its own


async def test_a_statement_is_planned_once_a_connection(name):
    database = PostgresDatabase(PostgresOptions(postgres.server().url(name), 1))
    planned = (
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT 40 +%'"
    )

    async def work(transaction: Transaction) -> int:
        row = await transaction.one("SELECT 40 + CAST(:two AS BIGINT)", {"two": 2})
        return row[0] if row else 0

    for _ in range(3):
        assert await database.scan(work) == 42
    assert await database.scan(lambda transaction: transaction.all(planned, {})) == [(3, 0)]
    await database.close()


# ------------------------------------------------------------------ behind a PgBouncer


@pytest.mark.promise("server.pgbouncer")
async def test_nothing_is_left_on_a_connection_that_may_not_keep_anything(name):
    database = PostgresDatabase(PostgresOptions(postgres.server().url(name), 2, prepared=False))
    await migrate(database)

    async def work(transaction: Transaction) -> list[tuple]:
        return await transaction.all("SHOW statement_timeout", {})

    assert await database.write(work) == [("30s",)]
    async with database.read() as transaction:
        assert await transaction.all("SHOW lock_timeout", {}) == [("200ms",)]
    async with database._pool.connection() as connection:
        raw = connection.raw
        assert await raw.fetchval("SHOW statement_timeout") == "0"
        assert await raw.fetchval("SHOW application_name") == ""
        assert await raw.fetch("SELECT name FROM pg_prepared_statements") == []
    await database.close()


@pytest.mark.promise("server.pgbouncer")
async def test_every_statement_is_in_a_transaction_where_connections_may_change(name, monkeypatch):
    database = PostgresDatabase(PostgresOptions(postgres.server().url(name), 2, prepared=False))
    await migrate(database)
    outside: list[str] = []
    async with database._pool.connection() as connection:
        fetch = connection.raw.fetch

        async def watched(sql: str, *values: object) -> list:
            if not connection.raw.is_in_transaction():
                outside.append(sql)
            return await fetch(sql, *values)

    monkeypatch.setattr(type(connection.raw), "fetch", lambda _, *rest: watched(*rest))
    sweeper = Sweeper(database, SetClock(), {})
    assert not await sweeper.sweep()
    await database.write(lambda transaction: sweeps.drop(transaction, sweeps.BLOB, "x"))
    assert outside == []
    monkeypatch.undo()
    await database.close()
