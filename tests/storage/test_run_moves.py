"""How a run may move: one table, which the code keeps to and both databases enforce."""

import itertools
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import asyncpg
import pytest

from tests.support.house import DATABASES, database_url
from threadkeep.app import open_database
from threadkeep.runs import store
from threadkeep.runs.model import MOVES, TERMINAL, IllegalMove, Job, Run, Status, moved
from threadkeep.settings import Settings
from threadkeep.storage.companions import companion_of
from threadkeep.storage.database import Database, Transaction

pytestmark = pytest.mark.anyio
PAIRS = list(itertools.product(MOVES, MOVES))
LEGAL = {(before, after) for before, onward in MOVES.items() for after in onward}
REFUSALS = (apsw.ConstraintError, asyncpg.CheckViolationError)
RUN = Run(id="run_x", created_at=1, assistant_id="asst_x", thread_id="thread_x", model="m")
WAYS: dict[str, list[Status]] = {
    "queued": [],
    "in_progress": ["in_progress"],
    "requires_action": ["in_progress", "requires_action"],
    "cancelling": ["cancelling"],
    "cancelled": ["cancelling", "cancelled"],
    "failed": ["failed"],
    "completed": ["in_progress", "completed"],
    "incomplete": ["in_progress", "incomplete"],
    "expired": ["expired"],
}
"""How a queued run comes to each status."""


@pytest.fixture
def url(database: str, tmp_path: Path) -> str:
    """The address of a database of its own, of either kind."""
    return database_url(database, tmp_path)


@pytest.fixture
async def rows(url: str) -> AsyncIterator[Database]:
    """A database with the schema."""
    async with open_database(Settings(database_url=url)) as opened:
        yield opened


# ---------------------------------------------------------------- the table


@pytest.mark.promise("runs.moves.table")
@pytest.mark.parametrize(("before", "after"), PAIRS, ids=" to ".join)
def test_a_run_moves_as_the_table_says_and_in_no_other_way(before: Status, after: Status):
    run = Run(id="run_x", created_at=1, assistant_id="a", thread_id="t", model="m", status=before)
    if (before, after) in LEGAL:
        assert moved(run, after).status == after
    else:
        with pytest.raises(IllegalMove):
            moved(run, after)


def test_every_status_can_be_reached_and_every_run_can_end():
    assert set(WAYS) == set(MOVES)
    for status, way in WAYS.items():
        run = RUN
        for step in way:
            run = moved(run, step)
        assert run.status == status
        assert ends_of(status) <= TERMINAL
        assert ends_of(status)


def ends_of(status: Status) -> set[Status]:
    """Where moves from a status can lead that lead no further."""
    seen: set[Status] = {status}
    for _ in MOVES:
        seen |= {after for before in seen for after in MOVES[before]}
    return seen & TERMINAL


def test_a_run_that_is_over_waits_for_nothing():
    run = Run(id="r", created_at=1, assistant_id="a", thread_id="t", model="m", expires_at=601)
    over = moved(moved(run, "in_progress"), "completed", completed_at=5)
    assert (over.expires_at, over.required_action, over.completed_at) == (None, None, 5)


# ---------------------------------------------------------------- the databases


@pytest.mark.parametrize("file", ["schema.sql", "migrations/0004_assistants_runs.sql"])
@pytest.mark.parametrize("engine", DATABASES)
def test_the_triggers_list_the_same_moves_as_the_table(engine: str, file: str):
    sql = "\n".join(companion_of(file, engine))
    assert sorted(re.findall(r"'(\w+)>(\w+)'", sql)) == sorted(LEGAL)


async def set_status(database: Database, status: str) -> None:
    """Move the run, as a buggy process might: without a look at the table."""

    async def work(transaction: Transaction) -> None:
        await transaction.run("UPDATE runs SET status = :status WHERE id = 'run_x'", {"status": status})

    await database.write(work)


async def stored_status(database: Database) -> str:
    async with database.read() as transaction:
        row = await transaction.one("SELECT status FROM runs WHERE id = 'run_x'", {})
    assert row is not None
    return str(row[0])


async def begin_again(database: Database) -> None:
    """Have one run in the database, queued."""

    async def work(transaction: Transaction) -> None:
        await transaction.run(store.DELETE, {"run_id": RUN.id})
        await store.insert(transaction, "proj_x", RUN, Job(), None, 1)

    await database.write(work)


def attempts() -> Iterator[tuple[Status, str]]:
    yield from PAIRS
    yield from ((status, "sleeping") for status in MOVES)


@pytest.mark.promise("runs.moves.database")
async def test_the_database_refuses_every_illegal_move(rows):
    for before, after in attempts():
        await begin_again(rows)
        for step in WAYS[before]:
            await set_status(rows, step)
        if before == after or (before, after) in LEGAL:
            await set_status(rows, after)
            assert await stored_status(rows) == after
        else:
            with pytest.raises(REFUSALS):
                await set_status(rows, after)
            assert await stored_status(rows) == before


@pytest.mark.promise("runs.moves.database")
@pytest.mark.parametrize("status", [status for status in MOVES if status != "queued"])
async def test_the_database_takes_no_run_that_does_not_begin_queued(rows, status: Status):
    async def work(transaction: Transaction) -> None:
        run = Run(id="run_y", created_at=1, assistant_id="a", thread_id="t", model="m", status=status)
        await store.insert(transaction, "proj_x", run, Job(), None, 1)

    with pytest.raises(REFUSALS):
        await rows.write(work)


async def test_an_illegal_move_undoes_its_own_transaction_and_no_other(rows):
    await begin_again(rows)

    async def two_moves(transaction: Transaction) -> None:
        for status in ("in_progress", "cancelled"):
            await transaction.run("UPDATE runs SET status = :status WHERE id = 'run_x'", {"status": status})

    with pytest.raises(REFUSALS):
        await rows.write(two_moves)
    assert await stored_status(rows) == "queued"
