"""Characters in halves: each an escape of its own, in one chunk or in two."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.arriving import DONE, STOP, called, chunk, said, taken
from tests.providers.conftest import calls_of, refusal_of, text_of
from threadkeep.providers.base import Finish, Text
from threadkeep.providers.chunks import Chunks, ErrorSaid

pytestmark = pytest.mark.promise("providers.halves")


def test_halves_of_a_character_in_two_chunks_are_put_together():
    pieces = taken(said("Hi \ud83d"), said("\ude00!"), STOP, DONE)
    assert pieces[:2] == [Text("Hi "), Text("😀!")]


def test_halves_of_a_character_in_one_chunk_are_put_together():
    parts = [{"type": "text", "text": "\ud83d"}, {"type": "text", "text": "\ude00"}]
    assert text_of(taken(chunk({"content": parts}), STOP, DONE)) == "😀"


def test_a_half_alone_says_nothing_before_the_other_one_comes():
    chunks = Chunks()
    assert chunks.feed(said("\ud83d")) == []
    assert chunks.feed(chunk({"role": "assistant"})) == []
    assert chunks.feed(said("\ude00\ud83d")) == [Text("😀")]
    assert chunks.feed(said("\ude01")) == [Text("😁")]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a", "\ude00b"], "a\ufffdb"),
        (["a\ud83d", "\ud83d", "\ude00"], "a\ufffd😀"),
        (["a\ud83d"], "a\ufffd"),
        (["a\ude00\ud83db", "c"], "a\ufffd\ufffdbc"),
    ],
)
def test_a_half_without_the_other_one_is_a_replacement_character(parts: list[str], text: str):
    pieces = taken(*map(said, parts), STOP, DONE)
    assert text_of(pieces) == text
    assert isinstance(pieces[-1], Finish)


def test_halves_of_different_texts_are_not_put_together():
    pieces = taken(said("\ud83d"), chunk({"refusal": "\ude00"}), STOP, DONE)
    assert (text_of(pieces), refusal_of(pieces)) == ("\ufffd", "\ufffd")


def test_halves_in_refusals_and_in_arguments():
    pieces = taken(
        chunk({"refusal": "No \ud83d"}),
        chunk({"refusal": "\ude00"}),
        called(index=0, id="call_a", function={"name": "f", "arguments": '{"a":"\ud83d'}),
        called(index=0, function={"arguments": '\ude00","b":"\ud83d'}),
        called(index=1, id="call_b", function={"name": "g", "arguments": "\ud83d"}),
        called(index=1, function={"arguments": "\ude00"}),
        STOP,
        DONE,
    )
    assert refusal_of(pieces) == "No 😀"
    assert calls_of(pieces) == [("call_a", "f", '{"a":"😀","b":"\ufffd'), ("call_b", "g", "😀")]


def test_arguments_before_the_name_may_end_in_a_half():
    pieces = taken(
        called(index=0, function={"arguments": '"\ud83d'}),
        called(index=0, id="call_a", function={"name": "f", "arguments": '\ude00"'}),
        STOP,
    )
    assert calls_of(pieces) == [("call_a", "f", '"😀"')]


def test_halves_anywhere_else_are_replacement_characters():
    arguments = {"content": "\ud83d", "\ude00": ["\ud83d"]}
    pieces = taken(called(index=0, id="c\ud83d", function={"name": "f\ude00", "arguments": arguments}), STOP)
    [(id, name, said_arguments)] = calls_of(pieces)
    assert (id, name) == ("c\ufffd", "f\ufffd")
    assert json.loads(said_arguments) == {"content": "\ufffd", "\ufffd": ["\ufffd"]}
    for error in ({"error": {"message": "Oh \ud83d"}}, {"object": "error", "message": "Oh \ud83d"}):
        with pytest.raises(ErrorSaid) as caught:
            taken(b"data: " + json.dumps(error).encode() + b"\n\n")
        assert caught.value.error["message"] == "Oh \ufffd"


@given(st.text(st.sampled_from("a😀\ud83d\ude00é"), max_size=12), st.lists(st.integers(0, 12)))
def test_a_text_is_the_same_wherever_it_is_cut(text: str, cuts: list[int]):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = taken(*(said(text[a:b]) for a, b in pairwise(places)), STOP, DONE)
    assert text_of(pieces) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert all(piece.value for piece in pieces if isinstance(piece, Text))
