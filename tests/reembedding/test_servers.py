"""Servers that die, stop, share the work, or have different models."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.ingestion.desk import LEASE, LINES
from tests.reembedding.scene import (
    TEXT,
    Model,
    change,
    half_way,
    is_wanted,
    let_go,
)
from threadkeep.vector_stores import reembedding as rows

pytestmark = pytest.mark.anyio


@pytest.mark.promise("reembedding.crash")
async def test_what_a_dead_server_has_done_is_not_done_again(server, other):
    old, new, heirs = Model("one", 3), Model("two", 3, 3), Model("two", 3, 3)
    vs = await server.filled(old, TEXT)
    chunks = await server.chunks_of(vs)
    await half_way(server, new, batches=4)
    await server.die()
    server.clock.advance(LEASE)
    kept = sum(model == "two" for model, _ in await server.vectors())
    assert kept
    other.begin(heirs)
    await other.embedded(heirs)
    assert len(heirs.texts) == chunks - kept
    assert set(await other.vectors()) == {("two", 3)}
    assert await other.usage_is_right(vs)


@pytest.mark.promise("reembedding.crash")
async def test_a_stop_hands_over_at_once(server, other):
    new, heirs = Model("two", 3, 3), Model("two", 3, 3)
    vs = await server.filled(None, TEXT)
    await half_way(server, new, batches=3)
    await server.end()
    other.begin(heirs)
    await other.embedded(heirs)
    assert len(new.texts) + len(heirs.texts) == await server.chunks_of(vs)


@pytest.mark.promise("reembedding.shared")
async def test_servers_share_the_work(server, other):
    texts = [f"{LINES[:2000]} {number}" for number in range(12)]
    vs = await server.filled(Model("one", 3), *texts)
    new, others = Model("two", 3, 3), Model("two", 3, 3)
    here, there = asyncio.Event(), asyncio.Event()

    def meeting(mine: asyncio.Event, theirs: asyncio.Event) -> Callable[[], Awaitable[None]]:
        async def meet() -> None:
            mine.set()
            await theirs.wait()

        return meet

    new.before, others.before = meeting(here, there), meeting(there, here)
    server.begin(new)
    other.begin(others)
    await server.embedded(new)
    assert new.texts
    assert others.texts
    assert len(new.texts) + len(others.texts) == await server.chunks_of(vs)
    assert set(await server.vectors()) == {("two", 3)}


@pytest.mark.promise("reembedding.crash")
async def test_a_server_that_was_held_up_writes_nothing_more(server):
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    go_on = await half_way(server, new)
    kept = sum(model == "two" for model, _ in await server.vectors())
    await change(server, "UPDATE vector_store_files SET embedding_claim = 'another'")
    await let_go(server, go_on)
    assert sum(model == "two" for model, _ in await server.vectors()) == kept
    server.clock.advance(LEASE)
    await server.embedded(new)
    assert await server.usage_is_right(vs)


@pytest.mark.promise("reembedding.rolling")
async def test_of_two_models_that_of_the_server_that_started_last_stays(server, other):
    one, two = Model("one", 3, 3), Model("two", 4, 4)
    vs = await server.filled(None, TEXT)
    go_on = await half_way(server, one)
    other.begin(two)
    await other.wait(lambda: is_wanted(other, "two 4"))
    kept = (await server.vectors()).count(("one", 3))
    await let_go(server, go_on)
    assert (await server.vectors()).count(("one", 3)) <= kept
    server.clock.advance(LEASE)
    await other.embedded(two)
    texts = len(one.texts)
    assert server.reembedder._leases is not None
    assert not await server.reembedder._leases._claim_due()
    assert len(one.texts) == texts
    assert set(await server.vectors()) == {("two", 4)}
    assert await server.usage_is_right(vs)


@pytest.mark.promise("reembedding.rolling")
async def test_a_model_that_no_server_has_any_more_does_not_stay(server, other):
    """An old server was started again in the middle of an upgrade, and is gone now."""
    one, two = Model("one", 3, 3), Model("two", 4, 4)
    await server.filled(None, "Short.")
    other.begin(two)
    await other.embedded(two)
    server.begin(one)
    await server.embedded(one)
    await server.die()
    texts = len(two.texts)
    other.clock.advance(rows.SECONDS_WANTED - 1)
    assert other.reembedder._leases is not None
    assert not await other.reembedder._leases._claim_due()
    assert len(two.texts) == texts
    other.clock.advance(1)
    await other.embedded(two)
    assert set(await server.vectors()) == {("two", 4)}


@pytest.mark.promise("reembedding.rolling")
async def test_what_an_old_server_still_takes_in_is_embedded_again(server, other):
    one, two = Model("one", 3, 3), Model("two", 4, 4)
    other.begin(two)
    await server.filled(one, "Short.")
    await other.embedded(two)
    assert await server.vectors() == [("two", 4)]


@pytest.mark.promise("reembedding.rolling")
async def test_a_wish_is_prolonged_only_as_long_as_it_is_the_one(server):
    """Whoever was about to prolong its own when another server started has come too late."""

    async def want(source: str, now: int, anyway: bool) -> bool:
        return await server.context.database.write(partial(rows.want, source=source, now=now, anyway=anyway))

    assert await want("old", 1000, True)
    assert await want("old", 1400, False)
    assert await want("new", 1500, True)
    assert not await want("old", 1500, False)
    assert not await want("old", 1500 + rows.SECONDS_WANTED - 1, False)
    assert await is_wanted(server, "new")
    assert await want("old", 1500 + rows.SECONDS_WANTED, False)
    assert await is_wanted(server, "old")
