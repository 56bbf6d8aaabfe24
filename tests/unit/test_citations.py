"""Markers in what a model says: what they cite, however the text is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.engine.citations import (
    LONGEST_NAME,
    Annotation,
    Citer,
    Source,
    Sources,
    label_of,
    marker,
)

A, B = Source("file-a", "a.txt", "What a says."), Source("file-b", "b.txt", "What b says.")
SOURCES = Sources({(0, 0): A, (0, 1): B}, {"a.txt": A, "b.txt": B})
PARTS = [
    "【",
    "】",
    "†",
    ":",
    "0",
    "1",
    "4",
    "a.txt",
    "source",
    "😀",
    " ",
    "\n",
    "【0:0†a.txt】",
    "【9:9†z】",
    "x",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


def heard(pieces: list[str]) -> tuple[str, list[Annotation]]:
    """What is told of a text that comes in these pieces, and what it cites."""
    citer = Citer(SOURCES)
    told = [one for piece in pieces for one in citer.take(piece)]
    assert [one for _, one in told if one] == citer.annotations
    assert all(one is None or one["text"] == text for text, one in told)
    return "".join(text for text, _ in told) + citer.held, citer.annotations


@pytest.mark.promise("runs.file-search.citations")
@given(TEXTS, st.data())
def test_a_text_cites_the_same_however_it_is_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    said, annotations = heard(pieces)
    assert (said, annotations) == heard([text])
    assert said == text
    assert all(text[one["start_index"] : one["end_index"]] == one["text"] for one in annotations)


@pytest.mark.promise("runs.file-search.citations")
@pytest.mark.parametrize(
    ("said", "cited"),
    [
        ("【0:0†a.txt】", "file-a"),
        ("【0:1†source】", "file-b"),
        ("【4:7†b.txt】", "file-b"),
        ("【0:0†b.txt】", "file-b"),
        ("【4:7†source】", None),
        ("【0:0 a.txt】", None),
        ("【【0:0†a.txt】", "file-a"),
        ("【0:0†a\n.txt】", None),
    ],
)
def test_a_marker_is_known_by_its_numbers_and_its_name(said, cited):
    _, annotations = heard(list(said))
    assert [one["file_citation"]["file_id"] for one in annotations] == ([cited] if cited else [])


@pytest.mark.promise("runs.file-search.citations")
def test_what_is_held_back_is_bounded():
    citer, longest = Citer(SOURCES), 0
    for character in "【0:0†" + "x" * 10_000:
        citer.take(character)
        longest = max(longest, len(citer.held))
    assert longest <= LONGEST_NAME + 15
    assert citer.held == ""


@pytest.mark.promise("runs.file-search.citations")
def test_every_name_fits_into_a_marker():
    name = label_of("【1:1†a\n】" + "ü" * 1000)
    whole = marker((0, 0), name)
    source = Source("file-c", name, "")
    assert [one for _, one in Citer(Sources({(0, 0): source}, {name: source})).take(whole)] != [None]
