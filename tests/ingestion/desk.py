"""A server's rooms without its HTTP, for files on their way into a store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.clock import SetClock
from tests.support.waiting import BETWEEN_LOOKS
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.engine.leases import set_within
from threadkeep.files import actions as files
from threadkeep.files.model import Upload
from threadkeep.ids import id_maker
from threadkeep.ingestion.worker import Ingester
from threadkeep.providers.base import ModelFailure
from threadkeep.search import base as search
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import actions, progress, store
from threadkeep.vector_stores import files as rows_of_files
from threadkeep.vector_stores.model import Chunking, Claim, NewFile, NewStore, VectorStore, VectorStoreFile

PROJECT = "proj_1"
SECONDS = 20.0
LEASE = 15
LINES = "".join(f"Line {n} of a text that is long enough.\n" for n in range(4000))


class Embedder:
    """A vector of three numbers for each text; what it does before it answers is up to a test."""

    model, dimensions = "three", 3

    def __init__(self) -> None:
        self.before: Callable[[], Awaitable[object]] | None = None
        self.let_through: set[str] = set()
        self.texts: list[str] = []
        self.too_long: str | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.before is not None and not self.let_through.issuperset(texts):
            await self.before()
        if self.too_long is not None and any(self.too_long in text for text in texts):
            raise ModelFailure("invalid_prompt", "Too long.")
        self.texts += texts
        return [[1.0, len(text), 0.5] for text in texts]


class Desk:
    """A server's rooms without its HTTP. Its ingester works nothing before `start`."""

    def __init__(self, context: Context, clock: SetClock) -> None:
        self.context, self.clock = context, clock
        self.ingester = Ingester(context.settings, clock)

    def start(self) -> None:
        self.ingester.start(self.context)

    async def crash(self) -> None:
        """The server dies: nothing more is written, nothing is given back."""
        leases = self.ingester._leases
        assert leases is not None
        leases._taking = False
        tasks = [*leases._works.values(), *leases._loops]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        leases._loops = []
        await self.ingester._readers.close()

    @asynccontextmanager
    async def another(self) -> AsyncIterator["Desk"]:
        """Another server on the same database, at work."""
        other = Desk(self.context, self.clock)
        other.start()
        try:
            yield other
        finally:
            await other.ingester.stop()

    async def upload(self, filename: str, content: bytes | str) -> str:
        async def blocks() -> AsyncIterator[bytes]:
            yield content.encode() if isinstance(content, str) else content

        receipt = await files.receive(self.context, PROJECT, blocks())
        return (await files.keep(self.context, receipt, filename, Upload("assistants"))).id

    async def store(
        self, *contents: tuple[str, bytes | str], chunking: Chunking | None = None
    ) -> VectorStore:
        ids = [await self.upload(*one) for one in contents]
        new = [NewFile(id, chunking or Chunking(100, 0)) for id in ids]
        return await actions.create(self.context, PROJECT, NewStore(files=new))

    async def look(self, vs: VectorStore) -> VectorStore:
        async with self.context.database.read() as transaction:
            return await store.get(transaction, PROJECT, vs.id, self.context.now())

    async def files_of(self, vs: VectorStore) -> list[VectorStoreFile]:
        sql = "SELECT file_id FROM vector_store_files WHERE store_id = :id ORDER BY position"
        async with self.context.database.read() as transaction:
            rows = await transaction.all(sql, {"id": vs.id})
            return [await rows_of_files.get(transaction, PROJECT, vs.id, row[0]) for row in rows]

    async def text_of(self, vs: VectorStore, file_id: str) -> str:
        async with self.context.database.read() as transaction:
            text = await search.text_of(transaction, vs.id, file_id)
        return "".join([part async for some in search.pieces(self.context.database, text) for part in some])

    async def until(self, vs: VectorStore, condition: Callable[[VectorStore], Any]) -> VectorStore:
        async with asyncio.timeout(SECONDS):
            while not condition(vs := await self.look(vs)):
                await set_within(asyncio.Event(), BETWEEN_LOOKS)
        return vs

    async def done(self, vs: VectorStore) -> VectorStore:
        return await self.until(vs, lambda vs: vs.file_counts.in_progress == 0)

    async def taken(self, vs: VectorStore) -> Claim:
        """The claim of a server that works a store's only file."""

        async def work(transaction: Transaction) -> Claim:
            (id,) = [one for one in await progress.due(transaction, self.context.now(), 1000) if vs.id in one]
            until = self.context.now() + LEASE
            taken = await progress.claim(transaction, id, "another", self.context.now(), until)
            assert taken
            return taken.claim

        return await self.context.database.write(work)

    async def left_behind(self, vs: VectorStore) -> list[str]:
        """What is to be swept of files that were taken from a store."""
        sql = "SELECT item FROM sweeps WHERE kind = 'vector_store_file' ORDER BY item"
        async with self.context.database.read() as transaction:
            return [row[0] for row in await transaction.all(sql, {}) if row[0].startswith(vs.id)]

    async def sweep(self, vs: VectorStore) -> None:
        """Remove the chunks of files that were taken from a store."""
        for item in await self.left_behind(vs):
            while not await actions.sweep_detached(self.context, item):
                pass

    async def chunks_of(self, vs: VectorStore) -> int:
        async with self.context.database.read() as transaction:
            row = await transaction.one("SELECT COUNT(*) FROM chunks WHERE store_id = :id", {"id": vs.id})
        assert row
        return row[0]


@asynccontextmanager
async def open_desk(directory: Path, url: str, **settings: Any) -> AsyncIterator[Desk]:
    given = Settings(database_url=url, files_url=f"file:///{directory / 'files'}", **settings)
    clock = SetClock()
    async with open_context(given, clock, id_maker(system_clock)) as context:
        desk = Desk(context, clock)
        await forget_all(context)
        try:
            yield desk
        finally:
            await desk.ingester.stop()


async def forget_all(context: Context) -> None:
    """What tests before this one have left to be done."""

    async def work(transaction: Transaction) -> None:
        await transaction.run("UPDATE vector_store_files SET due_at = NULL, owner = NULL", {})

    await context.database.write(work)


async def half_way(desk: Desk, embedder: Embedder) -> VectorStore:
    """A store with a file some chunks of which are in the index, and which gets no further."""
    half, never = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        if embedder.texts:
            half.set()
            await never.wait()

    embedder.before = stop
    vs = await desk.store(("a.md", LINES))
    desk.start()
    async with asyncio.timeout(SECONDS):
        await half.wait()
        while await desk.chunks_of(vs) < len(embedder.texts):
            await set_within(asyncio.Event(), BETWEEN_LOOKS)
    embedder.before = None
    return vs


async def is_whole(desk: Desk, vs: VectorStore) -> None:
    vs = await desk.done(vs)
    (file,) = await desk.files_of(vs)
    assert file.status == "completed"
    assert await desk.text_of(vs, file.id) == LINES
