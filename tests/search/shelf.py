"""Stores with files in them, without a server around them."""

import itertools
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from threadkeep.filters import Filter
from threadkeep.search import base
from threadkeep.search.model import Chunk
from threadkeep.storage.database import Database, Params, Transaction

MODEL = "model"
NEW_FILE = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, sha256)
    VALUES (:id, 'p', 'assistants', :filename, 1, 1, '') ON CONFLICT DO NOTHING
"""
NEW_STORE_FILE = """
    INSERT INTO vector_store_files (
        store_id, file_id, project_id, position, created_at, status, usage_bytes, max_tokens, overlap_tokens,
        attributes, attempt
    ) VALUES (:store, :id, 'p', :position, 1, :status, 1, 800, 400, :attributes, 0) ON CONFLICT DO NOTHING
"""
CHUNKS = "SELECT count(*) FROM chunks"
VECTORS = "SELECT count(*) FROM chunk_vectors"


class Shelf:
    """What tests do with the index of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._positions = itertools.count(1)
        self._context: Any = SimpleNamespace(database=database, embedder=SimpleNamespace(model=MODEL))

    async def put(
        self,
        id: str,
        *texts: str,
        store: str = "vs_1",
        vectors: Sequence[list[float] | None] | None = None,
        status: str = "completed",
        model: str = MODEL,
        **attributes: Any,
    ) -> None:
        """A file with chunks of these texts, in place of those that it had."""

        async def work(transaction: Transaction) -> None:
            await transaction.run(NEW_FILE, {"id": id, "filename": f"{id}.txt"})
            row: Params = {
                "store": store,
                "id": id,
                "position": next(self._positions),
                "status": status,
                "attributes": json.dumps(attributes),
            }
            await transaction.run(NEW_STORE_FILE, row)
            chunks = [Chunk(number, text) for number, text in enumerate(texts)]
            await base.put(transaction, store, id, chunks, vectors, model)

        await self.database.write(work)

    async def remove(self, id: str, store: str = "vs_1") -> None:
        async def work(transaction: Transaction) -> None:
            await base.remove(transaction, store, id)

        await self.database.write(work)

    async def empty(self, rows: int, store: str = "vs_1") -> bool:
        async def work(transaction: Transaction) -> bool:
            return await base.remove_store_some(transaction, store, rows)

        return await self.database.write(work)

    async def count(self) -> tuple[int, int]:
        """How many chunks there are, and how many vectors."""
        async with self.database.read() as transaction:
            chunks, vectors = await transaction.one(CHUNKS, {}), await transaction.one(VECTORS, {})
        assert chunks
        assert vectors
        return chunks[0], vectors[0]

    async def search(
        self,
        *texts: str,
        vectors: list[list[float]] | None = None,
        stores: tuple[str, ...] = ("vs_1",),
        limit: int = 10,
        filter: Filter | None = None,
        **more: Any,
    ) -> list[base.Hit]:
        return await base.search(self._context, stores, texts, vectors, limit, filter, **more)

    async def found(self, *texts: str, **more: Any) -> list[str]:
        """The texts that a search finds, the best first."""
        return [hit.texts[0] for hit in await self.search(*texts, **more)]
