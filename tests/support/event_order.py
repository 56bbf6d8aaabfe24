"""The order of a run's events, as a grammar of protocol section 7, and what they must agree on.

    check(of_sse(body))         # server-sent events as a client reads them
    check(of_events(events))    # events of the engine, from a watch's batches

A stream is one word: a letter for each event. What is in an event is compared with what came before.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from threadkeep.engine.events import Event
from threadkeep.wire.openai_v2 import DIALECT

Named = tuple[str, Any]
"""An event's name and its data, read from JSON."""

LETTERS = {
    "thread.created": "T",
    "thread.run.created": "C",
    "thread.run.queued": "Q",
    "thread.run.in_progress": "I",
    "thread.run.requires_action": "A",
    "thread.run.completed": "K",
    "thread.run.incomplete": "N",
    "thread.run.failed": "F",
    "thread.run.cancelling": "L",
    "thread.run.cancelled": "X",
    "thread.run.expired": "E",
    "thread.run.step.created": "m or t",
    "thread.run.step.in_progress": "p",
    "thread.run.step.delta": "D",
    "thread.run.step.completed": "s",
    "thread.run.step.failed": "f",
    "thread.run.step.cancelled": "x",
    "thread.run.step.expired": "e",
    "thread.message.created": "c",
    "thread.message.in_progress": "i",
    "thread.message.delta": "d",
    "thread.message.completed": "k",
    "thread.message.incomplete": "n",
    "error": "!",
    "done": ".",
}

MESSAGE = "mpcid*"
WHOLE = f"(?:{MESSAGE}ks)"
CALLS = f"(?:tpD+(?:{WHOLE}D+)*)"
"""Some models say something between their calls."""
SEARCH = f"(?:{CALLS}{WHOLE}?s)"
"""Calls that the server carries out itself."""
SAID = f"(?:I(?:{WHOLE}|{SEARCH})*)"


def cut_off(step: str, before: str = "") -> str:
    """A turn that ends before its time: what is open ends likewise, once `before` has happened."""
    return (
        f"(?:{before}|{SAID}{before}|{SAID}{MESSAGE}{before}n{step}"
        f"|{SAID}{CALLS}{WHOLE}?{before}{step}|{SAID}{CALLS}{MESSAGE}{before}n{step}{step})"
    )


STREAM = re.compile(
    "(?:T?CQ|sQ)(?:"
    f"{SAID}{WHOLE}K"
    f"|{SAID}{CALLS}{WHOLE}?A"
    f"|{cut_off('s')}N"
    f"|{cut_off('f')}F"
    f"|{cut_off('e')}E"
    f"|{cut_off('x', before='L')}X"
    ")\\."
)
BROKEN_OFF = re.compile(r"(?:T?CQ|sQ)[^!.]*!\.")
"""The process gave the run up: the run goes on without the stream."""


def of_sse(text: str) -> list[Named]:
    """The events of a whole body, comments left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            data = fields["data"]
            found.append((fields["event"], None if data == "[DONE]" else json.loads(data)))
    return found


def of_events(events: Sequence[Event]) -> list[Named]:
    """The same from the engine's events, as v2 writes them."""
    return of_sse(DIALECT.events(events).decode())


def word_of(events: Iterable[Named]) -> str:
    """One letter for each event."""
    return "".join(letter_of(name, data) for name, data in events)


def letter_of(name: str, data: Any) -> str:
    if name == "thread.run.step.created":
        return "m" if data["type"] == "message_creation" else "t"
    return LETTERS[name]


def check(events: Sequence[Named], *, may_break_off: bool = False) -> str:
    """Fail unless a stream is well formed; its word otherwise."""
    word = word_of(events)
    whole = STREAM.fullmatch(word) or (may_break_off and BROKEN_OFF.fullmatch(word))
    assert whole, f"{word} is no order of events: {[name for name, _ in events]}"
    check_runs(events)
    check_steps(events)
    check_messages(events)
    check_calls(events)
    return word


def check_runs(events: Sequence[Named]) -> None:
    """Every event is of one run, and says the status that its name says."""
    runs = [(name, data) for name, data in events if name.count(".") == 2 and name.startswith("thread.run.")]
    assert len({data["id"] for _, data in runs}) == 1
    for name, data in runs:
        status = name.removeprefix("thread.run.")
        assert data["status"] == ("queued" if status == "created" else status), name
        over = status in ("completed", "incomplete", "failed", "cancelled", "expired")
        assert (data["usage"] is not None) == over, (name, data["usage"])
        assert (data["expires_at"] is None) == over, name


def check_steps(events: Sequence[Named]) -> None:
    """Steps end once, with the time of it and their usage."""
    open_steps: set[str] = set()
    for number, (name, data) in enumerate(events):
        event = name.removeprefix("thread.run.step.")
        if event == name or event == "delta":
            continue
        if event == "created":
            assert data["id"] not in open_steps
            open_steps.add(data["id"])
        if event in ("created", "in_progress"):
            assert (data["status"], data["usage"]) == ("in_progress", None)
            if data["type"] == "tool_calls":
                assert data["step_details"]["tool_calls"] == []
            continue
        assert data["status"] == event
        assert data[f"{event}_at"] is not None
        assert data["usage"] is not None
        assert data["id"] in open_steps or number == 0, (
            "a step that ends was begun, here or in the stream before"
        )
        open_steps.discard(data["id"])


def check_messages(events: Sequence[Named]) -> None:
    """What deltas add up to is what the message says in the end."""
    texts: dict[str, list[tuple[str, str]]] = {}
    for name, data in events:
        if name in ("thread.message.created", "thread.message.in_progress"):
            assert (data["status"], data["content"]) == ("in_progress", [])
            texts[data["id"]] = []
        elif name == "thread.message.delta":
            for part in data["delta"]["content"]:
                add_piece(texts[data["id"]], part)
        elif name in ("thread.message.completed", "thread.message.incomplete"):
            whole = [
                (part["type"], part["text"]["value"] if part["type"] == "text" else part["refusal"])
                for part in data["content"]
            ]
            told = texts.pop(data["id"])
            assert whole == (told or [("text", "")])
            assert data["status"] == name.removeprefix("thread.message.")
            assert (data["incomplete_details"] is None) == (data["status"] == "completed")


def add_piece(parts: list[tuple[str, str]], piece: Any) -> None:
    kind = piece["type"]
    value = piece["text"]["value"] if kind == "text" else piece["refusal"]
    if piece["index"] == len(parts):
        parts.append((kind, ""))
        assert kind == "refusal" or isinstance(piece["text"]["annotations"], list)
    assert parts[piece["index"]][0] == kind
    parts[piece["index"]] = (kind, parts[piece["index"]][1] + value)


def check_calls(events: Sequence[Named]) -> None:
    """What deltas of the last step add up to are the calls that the client is asked to carry out."""
    calls: list[dict[str, str]] = []
    for name, data in events:
        if name == "thread.run.step.created" and data["type"] == "tool_calls":
            calls = []
        elif name == "thread.run.step.delta":
            for piece in data["delta"]["step_details"]["tool_calls"]:
                if piece["type"] != "function":
                    calls.append({"search": piece["id"]})
                    continue
                function = piece["function"]
                if piece["index"] == len(calls):
                    calls.append({"id": piece["id"], "name": function["name"], "arguments": ""})
                else:
                    assert not piece.get("id")
                    assert not function.get("name")
                calls[piece["index"]]["arguments"] += function["arguments"]
        elif name == "thread.run.requires_action":
            asked = data["required_action"]["submit_tool_outputs"]["tool_calls"]
            told = [one for one in calls if "search" not in one]
            assert [{"id": one["id"], **one["function"]} for one in asked] == told
