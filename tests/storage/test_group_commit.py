"""Works that arrive together share one commit, and fail alone."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from tests.storage.conftest import Notebook, open_notebook
from threadkeep.errors import NotFound, Unavailable
from threadkeep.storage.sqlite import LARGEST_BATCH

pytestmark = pytest.mark.anyio
SECONDS = 20


@asynccontextmanager
async def writer_held(notebook: Notebook):
    """The writer is busy with a work of its own until the block ends: what is written meanwhile queues up."""
    entered, gate = threading.Event(), threading.Event()

    async def work(_):
        entered.set()
        assert gate.wait(SECONDS)

    holding = asyncio.create_task(notebook.write(work))
    assert await asyncio.to_thread(entered.wait, SECONDS)
    try:
        yield
    finally:
        gate.set()
    await holding


async def queued(*works):
    """Tasks for these writes, all of them in the queue."""
    tasks = [asyncio.create_task(work) for work in works]
    for _ in range(3):  # turns of the loop: until each has asked, and all are handed over
        await asyncio.sleep(0)
    return tasks


def at_each_commit(notebook: Notebook, look) -> list:
    """A list that grows with each commit by what `look()` returns just before it."""
    seen: list = []

    def hook() -> bool:
        seen.append(look())
        return False  # go on with the commit

    notebook._writing.set_commit_hook(hook)
    return seen


async def test_every_connection_is_wal_with_synchronous_full(notebook):
    async def settings(transaction):
        modes = [await transaction.one(f"PRAGMA {name}", {}) for name in ("journal_mode", "synchronous")]
        return [mode[0] for mode in modes]

    async with notebook.read() as transaction:
        reading = await settings(transaction)
    scanning = await notebook.scan(settings)
    writing = [notebook._writing.execute(f"PRAGMA {name}").get for name in ("journal_mode", "synchronous")]
    assert [reading, scanning, writing] == [["wal", 2]] * 3


async def test_only_the_writer_can_write(notebook):
    write = notebook.adding("through a reader")
    with pytest.raises(Unavailable, match="readonly"):
        async with notebook.read() as transaction:
            await write(transaction)
    with pytest.raises(Unavailable, match="readonly"):
        await notebook.scan(write)
    assert await notebook.notes() == []


async def test_works_that_arrive_together_share_one_commit(notebook):
    commits = at_each_commit(notebook, lambda: "commit")
    async with writer_held(notebook):
        tasks = await queued(*(notebook.add(f"{number:02}") for number in range(50)))
    assert await asyncio.gather(*tasks) == [f"{number:02}" for number in range(50)]
    assert len(commits) == 2  # the holder's, and one for all fifty
    assert await notebook.notes() == [f"{number:02}" for number in range(50)]


async def test_a_batch_that_is_large_enough_takes_no_more(notebook):
    commits = at_each_commit(notebook, lambda: "commit")
    async with writer_held(notebook):
        tasks = await queued(*(notebook.add(f"{number:04}") for number in range(LARGEST_BATCH)))
        tasks += await queued(notebook.add("one more"))
    await asyncio.gather(*tasks)
    assert len(commits) == 3


async def test_nobody_is_answered_before_the_commit(notebook):
    async with writer_held(notebook):
        tasks = await queued(*(notebook.add(text) for text in "ab"))
        answered = at_each_commit(notebook, lambda: [task.done() for task in tasks])
    await asyncio.gather(*tasks)
    assert answered[-1] == [False, False]


async def fails_untouched(transaction):
    await transaction.one("SELECT text FROM notes", {})
    raise NotFound("note", "x")


async def fails_after_writing(transaction):
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})
    raise NotFound("note", "x")


async def breaks_after_writing(transaction):
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})
    raise ZeroDivisionError


async def breaks_a_constraint(transaction):
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})


async def is_no_sql(transaction):
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})
    await transaction.run("NO SQL AT ALL", {})


async def waits_for_something_else(transaction):
    await transaction.run("INSERT INTO notes (text) VALUES ('half')", {})
    await asyncio.sleep(0)


FAILURES = {
    "a refusal before anything was written": (fails_untouched, "NotFound"),
    "a refusal after something was written": (fails_after_writing, "NotFound"),
    "a fault after something was written": (breaks_after_writing, "ZeroDivisionError"),
    "a broken constraint": (breaks_a_constraint, "ConstraintError"),
    "a statement that is none": (is_no_sql, "SQLError"),
    "a wait for something other than the transaction": (waits_for_something_else, "RuntimeError"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_failing_work_undoes_its_own_statements_and_spares_its_neighbours(notebook, name, place):
    work, error = FAILURES[name]
    works = [notebook.adding("one"), notebook.adding("two")]
    works.insert(place, work)
    async with writer_held(notebook):
        tasks = await queued(*(notebook.write(one) for one in works))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    names = [one if isinstance(one, str) else type(one).__name__ for one in outcomes]
    expected = ["one", "two"]
    expected.insert(place, error)
    assert names == expected
    assert await notebook.notes() == ["one", "two"]


async def test_a_refusal_is_judged_by_what_came_before_it(notebook):
    """A work that fails because of its neighbour's rows must fail again when the batch is replayed."""

    async def only_if_empty(transaction):
        if await transaction.one("SELECT 1 FROM notes", {}):
            raise NotFound("emptiness", "")
        await transaction.run("INSERT INTO notes (text) VALUES ('first')", {})

    async with writer_held(notebook):
        tasks = await queued(
            notebook.write(only_if_empty), notebook.write(breaks_after_writing), notebook.write(only_if_empty)
        )
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one).__name__ for one in outcomes] == ["NoneType", "ZeroDivisionError", "NotFound"]
    assert await notebook.notes() == ["first"]


async def test_a_caller_that_goes_away_leaves_its_neighbours_alone(notebook):
    async with writer_held(notebook):
        gone, stays = await queued(notebook.add("gone"), notebook.add("stays"))
        gone.cancel()
    assert await stays == "stays"
    assert gone.cancelled()
    assert "stays" in await notebook.notes()


async def test_close_commits_what_is_queued(tmp_path):
    notebook = await open_notebook(tmp_path / "notes.db")
    async with writer_held(notebook):
        tasks = await queued(*(notebook.add(f"{number:02}") for number in range(30)))
        tasks.append(asyncio.create_task(notebook.add("last")))
        closing = asyncio.create_task(notebook.close())  # in the same turn: asked for, not handed over yet
        await asyncio.sleep(0)
    await closing
    answers = await asyncio.wait_for(asyncio.gather(*tasks), SECONDS)
    assert answers == [*(f"{number:02}" for number in range(30)), "last"]
    again = await open_notebook(tmp_path / "notes.db")
    assert len(await again.notes()) == 31
    await again.close()


async def test_the_writer_outlives_an_error_that_nobody_foresaw(notebook):
    def hook() -> bool:
        raise ZeroDivisionError

    notebook._writing.set_commit_hook(hook)
    with pytest.raises(Unavailable):
        await notebook.add("lost")
    notebook._writing.set_commit_hook(None)
    await notebook.add("kept")
    assert await notebook.notes() == ["kept"]


async def test_a_write_after_close_is_refused(tmp_path):
    notebook = await open_notebook(tmp_path / "notes.db")
    await notebook.close()
    with pytest.raises(Unavailable):
        await notebook.add("too late")
