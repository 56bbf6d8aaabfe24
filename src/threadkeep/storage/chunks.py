"""The index of chunks as every engine has it. What a filter asks of a file's attributes is part of it, since
it is carried out where the chunks are found."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from threadkeep.filters import Filter


class Entry(Struct, frozen=True):
    """A chunk to be taken in: its words as they are indexed, and its vector where it has one."""

    number: int
    text: str
    words: Sequence[str]
    vector: Sequence[float] | None


class Scope(Struct, frozen=True):
    """Where to look: in these stores, in the files that pass the filter."""

    store_ids: Sequence[str]
    filter: Filter | None = None


Found = tuple[int, float]
"""A chunk's number in the index, and how well it fits: more is better."""


class ChunkIndex(Protocol):
    """The chunks of all stores, as part of one transaction."""

    async def add(self, store_id: str, file_id: str, entries: Sequence[Entry], model: str | None) -> None:
        """Take in chunks of a file that are not there yet."""
        ...

    async def remove(self, store_id: str, file_id: str) -> None:
        """Forget a file's chunks."""
        ...

    async def remove_some(self, store_id: str, rows: int) -> int:
        """Forget at most `rows` chunks of a store; how many there were."""
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
