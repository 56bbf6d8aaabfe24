"""Locks that others hold on PostgreSQL: waited for in a line, which leaves connections to everybody else."""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.support.black_hole import BlackHole
from tests.support.postgres import server
from tests.support.waiting import until
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Row, Transaction
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.postgres.connection import Connection

pytestmark = [pytest.mark.anyio, pytest.mark.promise("postgres.locks")]
CONNECTIONS = 4
IN_LINE = 1
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def prepared() -> bool:
    return True


@pytest.fixture
async def database(tmp_path, prepared) -> AsyncIterator[PostgresDatabase]:
    """A database with one note, whose connections wait two hundredths of a second without patience."""
    url = await asyncio.to_thread(server().of, tmp_path)
    opened = PostgresDatabase(PostgresOptions(url, CONNECTIONS, prepared=prepared, moment=20))
    await opened.write(make_notes)
    yield opened
    await opened.close()


async def make_notes(transaction: Transaction) -> None:
    await transaction.define("CREATE TABLE notes (text TEXT PRIMARY KEY, number BIGINT)")
    await transaction.run("INSERT INTO notes VALUES ('a', 0)", {})


async def count_up(transaction: Transaction) -> int:
    row = await transaction.one("UPDATE notes SET number = number + 1 RETURNING number", {})
    assert row
    return int(row[0])


async def number(transaction: Transaction) -> Row | None:
    return await transaction.one("SELECT number FROM notes", {})


@asynccontextmanager
async def another(tmp_path) -> AsyncIterator[asyncpg.Connection]:
    """Another program's connection."""
    connection = await asyncpg.connect(await asyncio.to_thread(server().of, tmp_path))
    yield connection
    await connection.close()


@asynccontextmanager
async def holding(tmp_path, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """While another program holds what this statement locks."""
    async with another(tmp_path) as connection, connection.transaction():
        await connection.execute(statement)
        yield connection


@pytest.mark.parametrize("prepared", [True, False])
async def test_writes_that_wait_for_a_lock_leave_connections_to_others(database, tmp_path, caplog):
    caplog.set_level("INFO", "threadkeep")
    async with another(tmp_path) as watching, holding(tmp_path, "UPDATE notes SET number = 0"):
        writes = [asyncio.create_task(database.write(count_up)) for _ in range(3 * CONNECTIONS)]
        async with asyncio.timeout(20):
            while caplog.text.count("event=lock_awaited") < len(writes):
                assert await database.scan(number) == (0,)
        for _ in range(5):
            await database.check()
        assert len(await watching.fetch(WAITING)) == IN_LINE
        assert not any(write.done() for write in writes)
    assert sorted(await asyncio.gather(*writes)) == [*range(1, len(writes) + 1)]


async def test_who_comes_too_late_in_the_line_is_told_so(database, tmp_path):
    url = await asyncio.to_thread(server().of, tmp_path)
    hasty = PostgresDatabase(PostgresOptions(url, CONNECTIONS, lock_timeout=40, moment=20))
    async with holding(tmp_path, "UPDATE notes SET number = 0"):
        answers = await asyncio.gather(*(hasty.write(count_up) for _ in range(8)), return_exceptions=True)
    told = [(str(one), one.reason) for one in answers if isinstance(one, Unavailable)]
    assert told == [("canceling statement due to lock timeout", "busy")] * 8
    assert await hasty.write(count_up) == 1
    await hasty.close()


async def test_all_locks_of_a_write_are_waited_for_as_long_as_one(database, tmp_path, caplog):
    caplog.set_level("INFO", "threadkeep")
    limits: list[int] = []

    async def work(transaction: Transaction) -> None:
        await count_up(transaction)
        for _ in range(2):
            ((limit,),) = await transaction.all("SHOW lock_timeout", {})
            limits.append(milliseconds(limit))
            await transaction.one("SELECT pg_sleep(0.002)", {})

    async with holding(tmp_path, "UPDATE notes SET number = 0"), asyncio.timeout(20):
        write = asyncio.create_task(database.write(work))
        while "event=lock_awaited" not in caplog.text:
            await database.check()
    await write
    first, second = limits
    assert 20 < second < first < 10_000


def milliseconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)(ms|s)", text)
    assert match
    return int(match[1]) * (1000 if match[2] == "s" else 1)


@pytest.mark.parametrize("prepared", [True, False])
async def test_a_read_waits_for_whoever_has_a_table_for_itself(database, tmp_path, monkeypatch):
    """As a migration of a later release may have."""
    patient = asyncio.Event()
    send = Connection.all_by

    async def noting(connection, until, sql, params):
        patient.set()
        return await send(connection, until, sql, params)

    monkeypatch.setattr(Connection, "all_by", noting)
    async with holding(tmp_path, "LOCK TABLE notes"):
        read = asyncio.create_task(database.scan(number))
        async with asyncio.timeout(20):
            await patient.wait()
    assert await read == (0,)


async def test_a_process_that_froze_loses_its_locks_before_others_lose_their_patience(database):
    async def limit(transaction: Transaction) -> int:
        ((text,),) = await transaction.all("SHOW idle_in_transaction_session_timeout", {})
        return milliseconds(text)

    assert await database.write(limit) < PostgresOptions("").lock_timeout


@pytest.mark.parametrize("prepared", [True, False])
async def test_a_process_that_froze_and_goes_on_has_stored_nothing(database, prepared, tmp_path):
    """Over TCP, where the server's last word is read only now."""
    gone = "SELECT 1 FROM pg_stat_activity WHERE pid = {} HAVING count(*) = 0"

    async def freeze(transaction: Transaction) -> None:
        await count_up(transaction)
        ((pid,),) = await transaction.all("SELECT pg_backend_pid()", {})
        await transaction.run("SET LOCAL idle_in_transaction_session_timeout = 1", {})
        with ThreadPoolExecutor(1) as threads:  # while this loop stands still
            threads.submit(until, lambda: server().execute(gone.format(pid))).result()
        await count_up(transaction)

    with BlackHole(await asyncio.to_thread(server().of, tmp_path)) as way:
        remote = PostgresDatabase(PostgresOptions(way.url, 1, prepared=prepared))
        with pytest.raises(Unavailable) as given_up:
            await remote.write(freeze)
        assert given_up.value.reason == "unreachable"
        assert await remote.write(count_up) == 1
        await remote.close()
