"""Waiting for a run's status to change, as polls that are held do."""

import asyncio

import pytest

from tests.engine.bench import SECONDS, Bench
from tests.support.scripted import Gate, said

pytestmark = pytest.mark.anyio


async def test_it_returns_when_the_status_changes(bench: Bench):
    gate = Gate()
    run, _ = await bench.held(said("Hel", gate, "lo."))
    other = bench.second()
    other.start()
    runners = (bench.engine, other.engine)
    waiting = [asyncio.create_task(one.change(run.id, "in_progress", 1000)) for one in runners]
    await bench.look(run)
    assert not any(task.done() for task in waiting)
    gate.open()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*waiting)
    assert (await bench.look(run)).status == "completed"


async def test_it_returns_at_once_when_the_status_is_another_already(bench: Bench):
    run, _ = await bench.run(await bench.thread())
    await bench.until(run, "completed")
    async with asyncio.timeout(SECONDS):
        await bench.engine.change(run.id, "queued", 1000)
        await bench.engine.change("run_of_nobody", "queued", 1000)


async def test_it_returns_when_the_time_is_over(bench: Bench):
    bench.model.script([Gate()])
    run, _ = await bench.run(await bench.thread())
    await bench.until(run, "in_progress")
    async with asyncio.timeout(SECONDS):
        await bench.engine.change(run.id, "in_progress", 0.01)
    assert (await bench.look(run)).status == "in_progress"
    assert bench.engine._waiters == {}
    await bench.cancel(run)


async def test_many_wait_for_one_look(bench: Bench):
    gate = Gate()
    run, _ = await bench.held(said(gate))
    waiting = [asyncio.create_task(bench.engine.change(run.id, "in_progress", 1000)) for _ in range(200)]
    gate.open()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*waiting)
