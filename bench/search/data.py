"""A store of made-up texts: words as frequent as those of a language are, vectors in loose clusters.

It goes straight into the tables, through what indexes a chunk and past what reads files.
"""

from __future__ import annotations

import itertools
import random
import time
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg
import numpy as np

from threadkeep.search import base
from threadkeep.search.model import Chunk
from threadkeep.storage.database import Database, Transaction

DIMENSIONS = 384
MODEL = "bench"
WORDS, ASKED = 120, 8
"""Words of a chunk, and of a question."""
CHUNKS_A_FILE = 100
FILES_AT_ONCE = 5
"""Files that come in one transaction."""
KEPT = 50_000
"""So many chunks are taken in with the HNSW index kept; for more it is dropped, and made afterwards."""
NEW_FILE = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, sha256)
    SELECT CAST(:id AS TEXT), project_id, 'assistants', CAST(:id AS TEXT), 1, 1, '' FROM vector_stores
    WHERE id = :store_id
"""
NEW_STORE_FILE = """
    INSERT INTO vector_store_files (
        store_id, file_id, project_id, position, created_at, status, usage_bytes, max_tokens, overlap_tokens,
        attributes, attempt, embedded_by
    ) SELECT id, CAST(:id AS TEXT), project_id, :number, 1, 'completed', 1, 800, 400,
        CAST(:attributes AS TEXT), 0, CAST(:model AS TEXT)
    FROM vector_stores WHERE id = :store_id
"""
_chance = random.Random(7)
VOCABULARY = [
    f"{_chance.choice('bcdfglmnprst')}{_chance.choice('aeiou')}{number}" for number in range(30_000)
]
SUMS = list(itertools.accumulate(1 / (rank + 2) for rank in range(len(VOCABULARY))))
CENTRES = np.random.default_rng(7).normal(size=(50, DIMENSIONS))


def text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(VOCABULARY, cum_weights=SUMS, k=words))


def vectors_of(seed: int, count: int) -> list[list[float]]:
    chance = np.random.default_rng(seed)
    near = CENTRES[chance.integers(len(CENTRES), size=count)]
    found: list[list[float]] = (near + 0.7 * chance.normal(size=near.shape)).astype(np.float32).tolist()
    return found


def vector_of(question: str) -> list[float]:
    """The same for the same question, in every process."""
    return vectors_of(zlib.crc32(question.encode()), 1)[0]


def questions(count: int) -> list[str]:
    chance = random.Random(11)
    return [text(chance, ASKED) for _ in range(count)]


# ---------------------------------------------------------------- filling


async def fill(database: Database, store_id: str, since: int, until: int) -> float:
    """Have a store that holds `since` chunks hold `until`; the seconds that this took."""
    began = time.perf_counter()
    for first in range(since // CHUNKS_A_FILE, until // CHUNKS_A_FILE, FILES_AT_ONCE):
        last = min(first + FILES_AT_ONCE, until // CHUNKS_A_FILE)
        files = [(number, *content_of(number)) for number in range(first, last)]
        await database.write(partial(taken_in, store_id, files))
        while await database.write(base.tidy):
            pass
    return time.perf_counter() - began


def content_of(number: int) -> tuple[list[Chunk], list[list[float]]]:
    chance = random.Random(number)
    chunks = [Chunk(place, text(chance, WORDS)) for place in range(CHUNKS_A_FILE)]
    return chunks, vectors_of(number, CHUNKS_A_FILE)


async def taken_in(store_id: str, files: Sequence[Any], transaction: Transaction) -> None:
    for number, chunks, vectors in files:
        id = f"file-{store_id}{number:06}"
        named: dict[str, Any] = {"id": id, "store_id": store_id}
        await transaction.run(NEW_FILE, named)
        attributes = {"attributes": f'{{"n":{number}}}', "number": number + 1, "model": MODEL}
        await transaction.run(NEW_STORE_FILE, {**named, **attributes})
        await base.add(transaction, store_id, id, chunks, vectors, MODEL)


async def fill_postgres(url: str, database: Database, store_id: str, since: int, until: int) -> str:
    """The same where there is an HNSW index; how long which part took."""
    if until - since <= KEPT:
        took = await fill(database, store_id, since, until)
        said = f"{took:.0f} s, with the HNSW index kept"
    else:
        index = f"chunk_vectors_{DIMENSIONS}"
        raw = await asyncpg.connect(url)
        definition = await raw.fetchval(
            "SELECT indexdef FROM pg_indexes WHERE indexname = $1 AND schemaname = current_schema()", index
        )
        await raw.execute(f"DROP INDEX {index}")
        took = await fill(database, store_id, since, until)
        began = time.perf_counter()
        await raw.execute("SET maintenance_work_mem = '2GB'")
        await raw.execute(definition)
        said = f"{took:.0f} s, and {time.perf_counter() - began:.0f} s for the HNSW index"
        await raw.close()
    raw = await asyncpg.connect(url)
    await raw.execute("VACUUM ANALYZE")
    await raw.close()
    return said
