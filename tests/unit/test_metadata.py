"""What a modification of metadata leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.errors import Invalid, Problem
from threadkeep.metadata import MAX_PAIRS, updated

PAIRS = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "1", "2"]), max_size=8)


@given(PAIRS, PAIRS)
def test_replace_leaves_the_new_pairs_alone(old, new):
    assert updated("replace", old, new) == new


@given(PAIRS, PAIRS)
def test_merge_keeps_old_pairs_that_have_no_new_value(old, new):
    assert updated("merge", old, new) == {key: new.get(key, old.get(key)) for key in [*old, *new]}


def test_merge_changes_neither_of_its_maps():
    old, new = {"a": "1"}, {"b": "2"}
    updated("merge", old, new)
    assert (old, new) == ({"a": "1"}, {"b": "2"})


def pairs(first: int, count: int) -> dict[str, str]:
    return {str(number): "" for number in range(first, first + count)}


def test_merge_may_fill_up_to_the_limit():
    assert len(updated("merge", pairs(0, MAX_PAIRS - 1), pairs(1, MAX_PAIRS - 1))) == MAX_PAIRS


def test_merge_over_the_limit_is_refused():
    with pytest.raises(Invalid) as refused:
        updated("merge", pairs(0, MAX_PAIRS), pairs(1, MAX_PAIRS))
    problem = Problem(("metadata",), "properties_too_many", actual=MAX_PAIRS + 1, limit=MAX_PAIRS)
    assert refused.value.problems == (problem,)
