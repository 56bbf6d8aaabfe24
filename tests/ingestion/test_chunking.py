"""Chunks: none too long, nothing lost, ends where a text has ends, and little in memory."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from threadkeep.engine import tokens
from threadkeep.ingestion.chunking import Piece, chunks, pieces, start_of_next

WORDS = some.text(some.sampled_from("abc.!? \n\t。é😀\r\u2028-"), max_size=2000)


@pytest.mark.promise("ingestion.chunks")
def test_a_short_text_is_one_chunk():
    assert list(chunks(["Hello ", "world."], 800, 400)) == ["Hello world."]
    assert list(chunks([" \n", "\n "], 800, 400)) == []
    assert list(chunks([], 800, 400)) == []


@pytest.mark.promise("ingestion.chunks")
@given(WORDS, some.integers(100, 200), some.integers(0, 50))
@settings(max_examples=150)
def test_no_chunk_is_too_long_and_nothing_is_lost(text, most, overlap):
    found = list(chunks([text], most, overlap))
    joined = list(pieces([text], most))
    assert "".join(piece.text for piece in joined) == text
    assert all(piece.tokens <= most for piece in joined)
    at = 0
    for chunk in found:
        begin = text.find(chunk, 0)
        assert begin >= 0
        assert text[at:begin].strip() == "" or begin <= at
        at = max(at, begin + len(chunk)) if begin <= at else begin + len(chunk)
    assert all(number <= most * 1.2 for number in tokens.count(found))


@pytest.mark.promise("ingestion.chunks")
@given(WORDS, some.lists(some.integers(1, 400), max_size=20))
@settings(max_examples=60)
def test_chunks_do_not_depend_on_how_the_text_arrives(text, sizes):
    text *= 30
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    assert list(chunks([*parts, text[at:]], 100, 50)) == list(chunks([text], 100, 50))


@pytest.mark.promise("ingestion.chunks")
def test_a_chunk_ends_with_a_paragraph_if_one_is_near():
    paragraph = "One two three four five. " * 3
    text = f"{paragraph.strip()}\n\n" * 40
    found = list(chunks([text], 100, 0))
    assert "".join(found) == text
    assert all(chunk.endswith(".\n\n") for chunk in found)


@pytest.mark.promise("ingestion.chunks")
def test_the_overlap_is_what_the_chunk_before_ended_with():
    text = "".join(f"Sentence number {n} stands here.\n" for n in range(400))
    found = list(chunks([text], 200, 100))
    for before, after in pairwise(found):
        shared = next(n for n in range(len(after), 0, -1) if before.endswith(after[:n]))
        assert 80 <= tokens.count([after[:shared]])[0] <= 100
    assert sum(tokens.count(found)) < 2.1 * tokens.count([text])[0]


def test_a_chunk_does_not_begin_where_the_one_before_did():
    window = [Piece("a", 1, 0), Piece("b", 1, 0)]
    assert start_of_next(window, 2, 50) == 1
    assert start_of_next(window, 1, 50) == 1


@pytest.mark.promise("ingestion.chunks")
@pytest.mark.parametrize(
    "text", ["a" * 300_000, "!" * 200_000, "😀" * 50_000, "a b " * 100_000, '."' * 100_000, "\n" * 300_000]
)
def test_a_text_without_ends_is_cut_all_the_same(text):
    found = list(chunks([text], 100, 50))
    assert all(number <= 100 for number in tokens.count(found))


@pytest.mark.promise("ingestion.memory")
def test_a_long_text_needs_little_memory():
    line = "The same line stands here over and over, and it is not short.\n" * 500
    tokens.count(["first"])
    tracemalloc.start()
    number = sum(1 for _ in chunks((line for _ in range(300)), 800, 400))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number > 400
    assert most < 6 * 1024 * 1024, "of a text of 9 MiB"
