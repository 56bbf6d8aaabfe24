"""Readers see every commit that anybody was told of, and never wait for a writer."""

import asyncio
from contextlib import closing

import apsw
import pytest

from tests.storage.conftest import Notebook

pytestmark = pytest.mark.anyio


def locked(notebook: Notebook):
    """The write lock, taken by a connection of another program that has written and not committed."""
    other = apsw.Connection(str(notebook._path))
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO notes (text) VALUES ('uncommitted')")
    return closing(other)


async def notes_by_scan(notebook: Notebook) -> list[str]:
    async def work(transaction):
        return [row[0] for row in await transaction.all("SELECT text FROM notes ORDER BY text", {})]

    return await notebook.scan(work)


async def test_readers_do_not_wait_while_another_connection_holds_the_write_lock(notebook, monkeypatch):
    monkeypatch.setattr("threadkeep.storage.sqlite.BUSY_MILLISECONDS", 0)
    notebook._reader._connection.set_busy_timeout(0)  # whoever had to wait would fail at once
    await notebook.add("committed")
    with locked(notebook):
        assert await notebook.notes() == ["committed"]
        assert await notes_by_scan(notebook) == ["committed"]


async def test_readers_do_not_wait_for_a_work_of_our_own_writer(notebook):
    """The work below is half done, and waits until both kinds of readers have read past it."""
    loop = asyncio.get_running_loop()
    seen = []

    async def work(transaction):
        await transaction.run("INSERT INTO notes (text) VALUES ('half done')", {})
        for read in (notebook.notes, lambda: notes_by_scan(notebook)):
            seen.append(asyncio.run_coroutine_threadsafe(read(), loop).result(20))

    await notebook.write(work)
    assert seen == [[], []]
    assert await notebook.notes() == ["half done"]


async def test_whoever_is_told_of_a_write_reads_it(notebook):
    """Also while other readers are at it all the time, whose older view must not be handed on."""
    stopped = False

    async def keep_reading() -> None:
        while not stopped:
            await notebook.notes()
            await asyncio.sleep(0)

    readers = [asyncio.create_task(keep_reading()) for _ in range(3)]
    for number in range(200):
        text = await notebook.add(f"{number:03}")
        assert (await notebook.notes())[-1] == text
        assert (await notes_by_scan(notebook))[-1] == text
    stopped = True
    await asyncio.gather(*readers)


async def test_a_write_waits_for_another_program_to_finish_its_own(notebook):
    with locked(notebook) as other:
        adding = asyncio.create_task(notebook.add("ours"))
        await asyncio.sleep(0)
        other.execute("COMMIT")
        await adding
    assert await notebook.notes() == ["ours", "uncommitted"]
