"""What is removed of a file's chunks goes in small transactions, whoever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.ingestion.desk import LEASE, LINES, PROJECT, SECONDS, Desk, Embedder, half_way, is_whole, open_desk
from threadkeep.providers.base import ModelFailure
from threadkeep.storage.database import Work
from threadkeep.storage.sweeps import Sweeper
from threadkeep.sweeping import handlers
from threadkeep.vector_stores import actions
from threadkeep.vector_stores.model import Chunking, NewFile, VectorStore

pytestmark = pytest.mark.anyio
AT_ONCE = 16


@pytest.fixture
async def embedded(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Desk, Embedder]]:
    monkeypatch.setattr("threadkeep.ingestion.worker.FIRST_CHUNKS", AT_ONCE)
    monkeypatch.setattr("threadkeep.ingestion.worker.MOST_CHUNKS", AT_ONCE)
    async with open_desk(tmp_path, url) as opened:
        embedder = Embedder()
        opened.context = msgspec.structs.replace(opened.context, embedder=embedder)
        yield opened, embedder


class Gate:
    """Lets writes through, until one has removed some of a store's chunks while it is shut."""

    def __init__(self, desk: Desk, vs: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self._desk, self._vs = desk, vs
        self._write = desk.context.database.write_behind
        self.is_shut = False
        self.reached = asyncio.Event()
        self.steps: list[int] = []
        """How many chunks each of the writes has removed."""
        monkeypatch.setattr(desk.context.database, "write_behind", self)

    async def __call__(self, work: Work[Any]) -> Any:
        before = await self._desk.chunks_of(self._vs)
        result = await self._write(work)
        removed = before - await self._desk.chunks_of(self._vs)
        if removed > 0:
            self.steps.append(removed)
            if self.is_shut:
                self.reached.set()
                await asyncio.Event().wait()
        return result


@pytest.mark.promise("ingestion.removal")
async def test_what_a_failed_file_leaves_goes_in_steps_whoever_dies(embedded, monkeypatch):
    desk, embedder = embedded

    async def refuse_the_second() -> None:
        if embedder.texts:
            raise ModelFailure("server_error", "No.")

    embedder.before = refuse_the_second
    vs = await desk.store(("a.md", LINES))
    gate = Gate(desk, vs, monkeypatch)
    gate.is_shut = True
    desk.start()
    async with asyncio.timeout(SECONDS):
        await gate.reached.wait()
    left = await desk.chunks_of(vs)
    assert left > 2 * AT_ONCE
    assert (await desk.look(vs)).file_counts.in_progress == 1  # until all of it is gone
    await desk.crash()
    gate.is_shut = False
    embedder.texts.clear()
    async with desk.another() as other:
        desk.clock.advance(LEASE)
        vs = await other.done(vs)
    assert vs.file_counts.failed == 1
    assert await desk.chunks_of(vs) == 0
    assert max(gate.steps) == AT_ONCE


@pytest.mark.promise("ingestion.removal")
async def test_what_a_dead_server_left_goes_in_steps_whoever_dies(embedded, monkeypatch):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await desk.crash()
    gate = Gate(desk, vs, monkeypatch)
    gate.is_shut = True
    other = Desk(desk.context, desk.clock)
    other.start()
    desk.clock.advance(LEASE)
    async with asyncio.timeout(SECONDS):
        await gate.reached.wait()
    assert await desk.chunks_of(vs) > 0
    await other.crash()
    gate.is_shut = False
    async with desk.another() as third:
        desk.clock.advance(LEASE)
        await is_whole(third, vs)
    assert max(gate.steps) == AT_ONCE


@pytest.mark.promise("ingestion.removal")
async def test_what_a_file_leaves_that_was_taken_out_goes_in_steps(embedded, monkeypatch):
    monkeypatch.setattr(actions, "CHUNKS_AT_ONCE", AT_ONCE)
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await desk.crash()
    gate = Gate(desk, vs, monkeypatch)
    (file,) = await desk.files_of(vs)
    before = await desk.chunks_of(vs)
    await actions.detach(desk.context, PROJECT, vs.id, file.id)
    assert await desk.chunks_of(vs) == before
    await desk.sweep(vs)
    assert await desk.chunks_of(vs) == 0
    assert max(gate.steps) == AT_ONCE
    assert sum(gate.steps) == before


@pytest.mark.promise("ingestion.removal")
async def test_what_a_cancelled_file_leaves_goes_in_steps(embedded, monkeypatch):
    monkeypatch.setattr(actions, "CHUNKS_AT_ONCE", AT_ONCE)
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await cancel(desk, vs)
    await desk.crash()
    before = await desk.chunks_of(vs)
    assert before > 2 * AT_ONCE
    gate = Gate(desk, vs, monkeypatch)
    await sweep(desk)
    assert await desk.chunks_of(vs) == 0
    assert max(gate.steps) == AT_ONCE
    assert sum(gate.steps) == before
    (file,) = await desk.files_of(vs)
    assert (file.status, (await desk.look(vs)).usage_bytes) == ("cancelled", 0)


@pytest.mark.promise("ingestion.removal")
async def test_a_cancelled_file_that_is_put_in_again_keeps_its_chunks(embedded):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await cancel(desk, vs)
    await desk.crash()
    (file,) = await desk.files_of(vs)
    await actions.attach(desk.context, PROJECT, vs.id, NewFile(file.id, Chunking(100, 0)))
    async with desk.another() as other:
        await is_whole(other, vs)
        before = await desk.chunks_of(vs)
        await sweep(desk)
        assert await desk.chunks_of(vs) == before


async def cancel(desk: Desk, vs: VectorStore) -> None:
    """Cancel a batch of all the files in a store."""
    new = [NewFile(file.id, Chunking(100, 0)) for file in await desk.files_of(vs)]
    batch = await actions.create_batch(desk.context, PROJECT, vs.id, new)
    batch = await actions.cancel_batch(desk.context, PROJECT, vs.id, batch.id)
    assert batch.status == "cancelled"


async def sweep(desk: Desk) -> None:
    """Do what is left to be done after deletions."""
    sweeper = Sweeper(desk.context.database, desk.clock, handlers(desk.context))
    while await sweeper.sweep():
        pass


@pytest.mark.promise("ingestion.removal")
async def test_a_file_that_is_back_keeps_its_chunks(embedded):
    desk, embedder = embedded
    vs = await half_way(desk, embedder)
    await desk.crash()
    (file,) = await desk.files_of(vs)
    await actions.detach(desk.context, PROJECT, vs.id, file.id)
    (item,) = await desk.left_behind(vs)
    await actions.attach(desk.context, PROJECT, vs.id, NewFile(file.id, Chunking(100, 0)))
    async with desk.another() as other:
        await is_whole(other, vs)
        before = await desk.chunks_of(vs)
        assert await actions.sweep_detached(desk.context, item)
        assert await desk.chunks_of(vs) == before
