"""The feed of one reader: what waits for it is joined, and it hears something even where nothing happens."""

import asyncio
import sys

import pytest

from tests.engine.bench import SECONDS
from threadkeep.engine import watch
from threadkeep.engine.events import CallDelta, Done, Event, StreamError, TextDelta
from threadkeep.engine.watch import Feed

pytestmark = pytest.mark.anyio
ERROR = StreamError("No.")


def text(value: str, index: int = 0, *, first: bool = False, refusal: bool = False) -> TextDelta:
    return TextDelta("msg_1", index, value, first, refusal)


def call(arguments: str, index: int = 0, id: str | None = None, name: str | None = None) -> CallDelta:
    return CallDelta("step_1", index, arguments, id, name)


async def batch_of(feed: Feed) -> list[object]:
    async with asyncio.timeout(SECONDS):
        return list(await anext(feed.batches()))


async def test_a_reader_who_keeps_up_gets_each_piece_as_it_came():
    feed = Feed()
    pieces: list[Event] = [text("a", first=True), text("b"), ERROR, text("c")]
    for piece in pieces:
        feed.tell(piece)
        assert await batch_of(feed) == [piece]


async def test_pieces_that_wait_stay_apart_as_long_as_they_are_few():
    feed = Feed()
    pieces = [text("a", first=True), text("b"), text("c")]
    for piece in pieces:
        feed.tell(piece)
    assert await batch_of(feed) == pieces


async def test_pieces_that_wait_are_joined_once_they_are_many(monkeypatch):
    monkeypatch.setattr(watch, "MOST_APART", 1)
    feed = Feed()
    pieces: list[Event] = [
        *(text("one ", first=True), text("two "), text("three")),
        *(text("no", 1, first=True, refusal=True), text("pe", 1, refusal=True)),
        *(call("", id="call_a", name="f"), call("{"), call("}")),
        *(call("", 1, "call_b", "g"), call("[]", 1)),
        *(call("more"), call("!")),
    ]
    for piece in pieces:
        feed.tell(piece)
    assert await batch_of(feed) == [
        text("one two three", first=True),
        text("nope", 1, first=True, refusal=True),
        call("{}", 0, "call_a", "f"),
        call("[]", 1, "call_b", "g"),
        call("more!"),
    ]


async def test_pieces_of_different_messages_stay_apart():
    feed = Feed()
    one, other = TextDelta("msg_1", 0, "a", True), TextDelta("msg_2", 0, "b", True)
    pieces: list[Event] = [one, other, ERROR, one]
    for piece in pieces:
        feed.tell(piece)
    assert await batch_of(feed) == pieces


async def test_a_waiting_reader_is_woken_once_for_what_comes_together():
    feed = Feed()
    reading = asyncio.create_task(batch_of(feed))
    await asyncio.sleep(0)
    feed.tell(text("a"))
    feed.tell(ERROR)
    assert await reading == [text("a"), ERROR]


async def test_nothing_follows_the_end():
    feed = Feed()
    feed.tell(Done())
    feed.tell(ERROR)
    assert [event async for batch in feed.batches() for event in batch] == [Done()]
    feed.tell(ERROR)
    assert [batch async for batch in feed.batches()] == []


async def test_a_reader_that_has_gone_is_told_nothing():
    feed = Feed()
    reading = asyncio.create_task(anext(feed.batches(), "over"))
    await asyncio.sleep(0)
    feed.close()
    feed.tell(ERROR)
    async with asyncio.timeout(SECONDS):
        assert await reading == "over"
    assert feed._waiting == []


async def test_silence_gives_an_empty_batch(monkeypatch):
    monkeypatch.setattr(watch, "SECONDS_OF_SILENCE", 0.02)
    feed = Feed()
    assert await batch_of(feed) == []
    assert await batch_of(feed) == []
    feed.tell(ERROR)
    assert await batch_of(feed) == [ERROR]
    assert await batch_of(feed) == []
    feed.close()


async def test_what_a_reader_leaves_unread_costs_what_its_text_costs():
    feed = Feed()
    feed.tell(text("x", first=True))
    for _ in range(100_000):
        feed.tell(text("token "))
    assert len(feed._waiting) == watch.MOST_APART
    assert feed._joined is not None
    assert sys.getsizeof(feed._joined.getvalue()) < 700_000
    told = await batch_of(feed)
    assert sum(len(one.value) for one in told if isinstance(one, TextDelta)) == 600_001
