"""What a crash of PostgreSQL leaves open is not guessed."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import asyncpg
import pytest
from msgspec import Struct

from tests.support.postgres import Postgres, migrated
from threadkeep.storage.database import Params
from threadkeep.storage.postgres import recovered
from threadkeep.storage.postgres.commits import CLOSE, Commit
from threadkeep.storage.postgres.connection import Backend, Pool, PostgresOptions

INSERT = "INSERT INTO notes (text) VALUES ('x')"


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that writes nothing to its log before a commit asks for it."""
    with closing(Postgres()) as one:
        one.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        one.execute("SELECT pg_reload_conf()")
        asyncio.run(migrated(one.url("postgres")))
        one.execute("CREATE TABLE notes (text TEXT)")
        yield one


class Ended(Struct):
    """A transaction that has written something: its number, its commit, and the process that ran it."""

    number: str
    commit: Commit
    backend: Backend | None


def transaction(server: Postgres, ended_by: str) -> Ended:
    async def run() -> Ended:
        pool = Pool(PostgresOptions(server.url("postgres")))
        async with pool.connection() as connection:
            await connection.begin()
            await connection.raw.execute(INSERT)
            number: str = await connection.raw.fetchval("SELECT pg_current_xact_id()::text")
            commit = await connection.next_commit()
            if ended_by == "a crash":
                server.stop("immediate")
            else:
                await connection.commit(commit)
        await pool.close()
        return Ended(number, commit, connection.backend)

    return asyncio.run(run())


def took_place(server: Postgres, one: Ended) -> bool:
    """What is found out about a transaction whose commit was not answered."""

    async def ask() -> bool:
        pool = Pool(PostgresOptions(server.url("postgres")))
        asked: Params = {"connection": one.commit.connection}
        found = await recovered(pool, one.backend, CLOSE, asked)
        await pool.close()
        return bool(found[0][0] == one.commit.number)

    return asyncio.run(ask())


@pytest.mark.promise("server.crash.commit-not-guessed")
def test_a_transaction_that_a_crash_undid_is_not_taken_for_a_later_one_of_its_number(server):
    lost = transaction(server, ended_by="a crash")
    server.start()
    later = transaction(server, ended_by="a commit")
    assert later.number == lost.number  # or this test shows nothing
    assert not took_place(server, lost)
    assert took_place(server, later)


@pytest.mark.promise("server.crash.commit-not-guessed")
def test_a_commit_that_comes_after_it_was_asked_for_fails(server):
    """As it may through a PgBouncer, behind which the process of a lost connection is not known."""

    async def run() -> bool:
        pool = Pool(PostgresOptions(server.url("postgres")))
        async with pool.connection() as late, pool.connection() as other:
            await late.begin()
            await late.raw.execute(INSERT)
            commit = await late.next_commit()
            assert (await other.all(CLOSE, {"connection": commit.connection}))[0][0] != commit.number
            with pytest.raises(asyncpg.NotNullViolationError):
                await late.commit(commit)
            await late.raw.execute("ROLLBACK")
        await pool.close()
        return True

    assert asyncio.run(run())
    assert server.execute("SELECT text FROM notes") == []
