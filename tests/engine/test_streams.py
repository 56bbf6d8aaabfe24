"""What a run tells those who watch it: the orders of events of protocol section 7, on each database."""

import asyncio

import pytest

from tests.engine.bench import WEATHER, Bench, told
from tests.support.event_order import check
from tests.support.scripted import USAGE, Gate, said
from threadkeep.assistants.model import CodeInterpreterTool
from threadkeep.engine.events import TextDelta
from threadkeep.errors import NotFound
from threadkeep.messages.model import Message, RefusalPart
from threadkeep.providers.base import Call, Finish, ModelFailure, Refusal, Text, Used
from threadkeep.runs.model import LastError, Run, Usage

pytestmark = pytest.mark.anyio


def why(cut_off: Message | Run) -> str | None:
    """The reason for which a message or a run is incomplete."""
    return cut_off.incomplete_details.reason if cut_off.incomplete_details else None


async def test_a_plain_answer(bench: Bench):
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    events = await told(feed)
    assert check(events).replace("d", "") == "CQImpciksK."
    last = events[-2][1]
    assert last["usage"]["total_tokens"] == USAGE.total_tokens
    assert await bench.said(thread) == ["Hi", "Hello."]
    assert (await bench.look(run)).status == "completed"
    assert await bench.active_run(thread) is None


async def test_an_answer_of_calls_and_what_follows_their_outputs(bench: Bench):
    first = [Call(0, "", "call_a", "weather"), Call(0, '{"in":'), Call(0, '"Rome"}')]
    bench.model.script(said(*first, Call(1, "{}", "call_b", "weather")), said("It rains."))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    events = await told(feed)
    assert check(events).replace("D", "") == "CQItpA."
    run = await bench.until(run, "requires_action")
    assert run.required_action
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [(one.id, one.function.arguments) for one in calls] == [
        ("call_a", '{"in":"Rome"}'),
        ("call_b", "{}"),
    ]
    assert run.usage is None
    run, feed = await bench.submit(run, call_a="rain", call_b="sun")
    events = await told(feed)
    assert check(events).replace("d", "") == "sQImpciksK."
    steps = await bench.steps(run)
    assert [step.type for step in steps] == ["tool_calls", "message_creation"]
    run = await bench.look(run)
    assert run.usage == USAGE + USAGE


async def test_a_message_before_the_calls(bench: Bench):
    bench.model.script(said("Let me ", "look.", Call(0, "{}", "call_a", "weather")))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    assert check(await told(feed)).replace("d", "").replace("D", "") == "CQImpcikstpA."
    assert await bench.said(thread) == ["Hi", "Let me look."]
    steps = await bench.steps(run)
    assert [(step.type, step.status, step.usage) for step in steps] == [
        ("message_creation", "completed", Usage()),
        ("tool_calls", "in_progress", USAGE),
    ]


async def test_words_between_and_after_calls(bench: Bench):
    first, second = Call(0, "{}", "call_a", "weather"), Call(1, "{}", "call_b", "weather")
    bench.model.script(said("One.", first, "Two.", second, "Three."))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    assert check(await told(feed)).replace("d", "") == "CQImpcikstpDDmpciksDDmpciksA."
    assert await bench.said(thread) == ["Hi", "One.", "Two.", "Three."]
    run, feed = await bench.submit(run, call_a="1", call_b="2")
    check(await told(feed))
    await bench.until(run, "completed")


async def test_calls_that_lack_ids_or_share_one(bench: Bench):
    without = Call(0, "{}", None, "weather")
    same = [Call(1, "not JSON", "same", "weather"), Call(2, "", "same", "weather")]
    bench.model.script(said(without, *same))
    run, feed = await bench.run(await bench.thread(), tools=[WEATHER])
    check(await told(feed))
    run = await bench.until(run, "requires_action")
    assert run.required_action
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert calls[0].id.startswith("call_")
    assert len(calls[0].id) == 29
    assert len({call.id for call in calls}) == 3
    assert [call.function.arguments for call in calls] == ["{}", "not JSON", ""]


async def test_calls_after_which_the_model_says_stop(bench: Bench):
    bench.model.script([Call(0, "{}", "call_a", "weather"), Finish("stop")])
    _run, feed = await bench.run(await bench.thread(), tools=[WEATHER])
    assert check(await told(feed)) == "CQItpDDA."


async def test_an_empty_answer_is_a_message_without_a_word(bench: Bench):
    bench.model.script(said())
    thread = await bench.thread()
    _run, feed = await bench.run(thread)
    assert check(await told(feed)) == "CQImpciksK."
    assert await bench.said(thread) == ["Hi", ""]


async def test_a_refusal_is_a_part_of_its_own(bench: Bench):
    bench.model.script(said("Well. ", Refusal("I can"), Refusal("not.")))
    thread = await bench.thread()
    _run, feed = await bench.run(thread)
    check(await told(feed))
    message = (await bench.messages(thread))[-1]
    assert message.content[-1] == RefusalPart("I cannot.")
    assert len(message.content) == 2


# ------------------------------------------------------------------ cut off


async def test_an_answer_that_is_too_long(bench: Bench):
    bench.model.script(["Once upon", [Finish("length"), Used(USAGE)]])
    thread = await bench.thread()
    run, feed = await bench.run(thread, max_completion_tokens=10)
    events = await told(feed)
    assert check(events).replace("d", "") == "CQImpcinsN."
    assert events[-2][1]["incomplete_details"] == {"reason": "max_completion_tokens"}
    message = (await bench.messages(thread))[-1]
    assert (message.status, why(message)) == ("incomplete", "max_tokens")
    assert message.incomplete_at
    assert bench.model.requests[0].max_completion_tokens == 10
    run = await bench.look(run)
    assert (run.completed_at is not None, run.usage) == (True, USAGE)


async def test_a_cap_counts_over_the_whole_run(bench: Bench):
    bench.model.script(said(Call(0, "{}", "call_a", "weather")))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER], max_completion_tokens=10)
    await told(feed)
    run, feed = await bench.submit(run, call_a="rain")
    assert check(await told(feed)) == "sQIN."
    assert len(bench.model.requests) == 1
    run = await bench.look(run)
    assert (why(run), run.usage) == ("max_completion_tokens", USAGE)


async def test_a_prompt_for_which_there_is_no_room(bench: Bench):
    thread = await bench.thread("word " * 1000)
    run, feed = await bench.run(thread, max_prompt_tokens=100)
    assert check(await told(feed)) == "CQIN."
    assert why(await bench.look(run)) == "max_prompt_tokens"


async def test_an_answer_that_the_content_filter_stops(bench: Bench):
    bench.model.script(["How to", [Finish("content_filter"), Used(USAGE)]])
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    assert check(await told(feed)).replace("d", "") == "CQImpcinsN."
    assert why((await bench.messages(thread))[-1]) == "content_filter"
    assert (await bench.look(run)).incomplete_details is None


# ------------------------------------------------------------------ failures


async def test_a_model_that_fails_before_it_says_anything(bench: Bench):
    bench.model.script([ModelFailure("rate_limit_exceeded", "Too many.")])
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    assert check(await told(feed)) == "CQIF."
    run = await bench.look(run)
    assert (run.last_error, run.usage) == (LastError("rate_limit_exceeded", "Too many."), Usage())
    assert (run.failed_at is not None, run.completed_at) == (True, None)
    assert await bench.active_run(thread) is None


async def test_a_model_that_fails_in_the_middle(bench: Bench):
    bench.model.script(["Hel", ModelFailure("server_error", "It broke.")])
    thread = await bench.thread()
    _run, feed = await bench.run(thread)
    events = await told(feed)
    assert check(events) == "CQImpcidnfF."
    assert events[-3][1]["last_error"] == {"code": "server_error", "message": "It broke."}
    message = (await bench.messages(thread))[-1]
    assert (message.status, why(message)) == ("incomplete", "run_failed")


async def test_a_model_that_fails_among_its_calls(bench: Bench):
    broken = ModelFailure("server_error", "It broke.")
    bench.model.script(["Well.", Call(0, '{"in', "call_a", "weather"), broken])
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    assert check(await told(feed)) == "CQImpcidkstpDDfF."
    assert [step.status for step in await bench.steps(run)] == ["completed", "failed"]


async def test_an_answer_without_an_end(bench: Bench):
    bench.model.script(["Hel"])
    _run, feed = await bench.run(await bench.thread())
    assert check(await told(feed)) == "CQImpcidnfF."


async def test_a_model_that_nobody_has(bench: Bench):
    bench.model.missing = ModelFailure("server_error", "No provider has it.")
    _run, feed = await bench.run(await bench.thread())
    assert check(await told(feed)) == "CQIF."


async def test_a_tool_that_is_not_offered(bench: Bench):
    run, feed = await bench.run(await bench.thread(), tools=[WEATHER, CodeInterpreterTool()])
    assert check(await told(feed)) == "CQIF."
    run = await bench.look(run)
    assert run.last_error
    assert "'code_interpreter'" in run.last_error.message
    assert bench.model.requests == []
    run, feed = await bench.run(await bench.thread(), tools=[CodeInterpreterTool()], tool_choice="none")
    check(await told(feed))
    await bench.until(run, "completed")


@pytest.mark.parametrize("fault", [ValueError("a fault"), NotFound("file", "file-x")])
async def test_a_fault_of_our_own_ends_the_run(bench: Bench, caplog, fault):
    bench.model.script(["Hel", fault])
    thread = await bench.thread()
    run, feed = await bench.run(thread)
    assert check(await told(feed)) == "CQImpcidnfF."
    assert (await bench.look(run)).last_error == LastError("server_error", "Sorry, something went wrong.")
    assert "event=run_broken" in caplog.text
    assert await bench.active_run(thread) is None


async def test_what_cannot_be_written_does_not_keep_a_run_from_its_end(bench: Bench, caplog):
    bench.model.script(said("half a \ud83d"))
    thread = await bench.thread()
    run = (await bench.run(thread))[0]
    run = await bench.until(run, "failed")
    assert run.last_error == LastError("server_error", "Sorry, something went wrong.")
    assert await bench.said(thread) == ["Hi"]


# ------------------------------------------------------------------ cancelled and expired


async def test_cancelling_in_the_middle_of_a_message(bench: Bench):
    thread = await bench.thread()
    run, feed = await bench.held(["Hel", Gate()], thread)
    assert (await bench.cancel(run)).status == "cancelling"
    assert check(await told(feed)) == "CQImpcidLnxX."
    assert bench.model.open == 0
    message = (await bench.messages(thread))[-1]
    assert (message.status, why(message)) == ("incomplete", "run_cancelled")
    run = await bench.look(run)
    assert (run.status, run.cancelled_at is not None) == ("cancelled", True)
    assert await bench.active_run(thread) is None


async def test_cancelling_among_calls(bench: Bench):
    run, feed = await bench.held([Call(0, '{"in', "call_a", "weather"), Gate()], tools=[WEATHER])
    await bench.cancel(run)
    assert check(await told(feed)) == "CQItpDDLxX."


async def test_cancelling_before_a_word(bench: Bench):
    run, feed = await bench.held([Gate()])
    await bench.cancel(run)
    assert check(await told(feed)) == "CQILX."


async def test_cancelling_what_waits_for_its_client(bench: Bench):
    bench.model.script(said(Call(0, "{}", "call_a", "weather")))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    await told(feed)
    await bench.cancel(run)
    run = await bench.until(run, "cancelled")
    assert [step.status for step in await bench.steps(run)] == ["cancelled"]
    assert (run.required_action, run.usage) == (None, USAGE)
    assert await bench.active_run(thread) is None


async def test_deleting_the_thread_cancels(bench: Bench):
    thread = await bench.thread()
    _run, feed = await bench.held(["Hel", Gate()], thread)
    await bench.delete(thread)
    assert check(await told(feed)) == "CQImpcidLnxX."
    assert bench.model.open == 0


async def test_a_run_that_is_gone_was_cancelled(bench: Bench):
    gate = Gate()
    thread = await bench.thread()
    run, feed = await bench.held(["Hel", gate], thread)

    async def sweep(transaction):
        await transaction.run("DELETE FROM runs WHERE id = :id", {"id": run.id})

    await bench.context.database.write(sweep)
    gate.open()
    assert check(await told(feed)) == "CQImpcidLnxX."


async def test_a_run_expires_while_it_is_worked(bench: Bench):
    thread = await bench.thread()
    run, feed = await bench.held(["Hel", Gate()], thread)
    bench.clock.advance(600)
    assert check(await told(feed)) == "CQImpcidneE."
    run = await bench.look(run)
    assert (run.status, run.expires_at, run.completed_at is not None) == ("expired", None, True)
    message = (await bench.messages(thread))[-1]
    assert (message.status, why(message)) == ("incomplete", "run_expired")
    assert await bench.active_run(thread) is None


async def test_a_run_expires_while_it_waits_for_its_client(bench: Bench):
    bench.model.script(said(Call(0, "{}", "call_a", "weather")))
    thread = await bench.thread()
    run, feed = await bench.run(thread, tools=[WEATHER])
    await told(feed)
    bench.clock.advance(600)
    run = await bench.until(run, "expired")
    assert [step.status for step in await bench.steps(run)] == ["expired"]
    assert await bench.active_run(thread) is None


# ------------------------------------------------------------------ readers


async def test_a_reader_that_goes_away_does_not_stop_the_run(bench: Bench):
    gate = Gate()
    thread = await bench.thread()
    run, feed = await bench.held(said("Hel", gate, "lo"), thread)
    feed.close()
    gate.open()
    await bench.until(run, "completed")
    assert await bench.said(thread) == ["Hi", "Hello"]


async def test_what_is_told_is_written(bench: Bench):
    """Whoever hears that a run is over finds it so."""
    thread = await bench.thread()
    for _ in range(20):
        run, feed = await bench.run(thread)
        async for batch in feed.batches():
            if any(getattr(event, "name", "") == "completed" for event in batch):
                assert (await bench.look(run)).status == "completed"
    assert len(await bench.said(thread)) == 21


async def test_pieces_that_arrive_together_are_told_together(bench: Bench):
    gate = Gate()
    _, feed = await bench.held(said("a", gate, [Text("b"), Text("c"), Text("d")]))
    await anext(feed.batches())
    gate.open()
    pieces = [event for event in await anext(feed.batches()) if isinstance(event, TextDelta)]
    assert "".join(piece.value for piece in pieces) == "bcd"


async def test_many_runs_at_once(bench: Bench):
    threads = [await bench.thread(f"{number}") for number in range(30)]
    runs = await asyncio.gather(*(bench.run(thread) for thread in threads))
    words = [check(await told(feed)) for _, feed in runs]
    assert len(words) == 30
    assert {await bench.active_run(thread) for thread in threads} == {None}
