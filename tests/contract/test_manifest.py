"""The manifest holds in both directions, and docs/compatibility.md says what it says."""

import ast
import collections

import pytest

from tests.contract.compatibility import PAGE, page
from tests.contract.manifest import DIALECTS, Promise, ids_in, promises, proofs

ROWS = promises()


def test_ids_are_unique() -> None:
    counts = collections.Counter(row.id for row in ROWS)
    assert [id for id, count in counts.items() if count > 1] == []


def test_every_promise_has_a_test_or_is_a_recorded_divergence() -> None:
    proven = proofs()
    assert [row.id for row in ROWS if row.id not in proven and not row.divergence] == []


def test_every_test_names_promises_that_exist() -> None:
    known = {row.id for row in ROWS}
    assert {id: files for id, files in proofs().items() if id not in known} == {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_says_what_for_whom_and_from_where(row: Promise) -> None:
    named = {name.strip() for name in row.dialect.split(",")}
    assert named <= set(DIALECTS)
    assert row.promise.endswith((".", ".`"))
    assert row.source
    assert not row.divergence or row.divergence.endswith(".")


def test_markers_are_found_wherever_they_stand() -> None:
    source = """
pytestmark = pytest.mark.promise("a")

@pytest.mark.promise("b")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.promise("c"))])
def test_x(x): ...
"""
    assert sorted(ids_in(ast.parse(source))) == ["a", "b", "c"]


def test_the_compatibility_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(ROWS), "write it anew with `python -m tests.contract`"
