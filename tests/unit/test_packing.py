"""Words as the engines take them in."""

import pytest

from threadkeep.storage.packing import MOST_PLACES, packed


@pytest.mark.promise("v2.search.words")
def test_words_are_listed_as_often_as_they_are_there():
    assert (packed(["b", "a", "b"], "listed").number, packed(["b", "a", "b"], "listed").text) == (3, "b a b")


@pytest.mark.promise("v2.search.words")
def test_words_are_counted():
    assert packed(["b", "a", "b"], "counted").text == "'b':1,2 'a':1"
    many = packed(["a"] * 1000, "counted")
    assert (many.number, many.text.count(",")) == (1000, MOST_PLACES - 1)


def test_no_words_are_nothing():
    assert packed([], "listed").text == packed([], "counted").text == ""
