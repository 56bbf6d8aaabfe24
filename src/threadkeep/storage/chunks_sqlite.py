"""The index of chunks on SQLite: FTS5 for words, and sqlite-vec for the distance of vectors.

Vectors are plain blobs, read in the order in which their store's files have them: an exact search, with any
length of vector, in which a filter and the rights of a store are ordinary conditions.
"""

import json
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from threadkeep.filters import Comparison, Filter
from threadkeep.storage.chunks import Entry, Found, Kept, Scope, Unembedded
from threadkeep.storage.packing import Packing
from threadkeep.storage.telling import ENOUGH, FEW, telling

if TYPE_CHECKING:
    from threadkeep.storage.database import Params, Transaction, Value

FLOAT_BYTES = 4
# One statement for all rows: after each, the writer may have to wait until the event loop lets it go on.
INSERT = """
    INSERT INTO chunks (store_id, file_id, number, text)
    SELECT :store_id, :file_id, number.value, one.value
    FROM json_each(:numbers) number JOIN json_each(:texts) one ON one.key = number.key
    ORDER BY number.key
"""
ADDED = """
    json_each(:numbers) number CROSS JOIN chunks c
    ON c.store_id = :store_id AND c.file_id = :file_id AND c.number = number.value
"""
INSERT_WORDS = f"""
    INSERT INTO chunk_words (rowid, store, words)
    SELECT c.id, :store_id, one.value FROM {ADDED} JOIN json_each(:words) one ON one.key = number.key
    ORDER BY c.id
"""
INSERT_VECTORS = f"""
    INSERT INTO chunk_vectors (id, store_id, file_id, model, vector)
    SELECT c.id, :store_id, :file_id, :model, substr(:vectors, 1 + :length * number.key, :length) FROM {ADDED}
    ORDER BY c.id
"""
# FTS5 merges what was added only when we say so: by itself it does so much at a time that others notice.
IS_OURS_TO_MERGE = "SELECT 1 FROM chunk_words_config WHERE k = 'automerge'"
LEAVE_TO_US = "INSERT INTO chunk_words (chunk_words, rank) VALUES ('automerge', 0)"
MERGE = "INSERT INTO chunk_words (chunk_words, rank) VALUES ('merge', :pages)"
PAGES = 16
"""Of the index, merged in one transaction: about a millisecond."""
CHANGES = "SELECT total_changes()"
OF_FILE = "SELECT id FROM chunks WHERE store_id = :store_id AND file_id = :file_id"
SOME_OF_FILE = f"{OF_FILE} ORDER BY number LIMIT :rows"
OF_STORE = "SELECT id FROM chunks WHERE store_id = :store_id ORDER BY file_id, number LIMIT :rows"
DELETIONS = (
    "DELETE FROM chunk_words WHERE rowid IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM chunk_vectors WHERE id IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM chunks WHERE id IN (SELECT value FROM json_each(:ids))",
)
# A column's length is read without the column.
UNEMBEDDED = """
    SELECT c.id, c.number, c.text FROM chunks c
    WHERE c.store_id = :store_id AND c.file_id = :file_id AND c.number > :after AND (
        SELECT 1 FROM chunk_vectors v WHERE v.id = c.id AND v.model = :model AND length(v.vector) = :bytes
    ) IS NULL
    ORDER BY c.number LIMIT :rows
"""
WITHOUT_VECTOR = """
    SELECT i.value FROM json_each(:ids) i WHERE NOT EXISTS (
        SELECT 1 FROM chunk_vectors v WHERE v.id = i.value AND v.model = :model AND length(v.vector) = :bytes
    )
"""
TWINS = """
    SELECT id, first FROM (
        SELECT c.id, min(c.id) OVER (PARTITION BY c.file_id, c.text) AS first
        FROM json_each(:ids) i JOIN chunks c ON c.id = i.value
    ) WHERE id <> first
"""
LENGTH = "SELECT length(vector) FROM chunk_vectors WHERE id = :id"
EMBED = """
    INSERT INTO chunk_vectors (id, store_id, file_id, model, vector)
    SELECT id, store_id, file_id, :model, :vector FROM chunks
    WHERE id = :id AND store_id = :store_id AND file_id = :file_id
    ON CONFLICT (id) DO UPDATE SET model = excluded.model, vector = excluded.vector
    RETURNING length(vector)
"""
IN_STORES = "f.store_id IN (SELECT value FROM json_each(:stores)) AND f.status = 'completed'"
ARE_MANY = "SELECT max(id) > :few FROM chunks"
COUNTS = """
    SELECT one.value, (
        SELECT count(*) FROM (
            SELECT 1 FROM chunk_words WHERE chunk_words MATCH :stores || ' AND words : "' || one.value || '"'
            LIMIT :most
        )
    ) FROM json_each(:words) one
"""
# Which files are looked through is settled once, before the words are.
BY_WORDS = """
    SELECT c.id, -bm25(chunk_words, 0.0, 1.0) AS score
    FROM chunk_words CROSS JOIN chunks c ON c.id = chunk_words.rowid
    WHERE chunk_words MATCH :match AND (c.store_id, c.file_id) IN (
        SELECT f.store_id, f.file_id FROM vector_store_files f WHERE {condition}
    )
    ORDER BY score DESC, c.id LIMIT :limit
"""
BY_VECTOR = """
    SELECT v.id, 1 - vec_distance_cosine(v.vector, :vector) AS score
    FROM vector_store_files f CROSS JOIN chunk_vectors v ON v.store_id = f.store_id AND v.file_id = f.file_id
    WHERE {condition} AND v.model = :model AND length(v.vector) = length(:vector)
    ORDER BY score DESC, v.id LIMIT :limit
"""
ROWS = """
    SELECT c.id, c.file_id, o.filename, f.attributes, c.text
    FROM json_each(:ids) i JOIN chunks c ON c.id = i.value
    JOIN vector_store_files f ON f.store_id = c.store_id AND f.file_id = c.file_id
    JOIN files o ON o.id = c.file_id
    ORDER BY c.id
"""


class SQLiteChunks:
    """The `ChunkIndex` of one transaction."""

    packing: Packing = "listed"

    def __init__(self, transaction: "Transaction") -> None:
        self._transaction = transaction

    async def add(self, store_id: str, file_id: str, entries: Sequence[Entry], model: str | None) -> None:
        rows: Params = {
            "store_id": store_id,
            "file_id": file_id,
            "numbers": listed([one.number for one in entries]),
            "texts": listed([one.text for one in entries]),
            "words": listed([one.words.text for one in entries]),
        }
        if await self._transaction.one(IS_OURS_TO_MERGE, {}) is None:
            await self._transaction.run(LEAVE_TO_US, {})
        await self._transaction.run(INSERT, rows)
        await self._transaction.run(INSERT_WORDS, rows)
        vectors = [(one.number, blob(one.vector)) for one in entries if one.vector is not None]
        if vectors:
            them: Params = {
                "store_id": store_id,
                "file_id": file_id,
                "model": model,
                "numbers": listed([number for number, _ in vectors]),
                "vectors": b"".join(vector for _, vector in vectors),
                "length": len(vectors[0][1]),
            }
            await self._transaction.run(INSERT_VECTORS, them)

    async def tidy(self) -> bool:
        before = await self._transaction.one(CHANGES, {})
        await self._transaction.run(MERGE, {"pages": PAGES})
        after = await self._transaction.one(CHANGES, {})
        assert before
        assert after
        return bool(after[0] - before[0] > 1)  # the statement itself counts as one

    async def remove(self, store_id: str, file_id: str) -> None:
        await self._delete(await self._transaction.all(OF_FILE, {"store_id": store_id, "file_id": file_id}))

    async def remove_file_some(self, store_id: str, file_id: str, rows: int) -> int:
        params: Params = {"store_id": store_id, "file_id": file_id, "rows": rows}
        found = await self._transaction.all(SOME_OF_FILE, params)
        await self._delete(found)
        return len(found)

    async def remove_some(self, store_id: str, rows: int) -> int:
        found = await self._transaction.all(OF_STORE, {"store_id": store_id, "rows": rows})
        await self._delete(found)
        return len(found)

    async def _delete(self, rows: Sequence[tuple[Any, ...]]) -> None:
        ids = json.dumps([row[0] for row in rows])
        for deletion in DELETIONS if rows else ():
            await self._transaction.run(deletion, {"ids": ids})

    async def has_vectors(self) -> bool:
        return True

    async def unembedded(
        self, store_id: str, file_id: str, model: str, dimensions: int, after: int, rows: int
    ) -> list[Unembedded]:
        params: Params = {
            "store_id": store_id,
            "file_id": file_id,
            "model": model,
            "bytes": dimensions * FLOAT_BYTES,
            "after": after,
            "rows": rows,
        }
        return [Unembedded(*row) for row in await self._transaction.all(UNEMBEDDED, params)]

    async def without_vector(self, ids: Sequence[int], model: str, dimensions: int) -> set[int]:
        params: Params = {"ids": json.dumps([*ids]), "model": model, "bytes": dimensions * FLOAT_BYTES}
        return {row[0] for row in await self._transaction.all(WITHOUT_VECTOR, params)}

    async def embed(
        self, store_id: str, file_id: str, vectors: Sequence[tuple[int, Sequence[float]]], model: str
    ) -> Kept:
        kept = more = 0
        for id, vector in vectors:
            before = await self._transaction.one(LENGTH, {"id": id})
            params: Params = {"store_id": store_id, "file_id": file_id, "id": id, "model": model}
            after = await self._transaction.one(EMBED, {**params, "vector": blob(vector)})
            if after is not None:
                kept += 1
                more += after[0] - (before[0] if before else 0)
        return Kept(kept, more // FLOAT_BYTES)

    async def twins(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        rows = await self._transaction.all(TWINS, {"ids": json.dumps([*ids])})
        return [(id, first) for id, first in rows]

    async def by_words(self, scope: Scope, words: Sequence[str], limit: int) -> list[Found]:
        told = await self._telling(scope, words) if len(words) > 1 else words
        params: dict[str, Value] = {"match": match_of(scope.store_ids, told), "limit": limit}
        sql = BY_WORDS.format(condition=condition_of(scope, params))
        return [(row[0], row[1]) for row in await self._transaction.all(sql, params)]

    async def _telling(self, scope: Scope, words: Sequence[str]) -> Sequence[str]:
        """Those of the words that are looked up."""
        if await self._transaction.one(ARE_MANY, {"few": FEW}) != (1,):
            return words
        params: Params = {"stores": of_stores(scope.store_ids), "words": listed(words), "most": ENOUGH + 1}
        return telling(await self._transaction.all(COUNTS, params))

    async def by_vector(self, scope: Scope, vector: Sequence[float], model: str, limit: int) -> list[Found]:
        params: dict[str, Value] = {"vector": blob(vector), "model": model, "limit": limit}
        sql = BY_VECTOR.format(condition=condition_of(scope, params))
        # A vector of nothing but zeros has no direction, and is as far away as can be.
        return [
            (row[0], -1.0 if row[1] is None else row[1]) for row in await self._transaction.all(sql, params)
        ]

    async def rows(self, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        return await self._transaction.all(ROWS, {"ids": json.dumps([*ids])})


def listed(values: Sequence[str | int]) -> str:
    """As JSON, which SQLite reads as rows."""
    return msgspec.json.encode(values).decode()


def blob(vector: Sequence[float]) -> bytes:
    """A vector as sqlite-vec reads it."""
    return array("f", vector).tobytes()


def match_of(store_ids: Sequence[str], words: Sequence[str]) -> str:
    """Any of the words in one of the stores, as FTS5 puts it. Words hold no quotes."""
    return f"{of_stores(store_ids)} AND words : ({either(words)})"


def of_stores(store_ids: Sequence[str]) -> str:
    return f"store : ({either(store_ids)})"


def either(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def condition_of(scope: Scope, params: "dict[str, Value]") -> str:
    """What holds for the rows `f` of `vector_store_files` in a scope; its values go into `params`."""
    params["stores"] = json.dumps([*scope.store_ids])
    return f"{IN_STORES} AND {sql_of(scope.filter, params)}" if scope.filter else IN_STORES


# Of JSON's types the three that are compared, each with its own kind only.
KIND = "CASE {0}.type WHEN 'text' THEN 't' WHEN 'integer' THEN 'n' WHEN 'real' THEN 'n' ELSE 'b' END"
OPERATORS = {"eq": "=", "ne": "=", "in": "=", "nin": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def sql_of(filter: Filter, params: "dict[str, Value]") -> str:
    """A filter as a condition."""
    if not isinstance(filter, Comparison):
        parts = [sql_of(one, params) for one in filter.filters]
        return f"({f' {filter.type.upper()} '.join(parts)})"
    key, value = f"f{len(params)}", f"f{len(params) + 1}"
    params[key] = filter.key
    params[value] = json.dumps(filter.values)
    operator = OPERATORS[filter.type]
    ordered = "" if operator == "=" else f" AND {KIND.format('a')} <> 'b'"
    found = (
        f"EXISTS (SELECT 1 FROM json_each(f.attributes) a, json_each(:{value}) v WHERE a.key = :{key}"
        f" AND {KIND.format('a')} = {KIND.format('v')}{ordered} AND a.value {operator} v.value)"
    )
    return f"NOT {found}" if filter.type in ("ne", "nin") else found
