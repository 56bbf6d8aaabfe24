"""The index of chunks on SQLite: FTS5 for words, and sqlite-vec for the distance of vectors.

Vectors are plain blobs, read in the order in which their store's files have them: an exact search, with any
length of vector, in which a filter and the rights of a store are ordinary conditions.
"""

import json
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from threadkeep.filters import Comparison, Filter
from threadkeep.storage.chunks import Entry, Found, Scope

if TYPE_CHECKING:
    from threadkeep.storage.database import Transaction, Value

INSERT = """
    INSERT INTO chunks (store_id, file_id, number, text) VALUES (:store_id, :file_id, :number, :text)
    RETURNING id
"""
INSERT_WORDS = "INSERT INTO chunk_words (rowid, store, words) VALUES (:id, :store_id, :words)"
INSERT_VECTOR = """
    INSERT INTO chunk_vectors (id, store_id, file_id, model, vector)
    VALUES (:id, :store_id, :file_id, :model, :vector)
"""
OF_FILE = "SELECT id FROM chunks WHERE store_id = :store_id AND file_id = :file_id"
OF_STORE = "SELECT id FROM chunks WHERE store_id = :store_id ORDER BY file_id, number LIMIT :rows"
DELETIONS = (
    "DELETE FROM chunk_words WHERE rowid IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM chunk_vectors WHERE id IN (SELECT value FROM json_each(:ids))",
    "DELETE FROM chunks WHERE id IN (SELECT value FROM json_each(:ids))",
)
IN_STORES = "f.store_id IN (SELECT value FROM json_each(:stores)) AND f.status = 'completed'"
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

    def __init__(self, transaction: "Transaction") -> None:
        self._transaction = transaction

    async def add(self, store_id: str, file_id: str, entries: Sequence[Entry], model: str | None) -> None:
        whose = {"store_id": store_id, "file_id": file_id}
        for one in entries:
            row = await self._transaction.one(INSERT, {**whose, "number": one.number, "text": one.text})
            assert row
            words = {"id": row[0], "store_id": store_id, "words": " ".join(one.words)}
            await self._transaction.run(INSERT_WORDS, words)
            if one.vector is not None:
                vector = {"id": row[0], "model": model, "vector": blob(one.vector)}
                await self._transaction.run(INSERT_VECTOR, {**whose, **vector})

    async def remove(self, store_id: str, file_id: str) -> None:
        await self._delete(await self._transaction.all(OF_FILE, {"store_id": store_id, "file_id": file_id}))

    async def remove_some(self, store_id: str, rows: int) -> int:
        found = await self._transaction.all(OF_STORE, {"store_id": store_id, "rows": rows})
        await self._delete(found)
        return len(found)

    async def _delete(self, rows: Sequence[tuple[Any, ...]]) -> None:
        ids = json.dumps([row[0] for row in rows])
        for deletion in DELETIONS if rows else ():
            await self._transaction.run(deletion, {"ids": ids})

    async def by_words(self, scope: Scope, words: Sequence[str], limit: int) -> list[Found]:
        params: dict[str, Value] = {"match": match_of(scope.store_ids, words), "limit": limit}
        sql = BY_WORDS.format(condition=condition_of(scope, params))
        return [(row[0], row[1]) for row in await self._transaction.all(sql, params)]

    async def by_vector(self, scope: Scope, vector: Sequence[float], model: str, limit: int) -> list[Found]:
        params: dict[str, Value] = {"vector": blob(vector), "model": model, "limit": limit}
        sql = BY_VECTOR.format(condition=condition_of(scope, params))
        # A vector of nothing but zeros has no direction, and is as far away as can be.
        return [
            (row[0], -1.0 if row[1] is None else row[1]) for row in await self._transaction.all(sql, params)
        ]

    async def rows(self, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        return await self._transaction.all(ROWS, {"ids": json.dumps([*ids])})


def blob(vector: Sequence[float]) -> bytes:
    """A vector as sqlite-vec reads it."""
    return array("f", vector).tobytes()


def match_of(store_ids: Sequence[str], words: Sequence[str]) -> str:
    """Any of the words in one of the stores, as FTS5 puts it. Words hold no quotes."""
    stores, asked = (" OR ".join(f'"{one}"' for one in some) for some in (store_ids, words))
    return f"store : ({stores}) AND words : ({asked})"


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
