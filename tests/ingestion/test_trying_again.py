"""Files that are tried again: what counts against them, and what they wait for."""

import asyncio
import logging
import resource
from pathlib import Path

import msgspec
import pytest

from tests.ingestion.desk import LEASE, LINES, PROJECT, SECONDS, Desk, Embedder, is_whole, open_desk
from tests.ingestion.test_worker import children
from tests.support.house import database_url
from tests.support.waiting import BETWEEN_LOOKS
from threadkeep.engine import leases
from threadkeep.engine.leases import set_within
from threadkeep.ingestion import embedding
from threadkeep.ingestion.worker import LONGEST_PUT_OFF, MOST_PUT_OFF, put_off_for
from threadkeep.providers.base import ModelFailure
from threadkeep.search import base as search
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import actions, progress
from threadkeep.vector_stores.model import Chunking, NewFile, VectorStore

pytestmark = pytest.mark.anyio
PASSES = ModelFailure("rate_limit_exceeded", "Too many requests.", passes=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(embedding, "PAUSES", ())


async def put_off(desk: Desk, vs: VectorStore) -> int:
    """Return once nobody works the store's only file though it is in progress; when it is due."""
    sql = """
        SELECT due_at FROM vector_store_files
        WHERE store_id = :id AND status = 'in_progress' AND owner IS NULL AND due_at > :now
    """
    async with asyncio.timeout(SECONDS):
        while True:
            async with desk.context.database.read() as transaction:
                row = await transaction.one(sql, {"id": vs.id, "now": desk.context.now()})
            if row:
                return row[0]
            await set_within(asyncio.Event(), BETWEEN_LOOKS)


class Outage:
    """A provider that is down for so many requests."""

    def __init__(self, requests: int, after: int = 0) -> None:
        self.left, self._after = requests, after

    async def __call__(self) -> None:
        if self._after:
            self._after -= 1
        elif self.left:
            self.left -= 1
            raise PASSES


# ---------------------------------------------------------------- what counts


@pytest.mark.promise("ingestion.tries")
async def test_a_file_may_be_put_in_any_number_of_times(desk):
    desk.start()
    vs = await desk.store(("a.md", "A text."))
    (file,) = await desk.files_of(vs)
    for number in range(12):
        new = NewFile(file.id, Chunking(200 + number, 0))
        await actions.attach(desk.context, PROJECT, vs.id, new)
        assert (await desk.done(vs)).file_counts.completed == 1


@pytest.mark.promise("ingestion.tries")
async def test_servers_that_stop_in_order_do_not_count(desk):
    vs = await desk.store(("a.md", LINES))
    for _ in range(12):
        claim = await desk.taken(vs)

        async def release(transaction: Transaction) -> None:
            await progress.release(transaction, claim, desk.context.now())  # noqa: B023

        await desk.context.database.write(release)
    desk.start()
    await is_whole(desk, vs)


@pytest.mark.promise("ingestion.tries")
async def test_a_file_that_servers_died_of_gets_its_tries_back_when_it_is_put_in_anew(desk):
    vs = await desk.store(("a.md", LINES))
    for _ in range(10):
        await desk.taken(vs)
        desk.clock.advance(LEASE)
    desk.start()
    assert (await desk.done(vs)).file_counts.failed == 1
    (file,) = await desk.files_of(vs)
    await actions.attach(desk.context, PROJECT, vs.id, NewFile(file.id, Chunking(100, 0)))
    await is_whole(desk, vs)


@pytest.mark.promise("ingestion.tries")
async def test_a_claim_from_before_a_file_was_put_in_anew_writes_nothing(desk):
    vs = await desk.store(("a.md", LINES))
    (file,) = await desk.files_of(vs)
    before = await desk.taken(vs)
    await actions.attach(desk.context, PROJECT, vs.id, NewFile(file.id, Chunking(200, 0)))
    after = await desk.taken(vs)  # by the same process

    async def hold(transaction: Transaction) -> None:
        await progress.hold(transaction, before)

    assert before.owner == after.owner
    with pytest.raises(progress.Lost):
        await desk.context.database.write(hold)


# ---------------------------------------------------------------- what is waited for


@pytest.mark.promise("ingestion.outage")
async def test_a_file_waits_for_a_provider_that_is_down(embedded, caplog):
    desk, embedder = embedded
    embedder.before = Outage(12)
    vs = await desk.store(("a.md", "A text."))
    desk.start()
    waits = []
    for _ in range(12):
        due_at = await put_off(desk, vs)
        waits.append(due_at - desk.context.now())
        desk.clock.now = due_at
    assert waits == [5, 5, 10, 20, 40, 80, 160, *[LONGEST_PUT_OFF] * 5]
    assert (await desk.done(vs)).file_counts.completed == 1
    said = [line for line in caplog.messages if line.startswith("event=ingestion_put_off")]
    assert len(said) == 12
    assert "seconds=5 " in said[0]
    assert "Too many requests." in said[0]


@pytest.mark.promise("ingestion.outage")
async def test_a_provider_that_is_down_for_a_day_fails_the_file(embedded):
    desk, embedder = embedded
    embedder.before = Outage(2)
    vs = await desk.store(("a.md", LINES))
    desk.start()
    await put_off(desk, vs)
    desk.clock.advance(MOST_PUT_OFF)
    vs = await desk.done(vs)
    (file,) = await desk.files_of(vs)
    assert (file.status, file.last_error.code) == ("failed", "server_error")
    assert file.last_error.message == "The file's text could not be embedded: Too many requests."
    assert await desk.chunks_of(vs) == 0


@pytest.mark.promise("ingestion.outage")
async def test_a_short_outage_does_not_begin_a_file_anew(embedded, monkeypatch):
    monkeypatch.setattr(embedding, "PAUSES", (0.01, 0.01))
    desk, embedder = embedded
    embedder.before = Outage(2, after=1)
    desk.start()
    vs = await desk.store(("a.md", LINES))
    await is_whole(desk, vs)
    assert sorted(embedder.texts) == sorted(set(embedder.texts))  # each once


@pytest.mark.promise("ingestion.outage")
async def test_a_stop_does_not_wait_for_the_provider(embedded, monkeypatch):
    monkeypatch.setattr("threadkeep.ingestion.worker.SECONDS_OF_GRACE", 0.01)
    monkeypatch.setattr(embedding, "PAUSES", (3600,))
    desk, embedder = embedded
    asked = asyncio.Event()

    async def fail() -> None:
        asked.set()
        raise PASSES

    embedder.before = fail
    desk.start()
    vs = await desk.store(("a.md", LINES))
    async with asyncio.timeout(SECONDS):
        await asked.wait()
        await desk.ingester.stop()
    embedder.before = None
    async with desk.another() as other:
        await is_whole(other, vs)


@pytest.mark.promise("ingestion.outage")
async def test_a_file_waits_for_room_to_be_read(desk):
    before = set(children())  # another desk's may be about to end
    desk.start()
    await desk.done(await desk.store(("a.md", "So that the process is there.")))
    (process,) = set(children()) - before
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1000, most))  # as where the disk is full
    vs = await desk.store(("b.md", LINES))
    desk.clock.now = await put_off(desk, vs)
    assert set(children()) - before == {process}
    resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
    desk.clock.advance(LONGEST_PUT_OFF)  # it may have been put off again
    await is_whole(desk, vs)


def test_a_file_stands_aside_for_as_long_as_it_has_waited_within_bounds() -> None:
    assert [put_off_for(waited) for waited in (0, 5, 100, 300, 86_399, 86_400)] == [
        5, 5, 100, 300, 300, None
    ]  # fmt: skip


# ---------------------------------------------------------------- what the model does not take


@pytest.mark.promise("ingestion.refused")
async def test_a_chunk_that_the_model_refuses_is_kept_by_its_words(embedded, caplog):
    caplog.set_level(logging.INFO, "threadkeep")
    desk, embedder = embedded
    embedder.too_long = "Line 2050 "
    vs = await desk.store(("a.md", LINES))
    desk.start()
    await is_whole(desk, vs)
    (file,) = await desk.files_of(vs)
    chunks = await desk.chunks_of(vs)
    assert file.usage_bytes == len(LINES) + 4 * 3 * (chunks - 1)
    (refused,) = [line for line in caplog.messages if line.startswith("event=chunk_refused")]
    hits = await search.search(desk.context, [vs.id], ["Line 2050"], [[1.0, 0.0, 0.0]], 10)
    assert any(embedder.too_long in hit.texts[0] for hit in hits)
    async with desk.context.database.read() as transaction:
        (left,) = await search.unembedded(transaction, vs.id, file.id, "three", 3, -1, 10)
    assert embedder.too_long in left.text
    assert f"chunk={left.number} " in refused


@pytest.fixture
def own_postgres(tmp_path: Path) -> str:
    return database_url("postgres", tmp_path)


@pytest.mark.promise("ingestion.usage")
async def test_vectors_that_the_database_does_not_keep_are_neither_made_nor_counted(tmp_path, own_postgres):
    """PostgreSQL without pgvector."""
    async with open_desk(tmp_path, own_postgres) as desk:
        embedder = Embedder()
        desk.context = msgspec.structs.replace(desk.context, embedder=embedder)

        async def drop(transaction: Transaction) -> None:
            await transaction.run("DROP TABLE chunk_vectors", {})

        await desk.context.database.write(drop)
        vs = await desk.store(("a.md", LINES))
        desk.start()
        await is_whole(desk, vs)
        assert (await desk.look(vs)).usage_bytes == len(LINES)
        assert embedder.texts == []
        sql = "SELECT embedded_by FROM vector_store_files"
        async with desk.context.database.read() as transaction:
            assert await transaction.one(sql, {}) == ("",)
