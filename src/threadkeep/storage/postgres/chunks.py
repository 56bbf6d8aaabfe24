"""The index of chunks on PostgreSQL: a GIN index for words, and pgvector with HNSW for vectors.

BM25 is computed here, since the server's own ranking does not know how rare a word is. The stores are words
of the index too, so that what others have stored costs nothing. Vectors are searched exactly where few are
to be compared, which is nearly always; HNSW is for more, and for the lengths that have an index.
"""

import json
import logging
import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from threadkeep.filters import Comparison, Filter
from threadkeep.storage.chunks import Entry, Found, Kept, Scope, Unembedded
from threadkeep.storage.packing import Packing
from threadkeep.storage.telling import ENOUGH, FEW, telling

if TYPE_CHECKING:
    from threadkeep.storage.database import Params, Transaction, Value

log = logging.getLogger(__name__)

INDEXED = (256, 384, 512, 768, 1024, 1536, 2560, 3072)
"""The lengths of vectors that have an HNSW index, as the schema makes them."""
LARGEST_EXACT = 20_000
"""How many vectors are compared one by one."""
TABLE = "chunk_vectors"

MOST_COUNTED = 300_000
"""How many chunks of the stores are counted, to see how rare a word is among them."""

INSERT = """
    INSERT INTO chunks (store_id, file_id, number, text, length, words)
    SELECT :store_id, :file_id, one.number, one.body, one.length, CAST(one.words AS TSVECTOR)
    FROM unnest(
        CAST(:numbers AS BIGINT[]), CAST(:texts AS TEXT[]), CAST(:lengths AS BIGINT[]), CAST(:words AS TEXT[])
    ) AS one (number, body, length, words)
"""
# The vectors come one after the other, as numbers: to write and to read them as text takes several times as
# long.
INSERT_VECTORS = """
    INSERT INTO chunk_vectors (id, store_id, file_id, model, vector)
    SELECT c.id, c.store_id, c.file_id, :model, CAST((CAST(:vectors AS REAL[]))[
        (one.place - 1) * CAST(:length AS BIGINT) + 1 : one.place * CAST(:length AS BIGINT)
    ] AS HALFVEC)
    FROM unnest(CAST(:numbers AS BIGINT[])) WITH ORDINALITY AS one (number, place)
    JOIN chunks c ON c.store_id = :store_id AND c.file_id = :file_id AND c.number = one.number
"""
# A vector goes with its chunk, by its foreign key.
DELETE = "DELETE FROM chunks WHERE store_id = :store_id AND file_id = :file_id"
DELETE_FILE_SOME = """
    DELETE FROM chunks WHERE id IN (
        SELECT id FROM chunks WHERE store_id = :store_id AND file_id = :file_id ORDER BY number LIMIT :rows
    ) RETURNING id
"""
DELETE_SOME = """
    DELETE FROM chunks WHERE id IN (
        SELECT id FROM chunks WHERE store_id = :store_id ORDER BY file_id, number LIMIT :rows
    ) RETURNING id
"""
# A look-up for each chunk, whatever the planner thinks of how many there are.
UNEMBEDDED = """
    SELECT c.id, c.number, c.text FROM chunks c
    WHERE c.store_id = :store_id AND c.file_id = :file_id AND c.number > :after AND (
        SELECT 1 FROM chunk_vectors v
        WHERE v.id = c.id AND v.model = :model AND vector_dims(v.vector) = CAST(:dimensions AS BIGINT)
    ) IS NULL
    ORDER BY c.number LIMIT :rows
"""
WITHOUT_VECTOR = """
    SELECT one.id FROM unnest(CAST(:ids AS BIGINT[])) AS one (id) WHERE NOT EXISTS (
        SELECT 1 FROM chunk_vectors v
        WHERE v.id = one.id AND v.model = :model AND vector_dims(v.vector) = CAST(:dimensions AS BIGINT)
    )
"""
TWINS = """
    SELECT id, first FROM (
        SELECT c.id, min(c.id) OVER (PARTITION BY c.file_id, c.text COLLATE "C") AS first
        FROM chunks c WHERE c.id = ANY(CAST(:ids AS BIGINT[]))
    ) alike WHERE id <> first
"""
# A chunk that somebody is about to remove is not waited for: so nobody waits in a circle.
EMBED = """
    WITH given AS MATERIALIZED (
        SELECT one.id, CAST(one.vector AS HALFVEC) AS vector
        FROM unnest(CAST(:ids AS BIGINT[]), CAST(:vectors AS TEXT[])) AS one (id, vector)
    ), held AS MATERIALIZED (
        SELECT id, store_id, file_id FROM chunks
        WHERE id = ANY(CAST(:ids AS BIGINT[])) AND store_id = :store_id AND file_id = :file_id
        ORDER BY id FOR KEY SHARE SKIP LOCKED
    ), known AS MATERIALIZED (
        SELECT vector_dims(v.vector) AS numbers FROM held JOIN chunk_vectors v ON v.id = held.id
    ), kept AS (
        INSERT INTO chunk_vectors (id, store_id, file_id, model, vector)
        SELECT held.id, held.store_id, held.file_id, :model, given.vector
        FROM held JOIN given ON given.id = held.id
        ON CONFLICT (id) DO UPDATE SET model = excluded.model, vector = excluded.vector
        RETURNING vector_dims(vector) AS numbers
    )
    SELECT (SELECT count(*) FROM kept),
        COALESCE((SELECT sum(numbers) FROM kept), 0) - COALESCE((SELECT sum(numbers) FROM known), 0)
"""
# Within a SELECT of its own what is asked for is read once, not for each row.
CONDITION = """
    f.status = 'completed' AND (
        CAST(:filter AS TEXT) IS NULL OR CAST(replace(f.attributes, '\\u0000', '\\ufffd') AS JSONB)
            @@ (SELECT CAST(CAST(:filter AS TEXT) AS JSONPATH))
    )
"""
OF_STORES = "= ANY(CAST(:stores AS TEXT[]))"
FILES = f"""
    SELECT f.store_id, f.file_id FROM vector_store_files f WHERE f.store_id {OF_STORES} AND {CONDITION}
"""
ARE_MANY = "SELECT max(id) > :few FROM chunks"
COUNTS = """
    SELECT one.word, (
        SELECT count(*) FROM (
            SELECT 1 FROM chunks c WHERE c.words @@ CAST(one.query AS TSQUERY) LIMIT :most
        ) held
    ) FROM unnest(CAST(:words AS TEXT[]), CAST(:queries AS TEXT[])) AS one (word, query)
"""
# IS TRUE keeps the server from beginning with the files: while the index of words, or of vectors, is walked,
# they are looked up in a table that is made of them once.
BY_WORDS = f"""
    WITH asked AS MATERIALIZED (
        SELECT one.word, CAST(one.query AS TSQUERY) AS query
        FROM unnest(CAST(:words AS TEXT[]), CAST(:queries AS TEXT[])) AS one (word, query)
    ), whole AS MATERIALIZED (
        SELECT count(*) AS chunks FROM (
            SELECT 1 FROM chunks WHERE store_id {OF_STORES} LIMIT {MOST_COUNTED}
        ) counted
    ), found AS MATERIALIZED (
        SELECT asked.word, held.ids,
            ln(1 + (greatest(whole.chunks - cardinality(held.ids), 0) + 0.5) / (cardinality(held.ids) + 0.5))
                AS weight
        FROM asked CROSS JOIN whole CROSS JOIN LATERAL (
            SELECT array_agg(c.id) AS ids FROM chunks c
            WHERE c.words @@ asked.query AND ((c.store_id, c.file_id) IN ({FILES})) IS TRUE
        ) held WHERE held.ids IS NOT NULL
    ), best AS MATERIALIZED (
        SELECT c.id, c.length, c.words FROM (
            SELECT each.id, sum(each.weight) AS weight
            FROM (SELECT unnest(ids) AS id, weight FROM found) each
            GROUP BY each.id ORDER BY 2 DESC, 1 LIMIT :candidates
        ) heaviest JOIN chunks c ON c.id = heaviest.id
    ), usual AS MATERIALIZED (
        SELECT avg(length) AS length FROM best
    )
    SELECT best.id, CAST(sum(
        CAST(found.weight AS DOUBLE PRECISION) * held.times * 2.2
            / (held.times + 1.2 * (0.25 + 0.75 * best.length / usual.length))
    ) AS DOUBLE PRECISION) AS score
    FROM best CROSS JOIN usual CROSS JOIN LATERAL (
        SELECT one.lexeme, cardinality(one.positions) AS times FROM unnest(best.words) AS one
        WHERE one.lexeme = ANY(CAST(:words AS TEXT[]))
    ) held JOIN found ON found.word = held.lexeme
    GROUP BY best.id ORDER BY 2 DESC, 1 LIMIT :limit
"""
MANY = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM vector_store_files f
        JOIN chunk_vectors v ON v.store_id = f.store_id AND v.file_id = f.file_id
        WHERE f.store_id {OF_STORES} AND {CONDITION} LIMIT :most
    ) held
"""
ASKED = "(SELECT CAST(CAST(:vector AS TEXT) AS HALFVEC))"
EXACT = f"""
    WITH near AS MATERIALIZED (
        SELECT v.id, v.vector <=> {ASKED} AS distance
        FROM vector_store_files f JOIN chunk_vectors v ON v.store_id = f.store_id AND v.file_id = f.file_id
        WHERE f.store_id {OF_STORES} AND {CONDITION}
            AND v.model = :model AND vector_dims(v.vector) = CAST(:dimensions AS BIGINT)
    )
    SELECT id, 1 - distance FROM near ORDER BY distance, id LIMIT :limit
"""
# Written so that only the HNSW index can give the order: it is walked until enough have passed.
NEAREST = f"""
    WITH near AS MATERIALIZED (
        SELECT v.id, CAST(v.vector AS HALFVEC({{dimensions}})) <=> {ASKED} AS distance FROM chunk_vectors v
        WHERE vector_dims(v.vector) = {{dimensions}} AND v.model = :model
            AND ((v.store_id, v.file_id) IN ({FILES})) IS TRUE
        ORDER BY CAST(v.vector AS HALFVEC({{dimensions}})) <=> {ASKED} LIMIT :limit
    )
    SELECT id, 1 - distance FROM near ORDER BY distance, id
"""
ROWS = """
    SELECT c.id, c.file_id, o.filename, f.attributes, c.text
    FROM chunks c JOIN vector_store_files f ON f.store_id = c.store_id AND f.file_id = c.file_id
    JOIN files o ON o.id = c.file_id
    WHERE c.id = ANY(CAST(:ids AS BIGINT[]))
    ORDER BY c.id
"""


class PostgresChunks:
    """The `ChunkIndex` of one transaction."""

    packing: Packing = "counted"

    def __init__(self, transaction: "Transaction") -> None:
        self._transaction = transaction

    async def add(self, store_id: str, file_id: str, entries: Sequence[Entry], model: str | None) -> None:
        rows: Params = {
            "store_id": store_id,
            "file_id": file_id,
            "numbers": [one.number for one in entries],
            "texts": [one.text for one in entries],
            "lengths": [one.words.number for one in entries],
            "words": [f"{one.words.text} '{store_id}':1" for one in entries],
        }
        await self._transaction.run(INSERT, rows)
        with_vectors = [(one.number, one.vector) for one in entries if one.vector is not None]
        if with_vectors and await self.has_vectors():
            vectors: Params = {
                "store_id": store_id,
                "file_id": file_id,
                "model": model,
                "numbers": [number for number, _ in with_vectors],
                "vectors": [number for _, vector in with_vectors for number in of_length_one(vector)],
                "length": len(with_vectors[0][1]),
            }
            await self._transaction.run(INSERT_VECTORS, vectors)

    async def tidy(self) -> bool:
        return False  # PostgreSQL does that by itself

    async def remove(self, store_id: str, file_id: str) -> None:
        await self._transaction.run(DELETE, {"store_id": store_id, "file_id": file_id})

    async def remove_file_some(self, store_id: str, file_id: str, rows: int) -> int:
        params: Params = {"store_id": store_id, "file_id": file_id, "rows": rows}
        return len(await self._transaction.all(DELETE_FILE_SOME, params))

    async def remove_some(self, store_id: str, rows: int) -> int:
        return len(await self._transaction.all(DELETE_SOME, {"store_id": store_id, "rows": rows}))

    async def has_vectors(self) -> bool:
        if await self._transaction.has_table(TABLE):
            return True
        say_words_alone()
        return False

    async def unembedded(
        self, store_id: str, file_id: str, model: str, dimensions: int, after: int, rows: int
    ) -> list[Unembedded]:
        params: Params = {
            "store_id": store_id,
            "file_id": file_id,
            "model": model,
            "dimensions": dimensions,
            "after": after,
            "rows": rows,
        }
        return [Unembedded(*row) for row in await self._transaction.all(UNEMBEDDED, params)]

    async def without_vector(self, ids: Sequence[int], model: str, dimensions: int) -> set[int]:
        params: Params = {"ids": [*ids], "model": model, "dimensions": dimensions}
        return {row[0] for row in await self._transaction.all(WITHOUT_VECTOR, params)}

    async def embed(
        self, store_id: str, file_id: str, vectors: Sequence[tuple[int, Sequence[float]]], model: str
    ) -> Kept:
        params: Params = {
            "store_id": store_id,
            "file_id": file_id,
            "model": model,
            "ids": [id for id, _ in vectors],
            "vectors": [text_of(vector) for _, vector in vectors],
        }
        row = await self._transaction.one(EMBED, params)
        assert row
        return Kept(*row)

    async def twins(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        rows = await self._transaction.all(TWINS, {"ids": [*ids]})
        return [(id, first) for id, first in rows]

    async def by_words(self, scope: Scope, words: Sequence[str], limit: int) -> list[Found]:
        told = await self._telling(scope, words) if len(words) > 1 else words
        params: Params = {
            **params_of(scope),
            "words": [*told],
            "queries": queries(scope, told),
            "candidates": 2 * limit,
            "limit": limit,
        }
        return found_of(await self._transaction.all(BY_WORDS, params))

    async def _telling(self, scope: Scope, words: Sequence[str]) -> Sequence[str]:
        """Those of the words that are looked up."""
        if await self._transaction.one(ARE_MANY, {"few": FEW}) != (True,):
            return words
        params: Params = {"words": [*words], "queries": queries(scope, words), "most": ENOUGH + 1}
        return telling(await self._transaction.all(COUNTS, params))

    async def by_vector(self, scope: Scope, vector: Sequence[float], model: str, limit: int) -> list[Found]:
        if not await self.has_vectors():
            return []
        params: Params = {**params_of(scope), "vector": text_of(vector), "model": model, "limit": limit}
        if len(vector) in INDEXED and await self._are_many(scope):
            sql = NEAREST.format(dimensions=len(vector))
            found = found_of(await self._transaction.all(sql, params))
            if len(found) == limit:
                return found
        params = {**params, "dimensions": len(vector)}
        return found_of(await self._transaction.all(EXACT, params))

    async def _are_many(self, scope: Scope) -> bool:
        row = await self._transaction.one(MANY, {**params_of(scope), "most": LARGEST_EXACT + 1})
        return row is not None and row[0] > LARGEST_EXACT

    async def rows(self, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        return await self._transaction.all(ROWS, {"ids": [*ids]})


@cache
def say_words_alone() -> None:
    """Once a process."""
    log.warning("event=no_pgvector needed=0.8 search=words")


def found_of(rows: Sequence[tuple[Any, ...]]) -> list[Found]:
    """A vector of nothing but zeros has no direction, and is as far away as can be."""
    return [(id, -1.0 if math.isnan(score) else float(score)) for id, score in rows]


def queries(scope: Scope, words: Sequence[str]) -> "list[Value]":
    """Each word, in one of the stores, as a tsquery. Words hold no quotes."""
    stores = " | ".join(f"'{id}'" for id in scope.store_ids)
    return [f"'{word}' & ({stores})" for word in words]


def params_of(scope: Scope) -> "dict[str, Any]":
    path = jsonpath(scope.filter) if scope.filter else None
    return {"stores": [*scope.store_ids], "filter": path}


def of_length_one(vector: Sequence[float]) -> list[float]:
    """Halves reach no further than 65,504."""
    length = math.hypot(*vector) or 1.0
    return [one / length for one in vector]


def text_of(vector: Sequence[float]) -> str:
    """A vector of length one as pgvector reads it."""
    return f"[{','.join(map(repr, of_length_one(vector)))}]"


OPERATORS = {
    "eq": "==",
    "ne": "==",
    "in": "==",
    "nin": "==",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}
NEVER = "(1 == 0)"


def jsonpath(filter: Filter) -> str:
    """A filter as a predicate on a file's attributes. What is of different types is never compared: there the
    predicate is unknown, which counts as false."""
    if not isinstance(filter, Comparison):
        sign = " && " if filter.type == "and" else " || "
        return f"({sign.join(jsonpath(one) for one in filter.filters)})"
    operator = OPERATORS[filter.type]
    values = filter.values
    if operator != "==":
        values = [one for one in values if not isinstance(one, bool)]
    key = quoted(filter.key)
    either = " || ".join(f"($.{key} {operator} {quoted(one)})" for one in values) or NEVER
    return f"(!({either}) || (({either}) is unknown))" if filter.type in ("ne", "nin") else f"({either})"


def quoted(value: object) -> str:
    """A value as JSON, and as a path has it. No text on PostgreSQL holds U+0000."""
    return json.dumps(value).replace("\\u0000", "\\ufffd")
