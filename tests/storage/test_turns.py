"""Writes that nobody waits for, beside those that somebody does."""

import asyncio
import time

import pytest

from threadkeep.storage.turns import LONGEST_REST, REST, Turns

pytestmark = pytest.mark.anyio
SECONDS = 0.02
ALONE, BESIDE = 0.2, 0.1


async def taking(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return time.monotonic()


async def test_they_go_one_at_a_time():
    turns, running, most = Turns(ALONE, BESIDE), 0, 0

    async def write() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await asyncio.gather(*(turns.behind(write) for _ in range(5)))
    assert most == 1


async def test_alone_they_do_not_rest():
    turns = Turns(ALONE, BESIDE)
    written = await turns.behind(lambda: taking(SECONDS))
    assert time.monotonic() - written < REST * SECONDS
    assert turns.seconds == ALONE


async def test_beside_others_each_rests_in_proportion():
    turns = Turns(ALONE, BESIDE)
    with turns:
        written = await turns.behind(lambda: taking(SECONDS))
        assert REST * SECONDS <= time.monotonic() - written < LONGEST_REST
    assert turns.seconds == BESIDE
    written = await turns.behind(lambda: taking(SECONDS))
    assert time.monotonic() - written < REST * SECONDS
    assert turns.seconds == ALONE


async def test_one_that_fails_leaves_the_turn_to_the_next():
    turns = Turns(ALONE, BESIDE)

    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await turns.behind(fail)
    assert await turns.behind(lambda: taking(0))
