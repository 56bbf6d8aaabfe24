"""Runs that search files for a model that cannot read much."""

import json
from typing import Any

import pytest

from tests.runs.conftest import Setting
from tests.runs.scene import Scene
from tests.runs.test_file_search import ASKS, SEARCH, give, search_of, store_with
from tests.support.upstream import Call, Say
from threadkeep.engine.chat import NO_ROOM
from threadkeep.engine.tokens import count

pytestmark = pytest.mark.promise("runs.file-search.room")
LONG = "\n\n".join(f"The green cheese number {n} lies on the {n}th shelf of the moon." for n in range(1000))


def reading(on_each: Setting, tokens: int) -> Scene:
    """A scene whose model reads so many tokens, and whose thread has more than these to search."""
    scene = on_each(str(tokens))
    store, _ = store_with(scene, "moon.txt", LONG)
    give(scene, f"/v1/threads/{scene.thread}", store)
    return scene


def told(body: Any) -> list[str]:
    """What the searches have told a model."""
    return [one["content"] for one in body["messages"] if one["role"] == "tool"]


def tokens_of(body: Any) -> int:
    """Of a request, and no more than that."""
    texts = [one["content"] or "" for one in body["messages"]]
    return sum(count([*texts, json.dumps(body.get("tools", []))]))


@pytest.mark.parametrize(
    ("reads", "instructions", "caps", "room"),
    [
        (4096, 1500, {}, 2048),
        (8192, 3500, {}, 4096),
        (8192, 4000, {"max_completion_tokens": 1000}, 7192),
        (16384, 4000, {}, 12288),
        (16384, 4000, {"max_prompt_tokens": 12000}, 7800),
    ],
)
def test_what_is_found_fits_beside_what_is_always_sent(
    on_each: Setting, reads: int, instructions: int, caps: Any, room: int
):
    scene = reading(on_each, reads)
    scene.says(Say(ASKS, usage=(4200, 10)), Say("On the shelves."))
    run = scene.start(tools=[SEARCH], instructions="word " * instructions, **caps)
    assert scene.left(run).status == "completed"
    assert search_of(scene, run)["file_search"]["results"]
    taken = sum(count(told(scene.asked[1])))
    assert taken > (room - instructions) / 4
    assert tokens_of(scene.asked[1]) <= room


def test_every_search_of_a_turn_has_room(on_sqlite: Setting):
    scene = reading(on_sqlite, 8192)
    calls = [Call("file_search", f'{{"query": "green cheese {n}"}}', id=f"call_{n}") for n in range(3)]
    scene.says(Say(*calls), Say("On the shelves."))
    run = scene.start(tools=[SEARCH])
    assert scene.left(run).status == "completed"
    assert [size > 500 for size in count(told(scene.asked[1]))] == [True] * 3


@pytest.mark.parametrize("reads", [4096, 8192, 16384])
def test_a_model_may_search_again_and_is_told_when_there_is_no_more_room(on_each: Setting, reads: int):
    scene = reading(on_each, reads)
    scene.says(Say(ASKS), Say(ASKS), Say(ASKS), Say("On the shelves."))
    run = scene.start(tools=[SEARCH], instructions="word " * (reads // 4))
    assert scene.left(run).status == "completed"
    first, *_, last = told(scene.asked[3])
    assert first.startswith("【0:0†moon.txt】\nThe green cheese")
    assert last == NO_ROOM
    assert told(scene.asked[1]) == [first]
