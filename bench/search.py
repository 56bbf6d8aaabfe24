"""How long a search takes: `python -m bench.search DATABASE_URL [CHUNKS] [SEARCHES]`, on an empty database.

Fills one store with chunks of 120 words whose frequencies fall as those of a language do, and with vectors of
384 numbers in loose clusters; then searches, one after the other, with questions of eight words.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from threadkeep.filters import Comparison
from threadkeep.search import base
from threadkeep.search.model import Chunk
from threadkeep.storage.database import Database, Transaction
from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.sqlite import SQLiteDatabase

DIMENSIONS, FILE, WORDS = 384, 100, 120
MODEL, STORE = "bench", "vs_bench"
NEW_FILE = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, sha256)
    VALUES (:id, 'p', 'assistants', :id, 1, 1, '')
"""
NEW_STORE_FILE = """
    INSERT INTO vector_store_files (
        store_id, file_id, project_id, position, created_at, status, usage_bytes, max_tokens, overlap_tokens,
        attributes, attempt
    ) VALUES (:store_id, :id, 'p', :number, 1, 'completed', 1, 800, 400, :attributes, 0)
"""
chance = random.Random(7)
VOCABULARY = [f"{chance.choice('bcdfglmnprst')}{chance.choice('aeiou')}{number}" for number in range(30_000)]
FREQUENCIES = [1 / (rank + 2) for rank in range(len(VOCABULARY))]
CENTRES = [[chance.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(50)]


def text(words: int) -> str:
    return " ".join(chance.choices(VOCABULARY, FREQUENCIES, k=words))


def vector() -> list[float]:
    return [one + chance.gauss(0, 0.7) for one in chance.choice(CENTRES)]


async def fill(database: Database, chunks: int) -> float:
    """The seconds that the database took to take the chunks in."""
    took = 0.0
    for number in range(chunks // FILE):
        pieces = [Chunk(place, text(WORDS)) for place in range(FILE)]
        vectors = [vector() for _ in pieces]

        async def work(
            transaction: Transaction, number: int = number, pieces: Any = pieces, vectors: Any = vectors
        ) -> None:
            id = f"file-{number}"
            await transaction.run(NEW_FILE, {"id": id})
            params: dict[str, Any] = {"store_id": STORE, "id": id, "number": number}
            await transaction.run(NEW_STORE_FILE, {**params, "attributes": f'{{"n":{number}}}'})
            await base.put(transaction, STORE, id, pieces, vectors, MODEL)

        began = time.perf_counter()
        await database.write(work)
        took += time.perf_counter() - began
    return took


async def searches(database: Database, many: int, vectors: bool, filters: Any = None) -> list[float]:
    """The milliseconds of each search, sorted."""
    context: Any = SimpleNamespace(database=database, embedder=SimpleNamespace(model=MODEL))
    found = []
    for _ in range(many):
        asked, near = [text(8)], [vector()] if vectors else None
        began = time.perf_counter()
        await base.search(context, [STORE], asked, near, 10, filters)
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


async def main(url: str, chunks: int = 10_000, many: int = 300) -> None:
    database: Database
    if url.startswith("sqlite"):
        database = SQLiteDatabase(Path(url.removeprefix("sqlite:///")))
    else:
        database = PostgresDatabase(PostgresOptions(url, 4))
    try:
        await migrate(database)
        took = await fill(database, chunks)
        print(f"filled: {chunks} chunks in {took:.1f} s, {chunks / took:.0f} a second")
        narrow = Comparison("lt", "n", 5)
        for name, vectors, filters in (
            ("words", False, None),
            ("words and vectors", True, None),
            ("words and vectors, filter", True, narrow),
        ):
            times = await searches(database, many, vectors, filters)
            print(f"{name}: p50 {times[len(times) // 2]:.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms")
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
