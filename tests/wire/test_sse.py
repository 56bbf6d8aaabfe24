"""Events of runs on the wire: beside recordings of the live service, and in what readers make of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.shapes import check_event
from tests.wire import told
from threadkeep.engine.events import CallDelta, Done, Event, StreamError, TextDelta
from threadkeep.wire import openai_v1, openai_v2
from threadkeep.wire.base import Dialect

DIALECTS = {"v1": openai_v1.DIALECT, "v2": openai_v2.DIALECT}
RECORDED = json.loads((Path(__file__).parent / "recorded_streams.json").read_text("utf-8"))
BOTH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
MORE = {
    "thread.run.step": {"expired_at", "metadata"},
    "thread.run": {
        "temperature",
        "top_p",
        "max_completion_tokens",
        "max_prompt_tokens",
        "truncation_strategy",
        "incomplete_details",
        "response_format",
        "tool_choice",
    },
}
"""Keys that the published reference has and the live service did not send, or not yet."""
LATER = {"prompt_token_details", "completion_tokens_details"}


def parsed(data: bytes) -> list[tuple[str, Any]]:
    """Names and data of events, as a reader sees them."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        name, line = block.split("\n")
        assert (name[:7], line[:6]) == ("event: ", "data: ")
        text = line.removeprefix("data: ")
        found.append((name.removeprefix("event: "), text if text == "[DONE]" else json.loads(text)))
    return found


@pytest.mark.promise("streams.as-recorded")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda one: one["name"])
def test_events_look_as_they_did_on_the_live_service(recording: dict[str, Any]) -> None:
    pairs = [(told.event_of(name, data), name, data) for name, data in recording["events"]]
    events = [event for event, _, _ in pairs if event]
    sent = parsed(DIALECTS[recording["version"]].events(events))
    assert [name for name, _ in sent] == [name for event, name, _ in pairs if event]
    for (_, ours), (_, name, theirs) in zip(sent, [pair for pair in pairs if pair[0]], strict=True):
        if isinstance(theirs, dict):
            more = MORE.get(theirs["object"], set()) - set(theirs)
            usage = theirs.get("usage") or {}
            if "prompt_token_details" not in usage and recording["version"] == "v2" and usage:
                ours["usage"] = {key: value for key, value in ours["usage"].items() if key not in LATER}
            if name == "thread.created":  # decided otherwise: the same in every answer
                ours["tool_resources"] = theirs["tool_resources"]
            assert json.dumps(shown(ours, more)) == json.dumps(theirs)
        else:
            assert ours == theirs


def shown(data: dict[str, Any], more: set[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in more}


@BOTH
@pytest.mark.promise("streams.created-is-empty")
def test_what_is_being_made_is_told_without_what_its_deltas_will_add(dialect: Dialect) -> None:
    for told_events, key in ((told.plain(), "content"), (told.called(), "step_details")):
        for name, data in parsed(dialect.events(told_events)):
            if name.endswith((".created", ".in_progress")) and key in data:
                assert data[key] in ([], {"type": "tool_calls", "tool_calls": []}, message_step())


def message_step() -> dict[str, Any]:
    return {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}


@BOTH
@pytest.mark.promise("streams.deltas")
def test_only_the_first_piece_of_a_text_has_annotations(dialect: Dialect) -> None:
    pieces = [TextDelta("msg_1", 0, "a", first=True), TextDelta("msg_1", 0, "b")]
    texts = [data["delta"]["content"][0]["text"] for _, data in parsed(dialect.events(pieces))]
    assert texts == [{"value": "a", "annotations": []}, {"value": "b"}]


@BOTH
@pytest.mark.promise("streams.deltas")
def test_a_call_is_named_once_and_then_its_arguments_come_in_pieces(dialect: Dialect) -> None:
    joined = CallDelta("step_1", 1, '{"a"', "call_1", "f")
    calls = [
        data["delta"]["step_details"]["tool_calls"][0]
        for _, data in parsed(dialect.events([joined, CallDelta("step_1", 1, ": 1}")]))
    ]
    assert calls == [
        {
            "index": 1,
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": "", "output": None},
        },
        {"index": 1, "type": "function", "function": {"arguments": '{"a"'}},
        {"index": 1, "type": "function", "function": {"arguments": ": 1}"}},
    ]


@BOTH
@pytest.mark.promise("streams.error")
def test_an_error_is_wrapped_so_that_clients_raise_it(dialect: Dialect) -> None:
    error = {"message": "Gone.", "type": "server_error", "param": None, "code": "server_error"}
    sent = parsed(dialect.events([StreamError("Gone."), Done()]))
    assert sent == [("error", {"error": error}), ("done", "[DONE]")]


@BOTH
@pytest.mark.promise("streams.lines")
def test_no_character_of_a_text_ends_a_line_of_data(dialect: Dialect) -> None:
    """Readers that split lines as Python does would also split at these."""
    data = dialect.events([TextDelta("msg_1", 0, "".join(map(chr, range(0x3000))), first=True)])
    name, line, *rest = data.decode().splitlines()
    assert (name, rest) == ("event: thread.message.delta", [""])
    value = json.loads(line.removeprefix("data: "))["delta"]["content"][0]["text"]["value"]
    assert value == "".join(map(chr, range(0x3000)))


@pytest.mark.promise("streams.v1.incomplete")
def test_v1_calls_a_run_at_its_cap_completed() -> None:
    ends = {name: parsed(one.events(told.cut_off()))[-2] for name, one in DIALECTS.items()}
    assert {version: (name, data["status"]) for version, (name, data) in ends.items()} == {
        "v1": ("thread.run.completed", "completed"),
        "v2": ("thread.run.incomplete", "incomplete"),
    }


@pytest.mark.promise("streams.refusals")
def test_refusals_come_as_pieces_of_their_own_which_v1_does_not_have() -> None:
    contents = {
        version: [
            data["delta"]["content"][0]
            for name, data in parsed(one.events(told.refused()))
            if name == "thread.message.delta"
        ]
        for version, one in DIALECTS.items()
    }
    assert contents == {
        "v1": [],
        "v2": [{"index": 0, "type": "refusal", "refusal": word} for word in told.WORDS],
    }


@pytest.mark.promise("streams.published-shapes")
@pytest.mark.parametrize("version", DIALECTS)
@pytest.mark.parametrize("run", [told.plain, told.called, told.refused, told.cut_off])
def test_every_event_has_its_published_shape(version: str, run: Callable[[], list[Event]]) -> None:
    sent = parsed(DIALECTS[version].events([*run(), StreamError("Gone.")]))
    for name, data in sent:
        check_event(name, version, data)


def test_no_events_are_no_bytes() -> None:
    assert openai_v2.DIALECT.events([]) == b""
