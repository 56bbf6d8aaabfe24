"""The body of a search in a vector store. Reference: protocol section 10.

`rewrite_query` is taken and does nothing: no model is asked to put a query into other words.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from threadkeep.errors import Invalid, Problem
from threadkeep.filters import Comparison, Compound, Filter, comparisons, depth
from threadkeep.search.model import DEFAULT_RESULTS, MOST_RESULTS, Query, Ranker

MOST_QUERIES, LONGEST_QUERY = 16, 32_768
"""Texts that are searched for in one request, and characters of each: about as many as embedding models read.
The reference has no limits."""
MOST_VALUES = 1000
"""Of one `in` or `nin`."""
MOST_COMPARISONS, DEEPEST = 128, 8

QueryText = Annotated[str, Meta(min_length=1, max_length=LONGEST_QUERY)]
Value = str | int | float | bool
Values = Annotated[list[Value], Meta(max_length=MOST_VALUES)]


class OneValue(Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    value: Value


class ManyValues(Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    value: Values


class Filters(Struct, frozen=True, forbid_unknown_fields=True):
    filters: "Annotated[list[FilterBody], Meta(min_length=1)]"


class Equal(OneValue, frozen=True, tag_field="type", tag="eq"):
    """The attribute is the value."""


class NotEqual(OneValue, frozen=True, tag_field="type", tag="ne"):
    """It is not, or is not there."""


class Greater(OneValue, frozen=True, tag_field="type", tag="gt"):
    """It is a greater number, or a text that comes after."""


class GreaterOrEqual(OneValue, frozen=True, tag_field="type", tag="gte"):
    """It is no smaller number, or no text that comes before."""


class Less(OneValue, frozen=True, tag_field="type", tag="lt"):
    """It is a smaller number, or a text that comes before."""


class LessOrEqual(OneValue, frozen=True, tag_field="type", tag="lte"):
    """It is no greater number, or no text that comes after."""


class In(ManyValues, frozen=True, tag_field="type", tag="in"):
    """It is one of the values."""


class NotIn(ManyValues, frozen=True, tag_field="type", tag="nin"):
    """It is none of them, or is not there."""


class All(Filters, frozen=True, tag_field="type", tag="and"):
    """Every filter holds."""


class Either(Filters, frozen=True, tag_field="type", tag="or"):
    """At least one filter holds."""


FilterBody = Equal | NotEqual | Greater | GreaterOrEqual | Less | LessOrEqual | In | NotIn | All | Either


class Ranking(Struct, frozen=True, forbid_unknown_fields=True):
    ranker: Ranker | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class SearchVectorStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    query: QueryText | Annotated[list[QueryText], Meta(min_length=1, max_length=MOST_QUERIES)]
    rewrite_query: bool | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=MOST_RESULTS)] | None = None
    filters: FilterBody | None = None
    ranking_options: Ranking | None = None


def query_of(body: SearchVectorStore) -> Query:
    """Raises `Invalid` for filters that are too many, or too deep in each other."""
    ranking = body.ranking_options or Ranking()
    return Query(
        texts=[body.query] if isinstance(body.query, str) else body.query,
        limit=body.max_num_results or DEFAULT_RESULTS,
        filter=None if body.filters is None else bounded(filter_of(body.filters)),
        ranker=ranking.ranker or "auto",
        threshold=ranking.score_threshold or 0.0,
    )


def filter_of(body: FilterBody) -> Filter:
    """A filter in the domain's form."""
    kind: Any = type(body).__struct_config__.tag
    if isinstance(body, All | Either):
        return Compound(kind, [filter_of(one) for one in body.filters])
    return Comparison(kind, body.key, body.value)


def bounded(filter: Filter) -> Filter:
    """A filter that the databases can carry out. Raises `Invalid`."""
    many = sum(1 for _ in comparisons(filter))
    if many > MOST_COMPARISONS:
        raise Invalid(Problem(("filters",), "comparisons_too_many", actual=many, limit=MOST_COMPARISONS))
    deep = depth(filter)
    if deep > DEEPEST:
        raise Invalid(Problem(("filters",), "filters_too_deep", actual=deep, limit=DEEPEST))
    return filter
