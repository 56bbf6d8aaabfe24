"""Files on their way into a store, on each kind of database, in the hands of servers that may die."""

import asyncio
import os
import signal
import subprocess
from typing import Any

import pytest

from tests.ingestion.desk import LEASE, LINES, PROJECT, SECONDS, Desk, half_way, is_whole
from tests.ingestion.files import docx_of, pdf_of
from threadkeep.errors import FilesUnavailable, Unavailable
from threadkeep.files import actions as files
from threadkeep.files.model import blob_key
from threadkeep.providers.base import ModelFailure
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores.model import Chunking

pytestmark = pytest.mark.anyio


@pytest.mark.promise("ingestion.index")
@pytest.mark.promise("ingestion.progress")
async def test_each_file_of_a_store_is_completed_or_fails(desk):
    vs = await desk.store(
        ("a.md", LINES), ("b.docx", docx_of("In a document")), ("c.pdf", pdf_of("On a page")),
        ("d.exe", b"x"), ("e.pdf", pdf_of("", "")), ("f.txt", b""),
    )  # fmt: skip
    assert vs.file_counts.in_progress == vs.file_counts.total == 6
    desk.start()
    vs = await desk.done(vs)
    assert (vs.status, vs.file_counts.completed, vs.file_counts.failed) == ("completed", 3, 3)
    found = await desk.files_of(vs)
    assert await desk.text_of(vs, found[0].id) == LINES
    assert [(await desk.text_of(vs, one.id)).strip() for one in found[1:]] == [
        "In a document", "On a page", "", "", ""
    ]  # fmt: skip
    assert [one.last_error and one.last_error.code for one in found] == [
        None, None, None, "unsupported_file", "invalid_file", "invalid_file"
    ]  # fmt: skip
    assert found[5].last_error.message == "The file is empty."
    assert [one.usage_bytes for one in found[3:]] == [0, 0, 0]
    assert found[0].usage_bytes == len(LINES)
    assert vs.usage_bytes == sum(one.usage_bytes for one in found)


@pytest.mark.promise("ingestion.chunks")
async def test_a_file_is_cut_as_its_strategy_says(desk):
    desk.start()
    vs = await desk.done(await desk.store(("a.md", LINES), chunking=Chunking(200, 100)))
    twice = await desk.text_of(vs, (await desk.files_of(vs))[0].id)
    assert 1.7 * len(LINES) < len(twice) < 2.1 * len(LINES)


@pytest.mark.promise("ingestion.index")
async def test_chunks_have_vectors_where_there_is_a_model(embedded):
    desk, embedder = embedded
    desk.start()
    vs = await desk.done(await desk.store(("a.md", LINES)))
    assert "".join(embedder.texts) == LINES
    assert vs.usage_bytes == len(LINES) + 4 * 3 * len(embedder.texts)


@pytest.mark.promise("ingestion.index")
async def test_a_model_that_fails_fails_the_file(embedded):
    desk, embedder = embedded

    async def fail() -> None:
        if embedder.texts:
            raise ModelFailure("server_error", "There is no such model.")

    embedder.before = fail
    desk.start()
    vs = await desk.done(await desk.store(("a.md", LINES)))
    (file,) = await desk.files_of(vs)
    assert file.status == "failed"
    assert file.last_error.code == "server_error"
    assert file.last_error.message.endswith("There is no such model.")
    assert await desk.chunks_of(vs) == 0


@pytest.mark.promise("ingestion.progress")
async def test_a_file_is_completed_while_others_are_read(embedded):
    desk, embedder = embedded
    go_on = asyncio.Event()
    embedder.before = go_on.wait
    embedder.let_through = {"Short."}
    desk.start()
    vs = await desk.store(("short.md", "Short."), ("long.md", LINES))
    vs = await desk.until(vs, lambda vs: vs.file_counts.completed)
    assert (vs.status, vs.file_counts.in_progress, vs.file_counts.completed) == ("in_progress", 1, 1)
    go_on.set()
    assert (await desk.done(vs)).file_counts.completed == 2


@pytest.mark.promise("ingestion.crash")
async def test_a_file_whose_server_died_is_read_by_another(embedded):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await desk.crash()
    other = Desk(desk.context, desk.clock)
    other.start()
    try:
        desk.clock.advance(LEASE)
        await is_whole(other, vs)
    finally:
        await other.ingester.stop()


@pytest.mark.promise("ingestion.stop")
async def test_a_stop_hands_over_what_it_cannot_finish(embedded, monkeypatch):
    monkeypatch.setattr("threadkeep.ingestion.worker.SECONDS_OF_GRACE", 0.01)
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await desk.ingester.stop()
    other = Desk(desk.context, desk.clock)
    other.start()  # at once, without waiting for the lease to end
    try:
        await is_whole(other, vs)
    finally:
        await other.ingester.stop()


@pytest.mark.promise("ingestion.crash")
async def test_a_server_that_was_held_up_writes_nothing_more(embedded):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)

    async def take_away(transaction: Transaction) -> None:
        sql = "UPDATE vector_store_files SET owner = 'another', attempt = attempt + 1 WHERE store_id = :id"
        await transaction.run(sql, {"id": vs.id})

    await desk.context.database.write(take_away)
    leases = desk.ingester._leases
    assert leases is not None
    (task,) = leases._works.values()
    await leases._renew()
    async with asyncio.timeout(SECONDS):
        await task
    desk.clock.advance(LEASE)
    leases.wake()
    await is_whole(desk, vs)


@pytest.mark.promise("ingestion.crash")
async def test_a_file_that_every_server_dies_of_fails(desk):
    vs = await desk.store(("a.md", LINES))

    for _ in range(10):
        await desk.taken(vs)
        desk.clock.advance(LEASE)
    desk.start()
    vs = await desk.done(vs)
    (file,) = await desk.files_of(vs)
    assert file.last_error.message == "The server ended 10 times while the file was read."


@pytest.mark.promise("ingestion.index")
async def test_a_file_that_is_deleted_meanwhile_leaves_nothing(embedded):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    (file,) = await desk.files_of(vs)
    await files.delete(desk.context, PROJECT, file.id)
    leases = desk.ingester._leases
    assert leases is not None
    await leases._renew()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*leases._works.values())
    assert (await desk.look(vs)).file_counts.total == 0
    assert await desk.files_of(vs) == []


@pytest.mark.promise("ingestion.reader-killed")
async def test_a_reader_that_is_killed_is_replaced(embedded):
    desk, embedder = embedded
    killed: list[int] = []

    async def kill() -> None:
        if embedder.texts and not killed:
            killed.extend(children())
            for one in killed:
                os.kill(one, signal.SIGKILL)

    embedder.before = kill
    desk.start()
    vs = await desk.done(await desk.store(("a.md", LINES * 6)))
    (file,) = await desk.files_of(vs)
    assert killed
    assert await desk.text_of(vs, file.id) == LINES * 6


@pytest.mark.promise("ingestion.reader-killed")
async def test_a_file_that_every_reader_ends_over_fails(embedded):
    desk, embedder = embedded

    async def kill() -> None:
        for one in children():
            os.kill(one, signal.SIGKILL)

    embedder.before = kill
    desk.start()
    vs = await desk.done(await desk.store(("a.md", LINES * 6)))
    (file,) = await desk.files_of(vs)
    assert (file.last_error.code, file.last_error.message) == (
        "invalid_file", "The file cannot be read: every attempt to do so broke off."
    )  # fmt: skip
    assert await desk.chunks_of(vs) == 0


class Weather:
    """Lets a call of a method fail for a few times."""

    def __init__(self, target: object, name: str, problem: Exception, times: int) -> None:
        self._call, self._problem, self.left = getattr(target, name), problem, times

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            raise self._problem
        return self._call(*arguments, **named)


@pytest.mark.promise("ingestion.trouble")
async def test_a_file_waits_for_a_database_in_trouble(embedded, monkeypatch):
    desk, embedder = embedded
    database = desk.context.database
    weather = Weather(database, "write", Unavailable("gone"), 3)

    async def break_it() -> None:
        if embedder.texts and weather.left == 3:
            monkeypatch.setattr(database, "write", weather)

    embedder.before = break_it
    vs = await desk.store(("a.md", LINES))
    desk.start()
    await is_whole(desk, vs)
    assert weather.left == 0


@pytest.mark.promise("ingestion.trouble")
async def test_a_file_waits_for_its_bytes(desk, monkeypatch):
    weather = Weather(desk.context.blobs, "open", FilesUnavailable("gone"), 3)
    monkeypatch.setattr(desk.context.blobs, "open", weather)
    vs = await desk.store(("a.md", LINES))
    desk.start()
    await is_whole(desk, vs)
    assert weather.left == 0


@pytest.mark.promise("ingestion.bad-files")
async def test_bytes_that_are_damaged_fail_the_file(desk):
    vs = await desk.store(("a.md", LINES))
    (file,) = await desk.files_of(vs)
    path = desk.context.settings.files_path / blob_key(PROJECT, file.id)
    path.write_bytes(LINES.encode()[:-1] + b"?")
    desk.start()
    vs = await desk.done(vs)
    (file,) = await desk.files_of(vs)
    assert (file.last_error.code, file.last_error.message) == (
        "server_error", "The file's bytes are not those that were uploaded."
    )  # fmt: skip


def children() -> list[int]:
    """The processes that this one has started to read files."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    found = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [
        int(own) for own, parent, what in found if int(parent) == os.getpid() and "ingestion.child" in what
    ]
