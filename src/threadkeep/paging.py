"""Cursor lists: what is asked (`PageQuery`), and what is answered (`Page`).

Reference: protocol section 1.4. `after` and `before` are ids of objects, both exclusive; with
both, the rows strictly between them.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

FIRST, LAST = -1, 2**62
"""Bounds that lie outside every position."""


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


def cut(query: PageQuery, rows: list[T], id_of: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit + 1` rows walked in the query's direction."""
    has_more = len(rows) > query.limit
    if has_more:
        del rows[query.limit :]
    if query.backwards:
        rows.reverse()
    return Page(rows, id_of(rows[0]) if rows else None, id_of(rows[-1]) if rows else None, has_more)
