"""What a crash of PostgreSQL leaves open is not guessed."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.postgres import Postgres
from threadkeep.storage.database import Params, Row
from threadkeep.storage.postgres import IS_COMMITTED, TRANSACTION_ID, recovered
from threadkeep.storage.postgres.connection import Backend, Pool, PostgresOptions

INSERT = "INSERT INTO notes (text) VALUES ('x')"


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that writes nothing to its log before a commit asks for it."""
    with closing(Postgres()) as one:
        one.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        one.execute("SELECT pg_reload_conf()")
        one.execute("CREATE TABLE notes (text TEXT)")
        yield one


def transaction(server: Postgres, ended_by: str) -> tuple[str, Backend]:
    """The number of a transaction that has written something, and the process that ran it."""

    async def run() -> tuple[str, Backend]:
        pool = Pool(PostgresOptions(server.url("postgres")))
        async with pool.connection() as connection:
            await connection.raw.execute("BEGIN")
            await connection.raw.execute(INSERT)
            number: str = await connection.raw.fetchval(TRANSACTION_ID)
            backend = connection.backend
            assert backend
            if ended_by == "a crash":
                server.stop("immediate")
            else:
                await connection.raw.execute("COMMIT")
        await pool.close()
        return number, backend

    return asyncio.run(run())


def outcome(server: Postgres, number: str, backend: Backend) -> list[Row]:
    """What is found out about a transaction whose commit was not answered."""

    async def ask() -> list[Row]:
        pool = Pool(PostgresOptions(server.url("postgres")))
        asked: Params = {"transaction_id": number, "life": backend.life}
        found = await recovered(pool, backend, IS_COMMITTED, asked)
        await pool.close()
        return found

    return asyncio.run(ask())


@pytest.mark.promise("server.crash.commit-not-guessed")
def test_a_transaction_that_a_crash_undid_is_not_taken_for_a_later_one_of_its_number(server):
    lost = transaction(server, ended_by="a crash")
    server.start()
    later = transaction(server, ended_by="a commit")
    assert later[0] == lost[0]  # or this test shows nothing
    assert outcome(server, *lost) == []
    assert outcome(server, *later) == [(1,)]
