"""Whose a secret is: asked of the database once for everybody who comes in the same moment."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from threadkeep.errors import BadKey, Unavailable
from threadkeep.projects.actions import Keyring

SECRET = "sk-threadkeep-secret"


class Slow:
    """A database that answers each look-up when it is let."""

    def __init__(self, answer: str | Exception | None) -> None:
        self.answer, self.asked, self.go = answer, 0, asyncio.Event()

    @asynccontextmanager
    async def read(self):
        self.asked += 1
        yield self

    async def one(self, sql, params):
        await self.go.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer and (self.answer,)


async def all_at_once(keyring: Keyring, database: Slow) -> list:
    """Three callers who come while the first one's look-up is under way."""
    callers = [asyncio.create_task(keyring.project_of(SECRET)) for _ in range(3)]
    await asyncio.sleep(0)
    database.go.set()
    return await asyncio.gather(*callers, return_exceptions=True)


def test_callers_of_one_moment_share_a_look_up():
    async def scenario():
        database = Slow("proj_1")
        keyring = Keyring(database, lambda: 1.0)  # type: ignore[arg-type]
        assert await all_at_once(keyring, database) == ["proj_1"] * 3
        assert await keyring.project_of(SECRET) == "proj_1"
        assert database.asked == 1

    asyncio.run(scenario())


def test_a_key_is_asked_for_again_after_20_milliseconds():
    async def scenario():
        now = 1.0
        database = Slow("proj_1")
        database.go.set()
        keyring = Keyring(database, lambda: now)  # type: ignore[arg-type]
        await keyring.project_of(SECRET)
        now += Keyring.SECONDS + 0.001
        database.answer = None
        with pytest.raises(BadKey):
            await keyring.project_of(SECRET)

    asyncio.run(scenario())


@pytest.mark.parametrize(("answer", "raised"), [(None, BadKey), (Unavailable("it is down"), Unavailable)])
def test_bad_news_reach_everybody_and_are_not_remembered(answer, raised):
    async def scenario():
        database = Slow(answer)
        keyring = Keyring(database, lambda: 1.0)  # type: ignore[arg-type]
        assert {type(one) for one in await all_at_once(keyring, database)} == {raised}
        database.answer = "proj_1"
        assert await keyring.project_of(SECRET) == "proj_1"

    asyncio.run(scenario())


def test_a_caller_who_goes_away_takes_nobody_with_him():
    async def scenario():
        database = Slow("proj_1")
        keyring = Keyring(database, lambda: 1.0)  # type: ignore[arg-type]
        leaving, staying = (asyncio.create_task(keyring.project_of(SECRET)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        database.go.set()
        assert await staying == "proj_1"
        assert leaving.cancelled()

    asyncio.run(scenario())


HALF = Keyring.SECONDS / 2


async def half_way(database: Slow, answer: str | Exception | None) -> tuple[Keyring, list[float]]:
    """A keyring in mid-memory, whose next look-up is under way, and its clock."""
    now = [1.0]
    keyring = Keyring(database, lambda: now[0])  # type: ignore[arg-type]
    database.go.set()
    assert await keyring.project_of(SECRET) == "proj_1"
    now[0] += HALF + 0.001
    database.answer = answer
    database.go.clear()
    assert await keyring.project_of(SECRET) == "proj_1"
    await asyncio.sleep(0)
    return keyring, now


async def arrive(database: Slow) -> None:
    """Let the answer to what was asked arrive."""
    database.go.set()
    for _ in range(4):
        await asyncio.sleep(0)


def test_nobody_waits_for_a_key_that_is_used_all_the_time():
    async def scenario():
        database = Slow("proj_1")
        keyring, now = await half_way(database, "proj_1")
        assert await keyring.project_of(SECRET) == "proj_1"  # while the second look-up is under way
        assert database.asked == 2
        await arrive(database)
        now[0] += HALF - 0.0005
        assert await keyring.project_of(SECRET) == "proj_1"  # of the second
        assert database.asked == 2

    asyncio.run(scenario())


def test_a_revoked_key_ends_as_soon_as_the_look_up_ahead_says_so():
    async def scenario():
        database = Slow("proj_1")
        keyring, _ = await half_way(database, None)
        await arrive(database)
        with pytest.raises(BadKey):
            await keyring.project_of(SECRET)

    asyncio.run(scenario())


def test_what_is_remembered_holds_where_the_look_up_ahead_fails():
    async def scenario():
        database = Slow("proj_1")
        keyring, now = await half_way(database, Unavailable("it is down"))
        await arrive(database)
        assert await keyring.project_of(SECRET) == "proj_1"
        now[0] += HALF
        with pytest.raises(Unavailable):
            await keyring.project_of(SECRET)

    asyncio.run(scenario())


def test_a_look_up_ahead_that_takes_too_long_is_waited_for():
    async def scenario():
        database = Slow("proj_1")
        keyring, now = await half_way(database, None)
        now[0] += HALF - 0.0005
        caller = asyncio.create_task(keyring.project_of(SECRET))
        await arrive(database)
        with pytest.raises(BadKey):
            await caller
        assert database.asked == 2

    asyncio.run(scenario())


def test_a_key_that_is_used_no_more_is_forgotten():
    async def scenario():
        database = Slow("proj_1")
        keyring, now = await half_way(database, "proj_1")
        await arrive(database)
        now[0] += 1.0
        await keyring.project_of("sk-threadkeep-another")
        assert list(keyring._looks) == ["sk-threadkeep-another"]

    asyncio.run(scenario())
