"""Cursor lists: what is asked (`PageQuery`), how rows are read for it, and what is answered (`Page`).

Reference: protocol section 1.4. `after` and `before` are ids of objects, both exclusive; with
both, the rows strictly between them.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

FIRST, LAST = -1, 2**62
"""Bounds that lie outside every position."""
BEFORE_ALL, AFTER_ALL = "", "~"
"""Bounds that lie outside every id."""


class PageQuery(Struct, frozen=True):
    """One page of a list. `limit` counts objects, `order` is `asc` or `desc`."""

    limit: int = 20
    order: str = "desc"
    after: str | None = None
    before: str | None = None
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def descending(self) -> bool:
        return self.order == "desc"

    @property
    def backwards(self) -> bool:
        """With `before` alone the rows nearest that cursor are wanted: walk away from it, then turn round."""
        return self.before is not None and self.after is None

    @property
    def walks_down(self) -> bool:
        return self.descending != self.backwards


class Page(Struct, Generic[T], frozen=True):
    """One page: its items in the order asked, the ids at its ends, and whether more follow."""

    items: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


def between(query: PageQuery, after: T | None, before: T | None, first: T, last: T) -> tuple[T, T]:
    """The exclusive (low, high) that two cursors' places mean in the order asked."""
    low, high = (before, after) if query.descending else (after, before)
    return (first if low is None else low), (last if high is None else high)


@cache
def page_text(select: str, column: str, down: bool) -> str:
    """The statement that reads a page, and one row more, of what a `SELECT` with a `WHERE` finds, along a
    unique column. Its parameters are those of the `SELECT` and `by_id`, or `by_position`."""
    direction = "DESC" if down else "ASC"
    return f"""{select}
    AND {column} > :low AND {column} < :high ORDER BY {column} {direction} LIMIT :rows
"""


def by_id(query: PageQuery) -> dict[str, str | int]:
    """Which page of a list in the order of ids."""
    low, high = between(query, query.after, query.before, BEFORE_ALL, AFTER_ALL)
    return {"low": low, "high": high, "rows": query.limit + 1}


def by_position(query: PageQuery, after: int | None, before: int | None) -> dict[str, str | int]:
    """Which page of a list in which the cursors stand at these positions."""
    low, high = between(query, after, before, FIRST, LAST)
    return {"low": low, "high": high, "rows": query.limit + 1}


def cut(query: PageQuery, rows: list[T], id_of: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit + 1` rows walked in the query's direction."""
    has_more = len(rows) > query.limit
    if has_more:
        del rows[query.limit :]
    if query.backwards:
        rows.reverse()
    return Page(rows, id_of(rows[0]) if rows else None, id_of(rows[-1]) if rows else None, has_more)


def page_at_hand(
    query: PageQuery, items: Iterable[T], places: Mapping[str, float], id_of: Callable[[T], str]
) -> Page[T]:
    """A page of a short list, all of it given in order. `places` of its items and of the cursors, by id."""
    low, high = between(query, places.get(query.after or ""), places.get(query.before or ""), FIRST, LAST)
    inside = [item for item in items if low < places[id_of(item)] < high]
    if query.walks_down:
        inside.reverse()
    return cut(query, inside[: query.limit + 1], id_of)
