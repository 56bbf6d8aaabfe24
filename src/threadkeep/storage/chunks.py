"""The index of chunks as every engine has it. What a filter asks of a file's attributes is part of it, since
it is carried out where the chunks are found."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from threadkeep.filters import Filter
from threadkeep.storage.packing import Packed, Packing


class Entry(Struct, frozen=True):
    """A chunk to be taken in: its words as the index wants them, and its vector where it has one."""

    number: int
    text: str
    words: Packed
    vector: Sequence[float] | None


class Unembedded(Struct, frozen=True):
    """A chunk without a vector of the model and length that are asked for."""

    id: int
    number: int
    text: str


class Kept(Struct, frozen=True):
    """How many vectors were kept, and how many numbers more there are now than before."""

    vectors: int
    numbers: int


class Scope(Struct, frozen=True):
    """Where to look: in these stores, in the files that pass the filter."""

    store_ids: Sequence[str]
    filter: Filter | None = None


Found = tuple[int, float]
"""A chunk's number in the index, and how well it fits: more is better."""


class ChunkIndex(Protocol):
    """The chunks of all stores, as part of one transaction."""

    packing: Packing
    """How words are packed for it."""

    async def add(self, store_id: str, file_id: str, entries: Sequence[Entry], model: str | None) -> None:
        """Take in chunks of a file that are not there yet, with vectors, which are all of one length, or
        without."""
        ...

    async def tidy(self) -> bool:
        """Do a little of what added chunks leave to be done; whether there may be more. To be called in small
        transactions until there is not: else an addition may one day have to do all of it at once."""
        ...

    async def remove(self, store_id: str, file_id: str) -> None:
        """Forget a file's chunks."""
        ...

    async def remove_file_some(self, store_id: str, file_id: str, rows: int) -> int:
        """Forget at most `rows` chunks of a file; how many there were."""
        ...

    async def remove_some(self, store_id: str, rows: int) -> int:
        """Forget at most `rows` chunks of a store; how many there were."""
        ...

    async def has_vectors(self) -> bool:
        """Whether this database keeps vectors."""
        ...

    async def unembedded(
        self, store_id: str, file_id: str, model: str, dimensions: int, after: int, rows: int
    ) -> list[Unembedded]:
        """At most `rows` of a file's chunks whose vector is not of this model and length, or is missing, in
        their order, behind the number `after`."""
        ...

    async def without_vector(self, ids: Sequence[int], model: str, dimensions: int) -> set[int]:
        """Those of these chunks that have no vector of this model and length."""
        ...

    async def embed(
        self, store_id: str, file_id: str, vectors: Sequence[tuple[int, Sequence[float]]], model: str
    ) -> Kept:
        """Give chunks of a file, by their numbers in the index, these vectors in place of those they may
        have. What is gone, or may be going, is left out."""
        ...

    async def twins(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Which of these chunks say the same as another of them that is of the same file, in whichever store:
        each with the first of its kind."""
        ...

    async def by_words(self, scope: Scope, words: Sequence[str], limit: int) -> list[Found]:
        """The chunks that hold most of the words, and the rarer ones among them, the best first."""
        ...

    async def by_vector(self, scope: Scope, vector: Sequence[float], model: str, limit: int) -> list[Found]:
        """The chunks whose vectors of this model are nearest, by the cosine, which is from -1 to 1."""
        ...

    async def rows(self, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        """For each chunk its number in the index, file's id, file's name, attributes (JSON), and text."""
        ...
