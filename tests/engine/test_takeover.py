"""Runs in the hands of several processes, some of which die, stop, or are held up."""

import asyncio

import pytest

from tests.engine.bench import SECONDS, WEATHER, Bench, happens, open_bench, told
from tests.support.event_order import check, word_of
from tests.support.scripted import Gate, said
from threadkeep.assistants.model import FileSearchTool
from threadkeep.errors import Unavailable
from threadkeep.providers.base import Call
from threadkeep.runs import progress, store
from threadkeep.runs.model import Claim

pytestmark = pytest.mark.anyio
LEASE = 15


async def test_a_run_that_nobody_owns_is_taken_up(bench: Bench):
    thread = await bench.thread()
    started = await bench.create(thread)
    assert started.claim is None
    await bench.until(started.run, "completed")
    assert await bench.said(thread) == ["Hi", "Hello."]


async def test_the_turn_of_a_process_that_died_starts_anew(bench: Bench):
    gate = Gate()
    bench.model.script(["Half an ans", gate])
    thread = await bench.thread()
    run, _ = await bench.run(thread)
    await happens(gate.reached)
    await bench.crash()
    other = bench.second()
    other.start()
    assert (await other.look(run)).status == "in_progress"
    bench.clock.advance(LEASE)
    await other.until(run, "completed")
    assert await bench.said(thread) == ["Hi", "Hello."]
    assert [step.status for step in await bench.steps(run)] == ["completed"]


async def test_what_was_written_before_a_death_is_not_said_again(bench: Bench):
    gate = Gate()
    bench.model.script(["One moment.", Call(0, "{", "call_a", "weather"), gate])
    thread = await bench.thread()
    run, _ = await bench.run(thread, tools=[WEATHER])
    await happens(gate.reached)
    await bench.crash()
    bench.clock.advance(LEASE)
    other = bench.second()
    other.start()
    await other.until(run, "completed")
    assert await bench.said(thread) == ["Hi", "One moment.", "Hello."]
    assert [step.type for step in await bench.steps(run)] == ["message_creation"] * 2
    asked = bench.model.requests[-1].messages
    assert [one["content"] for one in asked] == ["Be kind.", "Hi", "One moment."]


@pytest.mark.promise("runs.file-search.ends")
async def test_a_search_that_was_completed_before_a_death_is_not_repeated(bench: Bench):
    gate = Gate()
    bench.model.script(said(Call(0, '{"query": "x"}', "call_a", "file_search")), ["Half an ans", gate])
    thread = await bench.thread()
    run, _ = await bench.run(thread, tools=[FileSearchTool()])
    await happens(gate.reached)
    await bench.crash()
    bench.clock.advance(LEASE)
    other = bench.second()
    other.start()
    await other.until(run, "completed")
    assert [step.type for step in await bench.steps(run)] == ["tool_calls", "message_creation"]
    assert len(bench.model.requests) == 3
    told_again = bench.model.requests[-1].messages
    assert told_again == bench.model.requests[1].messages
    assert (told_again[-1]["tool_call_id"], told_again[-1]["content"]) == ("call_a", "Nothing was found.")


async def test_a_death_while_the_client_is_awaited_changes_nothing(bench: Bench):
    bench.model.script(said(Call(0, "{}", "call_a", "weather")))
    run, _ = await bench.run(await bench.thread(), tools=[WEATHER])
    run = await bench.until(run, "requires_action")
    await bench.crash()
    other = bench.second()
    other.start()
    run, feed = await other.submit(run, call_a="rain")
    check(await told(feed))
    await other.until(run, "completed")


@pytest.mark.parametrize(("seconds", "status"), [(LEASE, "cancelled"), (600, "cancelled")])
async def test_a_cancellation_outlives_the_process_that_was_to_do_it(bench: Bench, seconds, status):
    gate = Gate()
    bench.model.script(["Half an ans", gate])
    thread = await bench.thread()
    run, _ = await bench.run(thread)
    await happens(gate.reached)
    await bench.crash()
    other = bench.second()
    assert (await other.cancel(run)).status == "cancelling"
    other.start()
    bench.clock.advance(seconds)
    await other.until(run, status)
    assert await bench.active_run(thread) is None


async def test_a_run_whose_process_died_expires(bench: Bench):
    gate = Gate()
    bench.model.script(["Half an ans", gate])
    thread = await bench.thread()
    run, _ = await bench.run(thread)
    await happens(gate.reached)
    await bench.crash()
    bench.clock.advance(600)
    other = bench.second()
    other.start()
    await other.until(run, "expired")
    assert await bench.said(thread) == ["Hi"]


async def test_cancelling_reaches_the_process_that_works_the_run(bench: Bench):
    gate = Gate()
    bench.model.script(["Hel", gate])
    run, feed = await bench.run(await bench.thread())
    await happens(gate.reached)
    other = bench.second()
    other.start()
    await other.cancel(run)
    assert check(await told(feed)) == "CQImpcidLnxX."


async def test_a_process_that_lost_its_claim_writes_nothing(bench: Bench):
    gate = Gate()
    bench.model.script(said("Mine", gate, "!"), said("Another's."))
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    await happens(gate.reached)
    other = bench.second()
    await take_away(bench, run.id)
    bench.clock.advance(LEASE)
    other.start()
    await other.until(run, "completed")
    gate.open()
    assert word_of(await told(feed)) == "CQImpcidd!."
    assert await bench.said(thread) == ["Hi", "Another's."]


async def take_away(bench: Bench, run_id: str) -> None:
    """Have another process claim a run, and die."""

    async def work(transaction):
        sql = "UPDATE runs SET owner = 'another', attempt = attempt + 1 WHERE id = :id"
        await transaction.run(sql, {"id": run_id})

    await bench.context.database.write(work)


async def test_a_lost_claim_ends_the_request_to_the_model(bench: Bench):
    gate = Gate()
    bench.model.script(["Mine", gate])
    run, feed = await bench.run(await bench.thread())
    await happens(gate.reached)
    await take_away(bench, run.id)
    assert bench.engine._leases
    await bench.engine._leases._renew()
    assert word_of(await told(feed)) == "CQImpcid!."
    assert bench.model.open == 0


async def test_a_process_that_was_held_up_keeps_what_nobody_took(bench: Bench):
    gate = Gate()
    bench.model.script(said("Mine", gate, "!"))
    thread = await bench.thread()
    _, feed = await bench.run(thread)
    await happens(gate.reached)
    bench.clock.advance(2 * LEASE)
    assert bench.engine._leases
    await bench.engine._leases._claim_due()
    gate.open()
    check(await told(feed))
    assert await bench.said(thread) == ["Hi", "Mine!"]
    assert len(bench.model.requests) == 1


async def test_claims_are_prolonged_while_a_run_is_worked(bench: Bench):
    gates = [Gate() for _ in range(60)]
    for gate in gates:
        bench.model.script(["Mine", gate])
    for gate in gates:
        await bench.run(await bench.thread())
        await happens(gate.reached)
    bench.clock.advance(LEASE - 1)
    assert bench.engine._leases
    await bench.engine._leases._renew()
    bench.clock.advance(LEASE - 1)
    async with bench.context.database.read() as transaction:
        assert await store.due(transaction, bench.context.now(), 100) == []


# ------------------------------------------------------------------ stopping


async def test_a_stop_lets_runs_finish(bench: Bench):
    gate = Gate()
    bench.model.script(said("Hel", gate, "lo."))
    thread = await bench.thread()
    _run, feed = await bench.run(thread)
    await happens(gate.reached)
    bench.engine.drain()
    assert bench.engine.owner() is None
    gate.open()
    check(await told(feed))
    await bench.engine.stop()
    assert await bench.said(thread) == ["Hi", "Hello."]


async def test_a_stop_hands_over_what_it_cannot_finish(bench: Bench, monkeypatch):
    monkeypatch.setattr("threadkeep.engine.worker.SECONDS_OF_GRACE", 0.01)
    gate = Gate()
    bench.model.script(["Hel", gate], said("Once more."))
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    await happens(gate.reached)
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


# ------------------------------------------------------------------ as much as there is room for


async def test_no_more_runs_are_worked_than_there_is_room_for(tmp_path, url, clock):
    async with open_bench(tmp_path, url, clock, max_active_runs=2) as bench:
        gates = [Gate() for _ in range(2)]
        for gate in gates:
            bench.model.script(["Hel", gate])
        first = await bench.create(await bench.thread())
        second = await bench.create(await bench.thread())
        for gate in gates:
            await happens(gate.reached)
        assert bench.engine.owner() is None
        third = await bench.create(await bench.thread())
        assert (await bench.look(third.run)).status == "queued"
        await bench.cancel(first.run)
        await bench.until(third.run, "completed")
        await bench.cancel(second.run)


async def test_what_needs_no_model_ends_without_room(tmp_path, url, clock):
    async with open_bench(tmp_path, url, clock, max_active_runs=1) as bench:
        bench.model.script(said(Call(0, "{}", "call_a", "weather")))
        waits = (await bench.run(await bench.thread(), tools=[WEATHER]))[0]
        await bench.until(waits, "requires_action")
        clock.advance(300)
        gate = Gate()
        bench.model.script([gate])
        await bench.run(await bench.thread())
        await happens(gate.reached)
        queued = await bench.create(await bench.thread())
        other = await bench.create(await bench.thread())
        await bench.cancel(other.run)
        await bench.until(other.run, "cancelled")
        clock.advance(300)
        await bench.until(waits, "expired")
        assert (await bench.look(queued.run)).status == "queued"
        clock.advance(300)
        await bench.until(queued.run, "expired", "completed")


# ------------------------------------------------------------------ trouble with the database


async def test_what_cannot_be_written_is_written_later(bench: Bench, monkeypatch, caplog):
    record, refused = progress.record, 2

    async def refuse(*given, **named):
        nonlocal refused
        if named["due_at"] is None and refused:
            refused -= 1
            raise Unavailable("The disk is full.")
        return await record(*given, **named)

    monkeypatch.setattr(progress, "record", refuse)
    thread = await bench.thread()
    _run, feed = await bench.run(thread)
    check(await told(feed))
    assert caplog.text.count("event=run_put_off") == 2
    assert await bench.said(thread) == ["Hi", "Hello."]


async def test_what_was_written_all_the_same_is_not_written_twice(bench: Bench, monkeypatch):
    """A crash of the database may leave open whether a commit took place."""
    record = progress.record

    async def forget(*given, **named):
        await record(*given, **named)
        raise Unavailable("The connection was lost.")

    monkeypatch.setattr(progress, "record", forget)
    bench.model.script(said("Well.", Call(0, "{}", "call_a", "weather")))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    check(await told(feed))
    assert await bench.said(thread) == ["Hi", "Well."]
    run, feed = await bench.submit(run, call_a="rain")
    check(await told(feed))
    assert await bench.said(thread) == ["Hi", "Well.", "Hello."]


async def test_two_processes_do_not_take_the_same_run(bench: Bench):
    await bench.engine.stop()
    runs = [(await bench.create(await bench.thread())).run for _ in range(30)]
    benches = [bench.second() for _ in range(3)]
    for one in benches:
        one.start()
    for run in runs:
        await benches[0].until(run, "completed")
    assert len(bench.model.requests) == 30


async def test_a_claim_of_a_run_that_is_over_is_none(bench: Bench):
    run, feed = await bench.run(await bench.thread())
    await told(feed)
    run = await bench.until(run, "completed")
    with pytest.raises(progress.Lost):
        await progress.record(bench.context, Claim(run.id, "anybody", 1), run, due_at=None)
