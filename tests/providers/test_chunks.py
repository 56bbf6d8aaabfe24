"""Bytes in, pieces out: the form that was published, and how servers depart from it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.arriving import DONE, STOP, called, chunk, said, taken
from tests.providers.conftest import calls_of, refusal_of, text_of
from threadkeep.providers.base import Finish, Piece, Text, Used
from threadkeep.providers.chunks import Chunks, ErrorSaid
from threadkeep.providers.completion import Malformed
from threadkeep.runs.model import CachedTokens, ReasoningTokens, Usage

pytestmark = pytest.mark.promise("providers.departures")


def reason(pieces: list[Piece]) -> str:
    [finish] = [piece for piece in pieces if isinstance(piece, Finish)]
    return finish.reason


def used(pieces: list[Piece]) -> Usage | None:
    found = [piece for piece in pieces if isinstance(piece, Used)]
    assert len(found) <= 1
    assert not found or pieces[-1] is found[0]
    return found[0].usage if found else None


# ---------------------------------------------------------------- lines and bytes


def test_what_arrives_together_is_told_together():
    chunks = Chunks()
    assert chunks.feed(said("a") + said("b")) == [Text("a"), Text("b")]
    assert chunks.feed(said("c")[:20]) == []
    assert chunks.feed(said("c")[20:] + said("d")[:-1]) == [Text("c"), Text("d")]


WHOLE_STREAM = b"".join(
    [
        b": a comment\n\n",
        chunk({"role": "assistant", "content": ""}),
        said("Grüße, "),
        b"event: message\nid: 7\nretry: 10\n",
        said("Welt 🌍"),
        called(index=0, id="call_a", type="function", function={"name": "f", "arguments": ""}),
        called(index=0, function={"arguments": '{"a":'}),
        called(index=0, function={"arguments": "1}"}),
        chunk({}, "tool_calls"),
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
        DONE,
    ]
)


@given(st.lists(st.integers(0, len(WHOLE_STREAM))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_an_answer_is_the_same_wherever_its_bytes_are_cut(cuts: list[int], line_end: bytes):
    stream = WHOLE_STREAM.replace(b"\n", line_end)
    places = [0, *sorted(cuts), len(stream)]
    pieces = taken(*(stream[start:end] for start, end in pairwise(places)))
    assert text_of(pieces) == "Grüße, Welt 🌍"
    assert calls_of(pieces) == [("call_a", "f", '{"a":1}')]
    assert reason(pieces) == "tool_calls"
    assert used(pieces) == Usage(3, 4, 7)


def test_byte_by_byte():
    assert text_of(taken(*(bytes([byte]) for byte in WHOLE_STREAM))) == "Grüße, Welt 🌍"


@pytest.mark.parametrize("start", [b"data:", b"data: ", b"data:  "])
def test_a_space_after_the_colon_is_optional(start):
    assert text_of(taken(*(one.replace(b"data: ", start) for one in (said("a"), STOP, DONE)))) == "a"


def test_data_may_go_on_in_further_lines():
    lines = json.dumps({"choices": [{"delta": {"content": "a"}}]}, indent=1).splitlines()
    stream = b"".join(b"data: " + line.encode() + b"\n" for line in lines) + b"\n"
    assert text_of(taken(stream, STOP, DONE)) == "a"


def test_chunks_without_blank_lines_between_them_are_taken_apart():
    assert text_of(taken((said("a") + said("b") + STOP + DONE).replace(b"\n\n", b"\n"))) == "ab"


def test_the_last_line_needs_no_end():
    assert reason(taken(said("a"), STOP, DONE.strip())) == "stop"
    assert reason(taken(said("a"), STOP.strip())) == "stop"


def test_nothing_follows_done():
    chunks = Chunks()
    assert text_of(chunks.feed(said("a") + DONE + said("b"))) == "a"
    assert chunks.done


# ---------------------------------------------------------------- text, and why it stops


def test_empty_and_foreign_deltas_say_nothing():
    stream = [
        chunk({"role": "assistant"}),
        chunk({"content": None}),
        chunk({"reasoning_content": "hm", "reasoning": "hm", "content": ""}),
        chunk(prompt_filter_results=[{"prompt_index": 0}]),
        chunk({"content": "a", "annotations": []}, content_filter_results={}),
        b'data: {"choices":[{"index":0,"finish_reason":null}],"error":null}\n\n',
    ]
    assert taken(*stream, STOP, DONE) == [Text("a"), Finish("stop")]


def test_content_may_be_a_list_of_parts():
    parts = [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "b"},
    ]
    assert text_of(taken(chunk({"content": parts}), STOP, DONE)) == "ab"


def test_a_refusal():
    assert refusal_of(taken(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), STOP, DONE)) == "I won't."


@pytest.mark.parametrize(
    ("said_there", "meant"),
    [
        ("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"),
        ("max_tokens", "length"),
        ("model_length", "length"), ("eos", "stop"), ("end_turn", "stop"), ("", "stop"),
    ],
)  # fmt: skip
def test_why_a_model_stopped(said_there, meant):
    assert taken(said("a"), chunk({}, said_there), DONE) == [Text("a"), Finish(meant)]


def test_done_without_a_reason_is_a_stop():
    assert reason(taken(said("a"), DONE)) == "stop"


def test_a_stream_that_ends_without_done_is_whole_once_it_has_a_reason():
    assert reason(taken(said("a"), STOP)) == "stop"


def test_a_stream_that_ends_without_a_reason_is_cut_off():
    chunks = Chunks()
    chunks.feed(said("a") + said("b")[:-9])
    assert chunks.end() == []
    assert chunks.cut_off
    assert not chunks.finished


# ---------------------------------------------------------------- usage


def test_usage_comes_last_even_where_it_came_first():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    pieces = taken(chunk({"content": "a"}, usage=usage), chunk({}, "stop", usage=usage), DONE)
    assert pieces == [Text("a"), Finish("stop"), Used(Usage(1, 2, 3))]


def test_of_usage_in_every_chunk_the_last_counts():
    usages = [{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in (1, 2)]
    stream = [chunk({"content": "a"}, usage=usages[0]), chunk({"content": "b"}, "stop", usage=usages[1])]
    assert used(taken(*stream, DONE)) == Usage(5, 2, 7)


def test_usage_in_detail():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 6},
    }
    expected = Usage(10, 20, 30, CachedTokens(4), ReasoningTokens(6))
    assert used(taken(STOP, chunk(usage=usage), DONE)) == expected


def test_usage_with_nulls_and_no_usage():
    nulls = {"prompt_tokens": None, "prompt_tokens_details": {"cached_tokens": None}, "total_tokens": None}
    assert used(taken(STOP, chunk(usage=nulls), DONE)) == Usage()
    assert used(taken(STOP, chunk(usage=None), DONE)) is None


# ---------------------------------------------------------------- calls

WEATHER = {"name": "weather", "arguments": ""}


def test_calls_in_pieces():
    pieces = taken(
        called(index=0, id="call_a", type="function", function=WEATHER),
        called(index=0, function={"arguments": '{"city":'}),
        called(index=0, function={"arguments": '"Paris"}'}),
        called(index=1, id="call_b", type="function", function={"name": "time", "arguments": "{}"}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert calls_of(pieces) == [("call_a", "weather", '{"city":"Paris"}'), ("call_b", "time", "{}")]
    assert reason(pieces) == "tool_calls"


def test_calls_may_come_in_turns():
    pieces = taken(
        called(index=0, id="a", function={"name": "f", "arguments": ""}),
        called(index=1, id="b", function={"name": "g", "arguments": ""}),
        called(index=1, function={"arguments": "2"}),
        called(index=0, function={"arguments": "1"}),
        DONE,
    )
    assert calls_of(pieces) == [("a", "f", "1"), ("b", "g", "2")]


def test_arguments_are_passed_on_as_they_are_even_if_they_are_not_json():
    pieces = taken(called(index=0, id="a", function={"name": "f", "arguments": '{"a": oops'}), DONE)
    assert calls_of(pieces) == [("a", "f", '{"a": oops')]


def test_calls_without_ids_get_ids():
    pieces = taken(
        called(index=0, function={"name": "f", "arguments": "1"}),
        called(index=1, id="", function={"name": "g", "arguments": "2"}),
        DONE,
    )
    (first, *one), (second, *other) = calls_of(pieces)
    assert (one, other) == (["f", "1"], ["g", "2"])
    assert first
    assert second
    assert len({first, second}) == 2
    assert first.startswith("call_")


def test_calls_without_indexes():
    pieces = taken(
        called(id="a", function={"name": "f", "arguments": '{"x"'}),
        called(function={"arguments": ":1}"}),
        called(id="b", function={"name": "g", "arguments": "{"}),
        called(id="b", function={"arguments": "}"}),
        DONE,
    )
    assert calls_of(pieces) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_calls_without_indexes_and_ids():
    both = {"tool_calls": [{"function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]}
    assert [call[1:] for call in calls_of(taken(chunk(both), DONE))] == [("f", "{}"), ("g", "{}")]


def test_calls_that_all_come_under_index_0():
    pieces = taken(
        called(index=0, id="a", function={"name": "f", "arguments": "1"}),
        called(index=0, id="b", function={"name": "g", "arguments": "2"}),
        called(index=0, function={"arguments": "3"}),
        DONE,
    )
    assert calls_of(pieces) == [("a", "f", "1"), ("b", "g", "23")]


@pytest.mark.parametrize("repeated", [{"id": "a"}, {"id": "another"}, {"id": "a", "name": "f"}])
def test_an_id_or_a_name_that_comes_again_is_told_once(repeated):
    function = {"arguments": "2", **({"name": "f"} if "name" in repeated else {})}
    pieces = taken(
        called(index=0, id="a", function={"name": "f", "arguments": "1"}),
        called(index=0, id=repeated["id"], function=function),
        DONE,
    )
    assert calls_of(pieces) == [("a", "f", "12")]


def test_a_name_may_come_after_the_id_and_after_arguments():
    pieces = taken(
        called(index=0, id="a"),
        called(index=0, function={"arguments": "1"}),
        called(index=0, function={"name": "f", "arguments": "2"}),
        DONE,
    )
    assert calls_of(pieces) == [("a", "f", "12")]


def test_calls_that_share_an_id_are_told_apart():
    pieces = taken(
        called(index=0, id="call_0", function={"name": "f", "arguments": "1"}),
        called(index=1, id="call_0", function={"name": "g", "arguments": "2"}),
        DONE,
    )
    (first, *_), (second, *_) = calls_of(pieces)
    assert first == "call_0" != second


def test_arguments_may_be_an_object():
    pieces = taken(called(index=0, id="a", function={"name": "f", "arguments": {"x": [1]}}), DONE)
    assert calls_of(pieces) == [("a", "f", '{"x":[1]}')]


def test_a_stop_after_calls_means_the_calls():
    assert reason(taken(called(index=0, id="a", function=WEATHER), STOP, DONE)) == "tool_calls"
    assert reason(taken(called(index=0, id="a", function=WEATHER), chunk({}, "length"), DONE)) == "length"


def test_the_older_form_of_a_call():
    pieces = taken(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":1}'}}),
        chunk({}, "function_call"),
        DONE,
    )
    [(id, *call)] = calls_of(pieces)
    assert id
    assert call == ["f", '{"x":1}']
    assert reason(pieces) == "tool_calls"


def test_a_call_without_a_name_is_none():
    with pytest.raises(Malformed, match="without a name"):
        taken(called(index=0, id="a", function={"arguments": "1"}), chunk({}, "tool_calls"), DONE)


# ---------------------------------------------------------------- what is no stream


def test_an_answer_that_is_no_stream():
    message = {
        "role": "assistant",
        "content": "Hello",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
    whole = b"\n " + json.dumps(answer, indent=2).encode()
    pieces = taken(whole[:1], whole[1:30], whole[30:])
    assert text_of(pieces) == "Hello"
    assert calls_of(pieces) == [("a", "f", "{}")]
    assert used(pieces) == Usage(1, 2, 3)


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {oops\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
        b"data: \xff\xfe\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"{oops",
        b'{"choices":[{"message":{"content":7}}]}',
        b'{"detail":"Not here."}',
        b'{"choices":[]}',
    ],
)
def test_what_is_no_chunk_is_named(bad):
    with pytest.raises(Malformed):
        taken(bad, DONE if bad.startswith(b"data") else b"")


def test_what_came_before_trouble_is_told():
    chunks = Chunks()
    assert chunks.feed(said("a") + b"data: {oops\n\n" + said("b")) == [Text("a")]
    assert isinstance(chunks.trouble, Malformed)


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error":{"message":"m","code":"c"}}\n\n',
        b'event: error\ndata: {"error":{"message":"m"}}\n\n',
        b'data: {"choices":[{"delta":{},"finish_reason":"error"}],"error":{"message":"m"}}\n\n',
        b'data: {"object":"error","message":"m","code":400}\n\n',
        b'{"error":{"message":"m"}}',
    ],
)
def test_an_error_in_the_place_of_a_chunk(error):
    with pytest.raises(ErrorSaid) as raised:
        taken(error)
    assert raised.value.error["message"] == "m"


@pytest.mark.parametrize(
    "nothing", [b"", b"\n\n", b": ping\n\n", b"<html>Welcome</html>", b"data: {}\n\n", DONE]
)
def test_nothing_of_a_completion(nothing):
    chunks = Chunks()
    assert chunks.feed(nothing) + chunks.end() == []
    assert chunks.empty
    assert chunks.cut_off


def test_a_line_without_an_end_is_not_held_for_ever(monkeypatch):
    monkeypatch.setattr("threadkeep.providers.chunks.MOST_HELD", 1000)
    for beginning in (b"data: ", b"{"):
        chunks = Chunks()
        for _ in range(100):
            chunks.feed(beginning + b"x" * 100)
        assert isinstance(chunks.trouble, Malformed)
