"""Runs in the hands of several processes, some of which die, stop, or are held up."""

import pytest

from tests.engine.bench import WEATHER, Bench, happens, open_bench, told
from tests.support.event_order import check, word_of
from tests.support.scripted import Gate, said
from threadkeep.assistants.model import FileSearchTool
from threadkeep.engine.worker import Runs
from threadkeep.errors import Unavailable
from threadkeep.providers.base import Call
from threadkeep.runs import claims, progress
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
    thread = await bench.thread()
    run, _ = await bench.held(["Half an ans", Gate()], thread)
    await bench.crash()
    other = bench.second()
    other.start()
    assert (await other.look(run)).status == "in_progress"
    bench.clock.advance(LEASE)
    await other.until(run, "completed")
    assert await bench.said(thread) == ["Hi", "Hello."]
    assert [step.status for step in await bench.steps(run)] == ["completed"]


async def test_what_was_written_before_a_death_is_not_said_again(bench: Bench):
    thread = await bench.thread()
    run, _ = await bench.held(
        ["One moment.", Call(0, "{", "call_a", "weather"), Gate()], thread, tools=[WEATHER]
    )
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
    thread = await bench.thread()
    run, _ = await bench.held(["Half an ans", Gate()], thread)
    await bench.crash()
    other = bench.second()
    assert (await other.cancel(run)).status == "cancelling"
    other.start()
    bench.clock.advance(seconds)
    await other.until(run, status)
    assert await bench.active_run(thread) is None


async def test_a_run_whose_process_died_expires(bench: Bench):
    thread = await bench.thread()
    run, _ = await bench.held(["Half an ans", Gate()], thread)
    await bench.crash()
    bench.clock.advance(600)
    other = bench.second()
    other.start()
    await other.until(run, "expired")
    assert await bench.said(thread) == ["Hi"]


async def test_cancelling_reaches_the_process_that_works_the_run(bench: Bench):
    run, feed = await bench.held(["Hel", Gate()])
    other = bench.second()
    other.start()
    await other.cancel(run)
    assert check(await told(feed)) == "CQImpcidLnxX."


async def test_what_is_cancelled_before_its_work_begins_asks_no_model(tmp_path, url, clock):
    async with open_bench(tmp_path, url, clock, started=False) as bench:
        run = (await bench.create(await bench.thread())).run
        kind = Runs(bench.context, "me", lambda *_: None)
        work = await kind.claim(run.id, bench.engine.lease_until())
        assert work
        await bench.cancel(run)
        work.cancel()
        await work.run()
        assert (await bench.look(run)).status == "cancelled"
        assert bench.model.requests == []


async def test_a_process_that_lost_its_claim_writes_nothing(bench: Bench):
    gate = Gate()
    thread = await bench.thread()
    run, feed = await bench.held(said("Mine", gate, "!"), thread)
    bench.model.script(said("Another's."))
    other = bench.second()
    await take_away(bench, run.id)
    bench.clock.advance(LEASE)
    other.start()
    await other.until(run, "completed")
    gate.open()
    assert word_of(await told(feed)).replace("dd", "d") == "CQImpcid!."  # it may have heard of its loss
    assert await bench.said(thread) == ["Hi", "Another's."]


async def take_away(bench: Bench, run_id: str) -> None:
    """Have another process claim a run, and die."""

    async def work(transaction):
        sql = "UPDATE runs SET owner = 'another', attempt = attempt + 1 WHERE id = :id"
        await transaction.run(sql, {"id": run_id})

    await bench.context.database.write(work)


async def test_a_lost_claim_ends_the_request_to_the_model(bench: Bench):
    run, feed = await bench.held(["Mine", Gate()])
    await take_away(bench, run.id)
    assert bench.engine._leases
    await bench.engine._leases._renew()
    assert word_of(await told(feed)) == "CQImpcid!."
    assert bench.model.open == 0


async def test_a_process_that_was_held_up_keeps_what_nobody_took(bench: Bench):
    gate = Gate()
    thread = await bench.thread()
    _, feed = await bench.held(said("Mine", gate, "!"), thread)
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
    assert await bench.due() == set()


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


async def test_a_look_that_the_database_refuses_is_made_up_for(tmp_path, url, clock, monkeypatch):
    standing, refused = claims.standing, False

    async def refuse(*given):
        nonlocal refused
        if not refused:
            refused = True
            raise Unavailable("The connection was lost.")
        return await standing(*given)

    async def sweep(transaction):
        await transaction.run("DELETE FROM runs", {})
        await transaction.wake(claims.ABANDONED)

    async with open_bench(tmp_path, url, clock, run_lease=3600) as bench:
        _, feed = await bench.held(["Hel", Gate()])
        monkeypatch.setattr(claims, "standing", refuse)
        await bench.context.database.write(sweep)
        assert check(await told(feed)) == "CQImpcidLnxX."


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
