"""What is searched, how it is asked for, and what is found. Reference: protocol section 10."""

from typing import Literal

from msgspec import Struct

from threadkeep.filters import Filter
from threadkeep.storage.packing import Packed

Ranker = Literal["none", "auto", "default-2024-11-15"]
DEFAULT_RESULTS, MOST_RESULTS = 10, 50


class Chunk(Struct, frozen=True):
    """A piece of a file, numbered from 0 in the file's order; and its `words_of`, where somebody had the time
    to find and to pack them before they are written."""

    number: int
    text: str
    words: Packed | None = None


class Hit(Struct, frozen=True):
    """A chunk that was found, as a passage of its file: `score` is from 0 to 1."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | float | bool]
    texts: list[str]


class Query(Struct, frozen=True, kw_only=True):
    """What is asked for: any of the texts. A score under the threshold is no result."""

    texts: list[str]
    limit: int = DEFAULT_RESULTS
    filter: Filter | None = None
    ranker: Ranker = "auto"
    threshold: float = 0.0


# ---------------------------------------------------------------- as it is served


class Passage(Struct, frozen=True):
    type: Literal["text"]
    text: str


class SearchResult(Struct, frozen=True):
    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | int | float | bool]
    content: list[Passage]


class SearchResults(Struct, frozen=True):
    """All that was found. This list has no pages."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None


def results_of(query: Query, hits: list[Hit]) -> SearchResults:
    """The answer to a query, which is never rewritten."""
    found = [
        SearchResult(
            hit.file_id,
            hit.filename,
            hit.score,
            hit.attributes,
            [Passage("text", text) for text in hit.texts],
        )
        for hit in hits
    ]
    return SearchResults("vector_store.search_results.page", query.texts, found, False, None)
