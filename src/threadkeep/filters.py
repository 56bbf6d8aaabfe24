"""What a search asks of a file's attributes."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Scalar = str | int | float | bool
Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]


class Comparison(Struct, frozen=True):
    """One attribute against a value, or with `in` and `nin` against several.

    Only what is of one type is compared: text with text (by code points), numbers with numbers, booleans with
    booleans, and these for equality alone. `ne` and `nin` hold wherever `eq` and `in` do not, also for a
    file without the attribute.
    """

    type: Operator
    key: str
    value: Scalar | list[Scalar]

    @property
    def values(self) -> list[Scalar]:
        return self.value if isinstance(self.value, list) else [self.value]


class Compound(Struct, frozen=True):
    """All of at least one filter, or any."""

    type: Literal["and", "or"]
    filters: "list[Comparison | Compound]"


Filter = Comparison | Compound


def depth(filter: Filter) -> int:
    """How many compounds stand in each other, a comparison counting too."""
    return 1 if isinstance(filter, Comparison) else 1 + max(map(depth, filter.filters))


def comparisons(filter: Filter) -> Iterator[Comparison]:
    """Every comparison in a filter."""
    if isinstance(filter, Comparison):
        yield filter
    else:
        for one in filter.filters:
            yield from comparisons(one)
