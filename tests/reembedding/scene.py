"""Stores of files whose vectors come from one model, and servers that want another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from tests.ingestion.desk import LEASE, LINES, SECONDS, Desk
from tests.support.waiting import BETWEEN_LOOKS
from threadkeep.engine.leases import set_within
from threadkeep.ingestion.reembedding import Reembedder
from threadkeep.providers.base import ModelFailure
from threadkeep.search import base as search
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import progress
from threadkeep.vector_stores import reembedding as rows
from threadkeep.vector_stores.model import Claim, VectorStore

CHUNK = 400
"""Characters."""
TEXT = LINES[: 50 * CHUNK]


class Model:
    """An embedder: each text's vector points where its length says, for each model in its own way. What it
    does before it answers is up to a test."""

    def __init__(self, model: str, length: int, dimensions: int | None = None) -> None:
        self.model, self.dimensions, self._length = model, dimensions, length
        self.texts: list[str] = []
        self.refused: str | None = None
        self.before: Callable[[], Awaitable[object]] | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.before is not None:
            await self.before()
        if self.refused is not None and any(self.refused in text for text in texts):
            raise ModelFailure("invalid_prompt", "Too long.")
        self.texts += texts
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        rest = [0.0] * (self._length - 2)
        return [1.0, len(text) / 100, *rest] if self.model == "one" else [len(text) / 100, 1.0, *rest]


class Server(Desk):
    """A server's rooms, with a model of its own."""

    def begin(self, model: Model) -> None:
        self.context = msgspec.structs.replace(self.context, embedder=model)
        self.reembedder = Reembedder(self.context.settings, self.clock)
        self.reembedder.start(self.context)

    async def die(self) -> None:
        """Nothing more is written, nothing is given back."""
        works = self.reembedder._leases
        assert works is not None
        works._taking = False
        tasks = [*works._works.values(), *works._loops]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        works._loops = []

    async def end(self) -> None:
        await self.reembedder.stop()

    async def filled(self, model: Model | None, *texts: str) -> VectorStore:
        """A store of these files, in chunks whose vectors come from this model."""
        vs = await self.store(*((f"{number}.md", text) for number, text in enumerate(texts)))

        async def work(transaction: Transaction) -> None:
            for id in await progress.due(transaction, self.context.now(), len(texts)):
                until = self.context.now() + LEASE
                taken = await progress.claim(transaction, id, "filler", self.context.now(), until)
                assert taken
                text = texts[int(taken.filename.removesuffix(".md"))]
                await self.fill(transaction, taken.claim, text, model)

        await self.context.database.write(work)
        assert (await self.look(vs)).file_counts.completed == len(texts)
        return vs

    async def fill(self, transaction: Transaction, claim: Claim, text: str, model: Model | None) -> None:
        parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
        vectors = None if model is None else [model.vector(part) for part in parts]
        chunks = [search.Chunk(number, part) for number, part in enumerate(parts)]
        name = None if model is None else model.model
        await search.put(transaction, claim.store_id, claim.file_id, chunks, vectors, name)
        size = len(text.encode()) + 4 * sum(map(len, vectors or ()))
        await progress.completed(transaction, claim, size, self.context.now(), search.source_of(model))

    async def vectors(self) -> list[tuple[str, int]]:
        """For each chunk, the file's order and its own, its vector's model and how many numbers that has."""
        size = "length(v.vector) / 4" if self.is_sqlite else "vector_dims(v.vector)"
        sql = f"""
            SELECT COALESCE(v.model, ''), COALESCE({size}, 0) FROM chunks c
            LEFT JOIN chunk_vectors v ON v.id = c.id ORDER BY c.file_id, c.number
        """
        async with self.context.database.read() as transaction:
            return await transaction.all(sql, {})

    async def texts_of(self, vs: VectorStore, file_id: str) -> list[str]:
        async with self.context.database.read() as transaction:
            text = await search.text_of(transaction, vs.id, file_id)
        return [part async for some in search.pieces(self.context.database, text) for part in some]

    async def orphans(self) -> int:
        sql = "SELECT COUNT(*) FROM chunk_vectors WHERE id NOT IN (SELECT id FROM chunks)"
        async with self.context.database.read() as transaction:
            row = await transaction.one(sql, {})
        assert row
        return row[0]

    @property
    def is_sqlite(self) -> bool:
        return self.context.settings.database_url.startswith("sqlite")

    async def wait(self, condition: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(SECONDS):
            while not await condition():
                await set_within(asyncio.Event(), BETWEEN_LOOKS)

    async def is_from(self, model: Model) -> bool:
        """Whether all is done, so far as the rows say."""
        async with self.context.database.read() as transaction:
            return not await rows.number(transaction, search.source_of(model))

    async def embedded(self, model: Model) -> None:
        await self.wait(lambda: self.is_from(model))

    async def usage_is_right(self, vs: VectorStore) -> bool:
        found = await self.files_of(vs)
        texts = [await self.text_of(vs, one.id) for one in found]
        numbers = sum(length for _, length in await self.vectors())
        total = sum(len(text.encode()) for text in texts) + 4 * numbers
        return (await self.look(vs)).usage_bytes == sum(one.usage_bytes for one in found) == total


def lines(caplog: pytest.LogCaptureFixture, beginning: str) -> list[str]:
    return [one for one in caplog.messages if one.startswith(beginning)]


async def said(caplog: pytest.LogCaptureFixture, beginning: str) -> bool:
    return bool(lines(caplog, beginning))


async def is_wanted(server: Server, source: str) -> bool:
    async with server.context.database.read() as transaction:
        return (await rows.wanted(transaction))[0] == source


async def change(server: Server, sql: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.run(sql, {})

    await server.context.database.write(work)


async def half_way(server: Server, model: Model, batches: int = 2) -> asyncio.Event:
    """Begin, up to a call that gets no answer before the event is set."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        if len(model.texts) > 8 * (batches - 1):
            reached.set()
            await go_on.wait()

    model.before = hold
    server.begin(model)
    async with asyncio.timeout(SECONDS):
        await reached.wait()
    return go_on


async def let_go(server: Server, go_on: asyncio.Event) -> None:
    """Let the answer come, and return once its course is over."""
    assert server.reembedder._leases is not None
    works = list(server.reembedder._leases._works.values())
    go_on.set()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*works)


async def found(
    server: Server, vs: VectorStore, text: str, vector: list[float] | None = None, **more
) -> list:
    vectors = None if vector is None else [vector]
    hits = await search.search(server.context, [vs.id], [text], vectors, 50, **more)
    return [hit.texts[0] for hit in hits]


async def have(server: Server, vector: tuple[str, int]) -> bool:
    return vector in await server.vectors()
