"""What counts as a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.search.words import LONGEST_WORD, MOST_ASKED, MOST_READ, asked_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The QUICK, brown-fox!", ["the", "quick", "brown", "fox"]),
        ("Straße über naïve", ["strasse", "uber", "naive"]),
        ("max_num_results", ["max_num_results", "max", "num", "results"]),
        ("parseHTTPBody", ["parsehttpbody", "parse", "http", "body"]),
        ("ﬁle ＡＢＣ", ["file", "abc"]),
        ("可愛い", ["可", "愛", "い", "可愛", "愛い"]),
        ("नमस्ते", ["नमस्ते"]),
        ("__", []),
        ("", []),
    ],
)
@pytest.mark.promise("v2.search.words")
def test_the_words_of_a_text(text, words):
    assert words_of(text) == words


def test_a_query_asks_for_each_word_once_and_for_pairs_of_characters():
    assert asked_words("fox Fox 可愛い 猫") == ["fox", "可愛", "愛い", "猫"]
    assert len(asked_words(" ".join(map(str, range(500))))) == MOST_ASKED


@pytest.mark.promise("v2.search.query")
def test_a_long_query_is_read_as_far_as_its_words_may_reach():
    longest = [f"{number:0{LONGEST_WORD}}" for number in range(MOST_ASKED)]
    assert asked_words("\n\n".join(longest)) == longest
    assert asked_words("tea " * MOST_READ + "bread") == ["tea"]
    of_eighteen = "\ufdfa "  # characters, once it is folded
    assert "bread" not in asked_words(of_eighteen * (MOST_READ // 4) + "bread")


@given(st.text())
def test_words_hold_nothing_that_a_query_would_have_to_quote(text):
    for word in words_of(text):
        assert 0 < len(word) <= LONGEST_WORD * 3
        assert not set(word) & set("'\"\\ \0:&|!()*<>")
    assert set(asked_words(text)) <= set(words_of(text))
