"""A process that stops: runs that it works finish, or go to another process at once."""

import asyncio

import pytest

from tests.engine.bench import SECONDS, Bench, happens, open_bench, told
from tests.support.event_order import check
from tests.support.scripted import Gate, said
from threadkeep.errors import Unavailable
from threadkeep.runs import progress

pytestmark = pytest.mark.anyio


async def test_a_stop_lets_runs_finish(bench: Bench):
    gate = Gate()
    thread = await bench.thread()
    _run, feed = await bench.held(said("Hel", gate, "lo."), thread)
    bench.engine.drain()
    assert bench.engine.owner() is None
    gate.open()
    check(await told(feed))
    await bench.engine.stop()
    assert await bench.said(thread) == ["Hi", "Hello."]


async def test_a_stop_hands_over_what_it_cannot_finish(bench: Bench, monkeypatch):
    monkeypatch.setattr("threadkeep.engine.worker.SECONDS_OF_GRACE", 0.01)
    thread = await bench.thread()
    run, feed = await bench.held(["Hel", Gate()], thread)
    bench.model.script(said("Once more."))
    await bench.engine.stop()
    events = await told(feed)
    assert check(events, may_break_off=True) == "CQImpcid!."
    assert bench.model.open == 0
    other = bench.second()
    other.start()  # at once, without waiting for the lease to end
    await other.until(run, "completed")
    assert await bench.said(thread) == ["Hi", "Once more."]


async def test_a_run_that_arrives_at_a_stop_is_handed_over(bench: Bench):
    started = await bench.create(await bench.thread(), bench.engine.owner())
    await bench.engine.stop()
    run, feed = bench._adopted(started)
    assert check(await told(feed), may_break_off=True) == "CQ!."
    other = bench.second()
    other.start()
    await other.until(run, "completed")


async def test_a_run_that_arrives_during_a_stop_is_handed_over_by_its_end(bench: Bench):
    started = await bench.create(await bench.thread(), bench.engine.owner())
    assert started.claim
    bench.engine.drain()
    assert bench.engine._draining
    await bench.engine._draining
    bench.engine.adopt(started.claim)
    await bench.engine.stop()
    assert await bench.due() == {started.run.id}


async def test_a_stop_waits_for_what_is_being_claimed(tmp_path, url, clock, monkeypatch):
    claim, gate, refused = progress.claim, Gate(), False

    async def slowly(*given):
        nonlocal refused
        if not refused:
            refused = True
            raise Unavailable("The connection was lost.")
        gate.reached.set()
        await gate.opened.wait()
        return await claim(*given)

    monkeypatch.setattr(progress, "claim", slowly)
    async with open_bench(tmp_path, url, clock, started=False) as bench:
        runs = {(await bench.create(await bench.thread())).run.id for _ in range(2)}
        bench.start()
        await happens(gate.reached)
        stopping = asyncio.create_task(bench.engine.stop())
        await bench.thread()  # time enough for a stop that does not wait
        assert not stopping.done()
        gate.open()
        await stopping
        assert await bench.due() == runs


async def test_a_stop_ends_what_waits_for_a_change(bench: Bench):
    bench.model.script([Gate()])
    run, _ = await bench.run(await bench.thread())
    await bench.until(run, "in_progress")
    waiting = asyncio.create_task(bench.engine.change(run.id, "in_progress", 1000))
    await asyncio.sleep(0)
    bench.engine.drain()
    async with asyncio.timeout(SECONDS):
        await waiting
        await bench.engine.change(run.id, "in_progress", 1000)
    await bench.cancel(run)
