"""Filters are carried out by the databases as they are described here, in Python."""

import json
import operator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.search.shelf import Shelf
from threadkeep.filters import Comparison, Compound, Filter

pytestmark = pytest.mark.anyio
KEYS = st.sampled_from(["a", "b", 'q"uote', "$.x", "ü\\", "a b", "'"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.5, 1e300, 2**53 + 1, float(2**53)])
TEXTS = st.sampled_from(["", "a", "A", "b", "1", "true", 'q"', "'", "\\", "\u2028", "ä", "🙂", "\uffff"])
SCALARS = NUMBERS | TEXTS | st.booleans()
ATTRIBUTES = st.dictionaries(KEYS, SCALARS, max_size=4)
ONE = st.builds(Comparison, st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), KEYS, SCALARS)
MANY = st.builds(Comparison, st.sampled_from(["in", "nin"]), KEYS, st.lists(SCALARS, max_size=3))
FILTERS = st.recursive(
    ONE | MANY,
    lambda inner: st.builds(
        Compound, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)
FILES = 12


def kind(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


def holds(filter: Filter, attributes: dict[str, Any]) -> bool:
    """What a filter says of a file's attributes."""
    if isinstance(filter, Compound):
        return (all if filter.type == "and" else any)(holds(one, attributes) for one in filter.filters)
    if filter.type in ("ne", "nin"):
        return not holds(Comparison("in", filter.key, filter.values), attributes)
    compare = {"eq": operator.eq, "in": operator.eq, "gte": operator.ge, "lte": operator.le}.get(filter.type)
    compare = compare or getattr(operator, filter.type)
    value = attributes.get(filter.key)
    return any(
        value is not None
        and kind(value) is kind(one)
        and (compare is operator.eq or not isinstance(value, bool))
        and compare(value, one)
        for one in filter.values
    )


@pytest.mark.promise("v2.search.filters")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(ATTRIBUTES, min_size=FILES, max_size=FILES),
    filters=st.lists(FILTERS, min_size=8, max_size=8),
)
async def test_filters_hold_as_described(shelf: Shelf, files, filters):
    for number, attributes in enumerate(files):
        await shelf.remove(f"file-{number}")
        await shelf.put(f"file-{number}", "fox", vectors=[[1.0, 0.0]])
        await set_attributes(shelf, f"file-{number}", attributes)
    for one in filters:
        expected = {f"file-{number}" for number, held in enumerate(files) if holds(one, held)}
        for vectors in (None, [[1.0, 0.0]]):
            hits = await shelf.search("fox", vectors=vectors, limit=50, filter=one)
            assert {hit.file_id for hit in hits} == expected, (one, files)


async def set_attributes(shelf: Shelf, id: str, attributes: dict[str, Any]) -> None:
    params = {"id": id, "attributes": json.dumps(attributes, ensure_ascii=False)}

    async def work(transaction: Any) -> None:
        sql = "UPDATE vector_store_files SET attributes = :attributes WHERE file_id = :id"
        await transaction.run(sql, params)

    await shelf.database.write(work)


@pytest.mark.promise("v2.search.filters")
async def test_a_filter_narrows_the_search_itself_not_its_results(shelf: Shelf):
    """The only file that passes is the last that would be found without the filter."""
    for number in range(300):
        await shelf.put(f"file-{number}", "fox fox fox", vectors=[[1.0, 0.0]], n=number)
    await shelf.put("file-last", "a fox among many others", vectors=[[-1.0, 0.1]], n=-1)
    hits = await shelf.search("fox", vectors=[[1.0, 0.0]], limit=1, filter=Comparison("lt", "n", 0))
    assert [hit.file_id for hit in hits] == ["file-last"]
    assert hits[0].score == 1.0
