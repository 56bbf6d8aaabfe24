"""Embeddings over HTTP (`POST /embeddings` as OpenAI published it), also under Azure's addresses.

Many texts go in few requests, some of which are under way at the same time; each request is sent again by
itself, as those for chat completions are.
"""

import asyncio
import math
from array import array
from base64 import b64decode
from collections.abc import Iterator, Sequence
from functools import partial
from sys import byteorder
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.providers import failures
from threadkeep.providers.upstream import Upstream

MOST_BYTES = 256 * 1024
"""Of text in one request. A token has a byte at least, and OpenAI takes 300,000 tokens at a time."""
AT_ONCE = 4
"""Requests of one call that are under way at the same time."""
MOST_OF_AN_ANSWER = 256 * 1024 * 1024
LONGEST = 16_000
"""Numbers of a vector. PostgreSQL keeps no more: https://github.com/pgvector/pgvector#halfvec-type"""


class Embeddings:
    """The `Embedder` of one model at one upstream. With `dimensions` it is asked for vectors of that length;
    `batch` texts go in one request at most."""

    def __init__(self, upstream: Upstream, model: str, dimensions: int | None, batch: int) -> None:
        self.model, self.dimensions = model, dimensions
        self._upstream, self._batch = upstream, batch

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order. Raises `ModelFailure`."""
        free = asyncio.Semaphore(AT_ONCE)

        async def vectors(some: Sequence[str]) -> list[list[float]]:
            async with free:
                return await self._vectors(some)

        tasks = [asyncio.ensure_future(vectors(some)) for some in batches(texts, self._batch)]
        try:
            return [vector for found in await asyncio.gather(*tasks) for vector in found]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of one request."""
        url = self._upstream.url("embeddings", self.model)
        body = msgspec.json.encode(self._body(texts))
        return await self._upstream.tried(partial(self._attempt, url, body, len(texts)))

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        """The JSON body. The encoding is left open: every server knows the one that it uses by itself."""
        body: dict[str, Any] = {"model": self.model, "input": texts}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        return body

    async def _attempt(self, url: str, body: bytes, count: int) -> list[list[float]]:
        """One request. Raises `Trouble`."""
        response = await self._upstream.posted(url, body)
        answer = await self._upstream.whole(response, MOST_OF_AN_ANSWER)
        if not answer.strip():
            raise failures.nothing_came(self._upstream.place)
        try:
            return vectors_in(answer, count, self.dimensions)
        except ValueError as problem:
            raise failures.malformed(self._upstream.place, str(problem), "list of embeddings") from None


def batches(texts: Sequence[str], most: int, most_bytes: int = MOST_BYTES) -> Iterator[Sequence[str]]:
    """The texts in runs of at most so many texts and bytes; a longer text goes alone."""
    begin = size = 0
    for number, text in enumerate(texts):
        length = len(text.encode())
        if number > begin and (number - begin == most or size + length > most_bytes):
            yield texts[begin:number]
            begin, size = number, 0
        size += length
    if begin < len(texts):
        yield texts[begin:]


# ---------------------------------------------------------------- answers


class Vector(Struct):
    """A vector as numbers, or as 32-bit floats in base64, little end first."""

    embedding: list[float] | str
    index: int | None = None


class Answer(Struct):
    data: list[Vector]


_answer_of = msgspec.json.Decoder(Answer).decode


def vectors_in(answer: bytes, count: int, dimensions: int | None) -> list[list[float]]:
    """The vectors of `count` texts, in the order of the texts, which `index` tells where it is there.

    Raises `ValueError` unless there is one for each, all of one length, which is `LONGEST` at most, and
    `dimensions`, if that is given.
    """
    try:
        data = _answer_of(answer).data
    except msgspec.DecodeError as problem:
        shown = answer[:200].decode("utf-8", "replace")
        raise ValueError(f"{problem} ({shown})") from None
    if len(data) != count:
        raise ValueError(f"{len(data)} vectors for {count} texts")
    places = [number if one.index is None else one.index for number, one in enumerate(data)]
    if sorted(places) != list(range(count)):
        raise ValueError("their indexes do not say which text is whose")
    found: list[list[float]] = [[]] * count
    for place, one in zip(places, data, strict=True):
        found[place] = numbers_of(one.embedding)
    check_lengths({len(one) for one in found}, dimensions)
    return found


def numbers_of(embedding: list[float] | str) -> list[float]:
    """Raises `ValueError` for what is no vector."""
    if isinstance(embedding, str):
        floats = array("f", b64decode(embedding, validate=True))
        if byteorder == "big":
            floats.byteswap()
        embedding = floats.tolist()
    if not math.isfinite(sum(embedding)):
        raise ValueError("a vector with something in it that is no number")
    return embedding


def check_lengths(lengths: set[int], dimensions: int | None) -> None:
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(f"vectors of {', '.join(map(str, sorted(lengths)))} numbers")
    if any(length > LONGEST for length in lengths):
        raise ValueError(f"vectors of {max(lengths)} numbers, where {LONGEST} are the most that can be kept")
    if dimensions is not None and lengths and lengths != {dimensions}:
        [length] = lengths
        raise ValueError(
            f"vectors of {length} numbers, where embedding_dimensions is {dimensions}: set it to what the "
            "model has, or leave it out"
        )
