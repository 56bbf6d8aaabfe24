"""What the other rooms may ask of the index: to take in a file's chunks, to forget them, to find them.

A chunk belongs to one file in one store. It is found only while its row in `vector_store_files` says
`completed`, so a file may be taken in over many transactions before that.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.context import Context
from threadkeep.filters import Filter
from threadkeep.providers.base import Embedder, ModelFailure
from threadkeep.search.fusion import fused
from threadkeep.search.model import Chunk, Hit, Query, Ranker
from threadkeep.search.words import asked_words, words_of
from threadkeep.storage.chunks import ChunkIndex, Entry, Found, Kept, Scope, Unembedded
from threadkeep.storage.database import Database, Params, Transaction
from threadkeep.storage.packing import Packed, packed

__all__ = [
    "Chunk",
    "Hit",
    "Text",
    "TextGone",
    "Unembedded",
    "Vectors",
    "add",
    "answer",
    "embed",
    "pieces",
    "put",
    "remove",
    "remove_some",
    "remove_store_some",
    "search",
    "source_of",
    "text_of",
    "tidy",
    "unembedded",
    "vectors_of",
]

log = logging.getLogger(__name__)

DEPTH = 100
"""How many chunks of each ranking are fused."""
SECONDS_FOR_VECTORS = 5.0
"""How long a question waits for its vectors: a provider's own patience is that of files, which have time."""
Vectors = Sequence[Sequence[float]]
"""One vector for each text, all of one length."""


# ---------------------------------------------------------------- taking in


async def put(
    transaction: Transaction,
    store_id: str,
    file_id: str,
    chunks: Sequence[Chunk],
    vectors: Sequence[Sequence[float] | None] | None,
    model: str | None,
) -> None:
    """Take a file's chunks in, in place of those that are there."""
    await remove(transaction, store_id, file_id)
    await add(transaction, store_id, file_id, chunks, vectors, model)


async def add(
    transaction: Transaction,
    store_id: str,
    file_id: str,
    chunks: Sequence[Chunk],
    vectors: Sequence[Sequence[float] | None] | None,
    model: str | None,
) -> None:
    """Take more chunks of a file in, each with its vector or without: a large file is better added in parts,
    each in its own transaction, after a `remove` of what an earlier attempt has left. `model` is where the
    vectors come from."""
    vectors_or_none = vectors if vectors is not None else [None] * len(chunks)
    entries = [
        Entry(chunk.number, chunk.text, known_words(chunk, transaction), vector)
        for chunk, vector in zip(chunks, vectors_or_none, strict=True)
    ]
    await transaction.chunks.add(store_id, file_id, entries, model)


def known_words(chunk: Chunk, transaction: Transaction) -> Packed:
    return chunk.words or packed(words_of(chunk.text), transaction.chunks.packing)


async def tidy(transaction: Transaction) -> bool:
    """To be done after each `add`, again and again in small transactions; whether there may be more of it."""
    return await transaction.chunks.tidy()


async def remove(transaction: Transaction, store_id: str, file_id: str) -> None:
    """Forget a file's chunks."""
    await transaction.chunks.remove(store_id, file_id)


async def remove_some(transaction: Transaction, store_id: str, file_id: str, rows: int) -> bool:
    """Forget at most `rows` of a file's chunks; whether there may be more."""
    return await transaction.chunks.remove_file_some(store_id, file_id, rows) == rows


async def remove_store_some(transaction: Transaction, store_id: str, rows: int) -> bool:
    """Forget at most `rows` chunks of a store; whether there may be more."""
    return await transaction.chunks.remove_some(store_id, rows) == rows


def source_of(embedder: Embedder | None) -> str:
    """What the vectors of an embedder are known by: its model, and the length that it is asked for."""
    if embedder is None:
        return ""
    return embedder.model if embedder.dimensions is None else f"{embedder.model} {embedder.dimensions}"


async def unembedded(
    transaction: Transaction, store_id: str, file_id: str, model: str, dimensions: int, after: int, rows: int
) -> list[Unembedded]:
    """At most `rows` of a file's chunks that have no vector of this model and length, in their order, behind
    the number `after`."""
    return await transaction.chunks.unembedded(store_id, file_id, model, dimensions, after, rows)


async def embed(
    transaction: Transaction,
    store_id: str,
    file_id: str,
    vectors: Sequence[tuple[int, Sequence[float]]],
    model: str,
) -> Kept:
    """Give chunks of a file (by `Unembedded.id`) these vectors in place of those they may have. What is gone,
    or may be going, is left out."""
    return await transaction.chunks.embed(store_id, file_id, vectors, model)


# ---------------------------------------------------------------- giving out


class Text(Struct, frozen=True):
    """The text of a file as it was taken in at one time, which `position` and `attempt` tell from any other:
    so many chunks, none where it is not `completed`."""

    store_id: str
    file_id: str
    position: int = 0
    attempt: int = 0
    chunks: int = 0


class TextGone(Exception):
    """A text was removed, or is made anew, while it was read."""


TEXT = """
    SELECT position, attempt, COALESCE((
        SELECT MAX(number) + 1 FROM chunks WHERE store_id = :store_id AND file_id = :file_id
    ), 0) AS chunks
    FROM vector_store_files WHERE store_id = :store_id AND file_id = :file_id AND status = 'completed'
"""
PIECES = """
    SELECT number, text FROM chunks
    WHERE store_id = :store_id AND file_id = :file_id AND number > :after AND EXISTS (
        SELECT 1 FROM vector_store_files f WHERE f.store_id = :store_id AND f.file_id = :file_id
        AND f.status = 'completed' AND f.position = :position AND f.attempt = :attempt
    )
    ORDER BY number LIMIT :rows
"""
PIECES_AT_ONCE = 16
"""Chunks read by one statement: some 50 kB where they are of the usual length."""


async def text_of(transaction: Transaction, store_id: str, file_id: str) -> Text:
    """What there is to read of a file."""
    row = await transaction.one(TEXT, {"store_id": store_id, "file_id": file_id})
    return Text(store_id, file_id, *(row or ()))


async def pieces(database: Database, text: Text) -> AsyncIterator[list[str]]:
    """The texts of the chunks in their order, a few at a time, each time in a read of its own: a large one
    takes up neither memory nor the event loop. Raises `TextGone`."""
    read = 0
    while read < text.chunks:
        params: Params = {
            "store_id": text.store_id,
            "file_id": text.file_id,
            "position": text.position,
            "attempt": text.attempt,
            "after": read - 1,
            "rows": PIECES_AT_ONCE,
        }
        async with database.read() as transaction:
            rows = await transaction.all(PIECES, params)
        read += len(rows)
        if not rows or rows[-1][0] != read - 1:  # else a part would be taken for the whole
            raise TextGone(f"{text.file_id} in {text.store_id}")
        yield [row[1] for row in rows]
        await asyncio.sleep(0)  # SQLite answers at once, and others want their turn


# ---------------------------------------------------------------- finding


async def search(
    context: Context,
    store_ids: Sequence[str],
    texts: Sequence[str],
    vectors: Vectors | None,
    limit: int,
    filters: Filter | None = None,
    threshold: float = 0.0,
    ranker: Ranker = "auto",
) -> list[Hit]:
    """The best `limit` hits for any of the texts, the best first; without `vectors` (one for each text, by
    the context's embedder) by their words alone. Expired and foreign stores are the caller's to refuse.

    The ranker "none" fuses nothing where there are vectors: their cosines are the scores. A passage of a file
    that is in several of the stores is one hit.
    """
    scope = Scope(store_ids, filters)
    embedder = context.embedder
    asked = [(vector, embedder.model) for vector in vectors] if vectors and embedder else []
    words = [found for text in texts if (found := asked_words(text))]

    async def work(transaction: Transaction) -> list[Hit]:
        index = transaction.chunks
        near = [await index.by_vector(scope, vector, model, DEPTH) for vector, model in asked]
        by_meaning = ranker == "none" and any(near)
        said = [] if by_meaning else [await index.by_words(scope, some, DEPTH) for some in words]
        if len(store_ids) > 1:
            first = await twins(index, near + said)
            near, said = [once(one, first) for one in near], [once(one, first) for one in said]
        if by_meaning:
            best = by_cosine(near)
        else:
            alone = await without_vectors(index, near, said, asked) if any(near) else set()
            best = fused([[id for id, _ in ranking] for ranking in near + said if ranking], alone)
        return await hits(transaction, [pair for pair in best[:limit] if pair[1] >= threshold])

    return await context.database.scan(work) if store_ids else []


async def twins(index: ChunkIndex, rankings: Sequence[Sequence[Found]]) -> dict[int, int]:
    """For a chunk that says the same as another of its file, the first such chunk: a file may be in several
    stores, such as the assistant's and the thread's, and is not to take the room of others for that."""
    return dict(await index.twins(sorted({id for ranking in rankings for id, _ in ranking})))


def once(ranking: Sequence[Found], first: Mapping[int, int]) -> list[Found]:
    """A ranking in which each passage stands once, at its best place."""
    best: dict[int, float] = {}
    for id, score in ranking:
        best.setdefault(first.get(id, id), score)
    return [*best.items()]


async def without_vectors(
    index: ChunkIndex,
    near: Sequence[Sequence[Found]],
    said: Sequence[Sequence[Found]],
    asked: Sequence[tuple[Sequence[float], str]],
) -> set[int]:
    """Which of the chunks that have the words could not be found by what they mean, since they have no vector
    of the model: other vectors are wanted now than when they were taken in."""
    close = {id for ranking in near for id, _ in ranking}
    others = {id for ranking in said for id, _ in ranking} - close
    vector, model = asked[0]
    return await index.without_vector(sorted(others), model, len(vector)) if others else set()


def by_cosine(rankings: Sequence[Sequence[Found]]) -> list[Found]:
    """Each chunk with the best of its cosines, the best first; what points elsewhere has the score 0."""
    best: dict[int, float] = {}
    for id, cosine in (pair for ranking in rankings for pair in ranking):
        best[id] = max(best.get(id, 0.0), min(cosine, 1.0))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))


async def answer(context: Context, store_ids: Sequence[str], query: Query) -> list[Hit]:
    """What a query finds. Words are enough where its vectors are not to be had."""
    vectors = await vectors_of(context, query.texts)
    return await search(
        context, store_ids, query.texts, vectors, query.limit, query.filter, query.threshold, query.ranker
    )


async def hits(transaction: Transaction, best: Sequence[tuple[int, float]]) -> list[Hit]:
    """Chunks with what is shown of them; one that is gone by now is left out."""
    found = {row[0]: row for row in await transaction.chunks.rows([id for id, _ in best])}
    return [hit_of(found[id], score) for id, score in best if id in found]


def hit_of(row: tuple[Any, ...], score: float) -> Hit:
    return Hit(row[1], row[2], score, msgspec.json.decode(row[3]), [row[4]])


async def vectors_of(context: Context, texts: Sequence[str]) -> Vectors | None:
    """The vectors of queries. None without an embedder, where it fails, and where it has not answered within
    `SECONDS_FOR_VECTORS`: words are better than nothing."""
    if context.embedder is None:
        return None
    try:
        async with asyncio.timeout(SECONDS_FOR_VECTORS):
            return await context.embedder.embed(texts)
    except ModelFailure as problem:
        log.warning("event=query_not_embedded problem=%r", problem)
    except TimeoutError:
        log.warning(
            "event=query_not_embedded problem='no vector came within %g seconds'", SECONDS_FOR_VECTORS
        )
    return None
