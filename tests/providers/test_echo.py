"""The demonstration model."""

from typing import Any

import pytest

from tests.providers.conftest import HI, all_pieces, text_of
from threadkeep.providers.base import ChatRequest, Finish, Text, Used
from threadkeep.providers.echo import Echo
from threadkeep.runs.model import Usage

pytestmark = [pytest.mark.anyio, pytest.mark.promise("providers.echo")]


def request(*messages: dict[str, Any], **more: Any) -> ChatRequest:
    return ChatRequest(model="echo", messages=list(messages), **more)


async def test_it_says_again_what_the_user_said_word_by_word():
    system = {"role": "system", "content": "Be brief."}
    pieces = await all_pieces(Echo(), request(system, {"role": "user", "content": "Hello big\n world "}))
    assert pieces == [
        Text("Hello"),
        Text(" big"),
        Text("\n world"),
        Text(" "),
        Finish("stop"),
        Used(Usage(5, 4, 9)),
    ]


async def test_the_last_message_of_the_user_counts():
    answer = {"role": "assistant", "content": None}
    tool = {"role": "tool", "content": "22 degrees"}
    assert text_of(await all_pieces(Echo(), request(*HI, answer, tool))) == "Hi"


async def test_of_parts_it_says_the_texts():
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "text", "text": "this?"},
    ]
    assert text_of(await all_pieces(Echo(), request({"role": "user", "content": parts}))) == "What is\nthis?"


async def test_where_nobody_said_anything():
    assert text_of(await all_pieces(Echo(), request())) == "There is no message of a user to echo."


async def test_it_stops_at_the_limit():
    user = {"role": "user", "content": "one two three"}
    pieces = await all_pieces(Echo(), request(user, max_completion_tokens=2))
    assert pieces == [Text("one"), Text(" two"), Finish("length"), Used(Usage(3, 2, 5))]
