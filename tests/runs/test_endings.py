"""Runs that are ended from outside: cancelled, expired, deleted with their thread."""

import base64
import time

import pytest

from tests.runs.conftest import AT_ONCE
from tests.runs.scene import Scene
from tests.support.upstream import Call, Error, Gate, Say
from tests.support.waiting import SECONDS, until
from threadkeep.runs import progress
from threadkeep.runs import store as runs
from threadkeep.storage.database import Transaction
from threadkeep.threads import store as threads

CANCELLED_MESSAGE = [("message_creation", "cancelled")]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


# ---------------------------------------------------------------- cancelled


@pytest.mark.promise("runs.weather.cancel")
@pytest.mark.usefixtures("rare_looks")
def test_cancelling_stops_the_model_in_the_middle_of_a_word(each: Scene):
    each.says(Say("Half an ", Gate(), "answer"))
    with each.watched() as stream:
        stream.until("d")
        begun = time.monotonic()
        each.cancel(stream.run_id)
        assert stream.rest() == "CQImpcidLnxX."
    assert time.monotonic() - begun < AT_ONCE
    left = each.left(stream.run_id)
    assert (left.status, left.steps) == ("cancelled", CANCELLED_MESSAGE)
    assert (left.messages, left.tokens) == ([("Half an ", "run_cancelled")], (0, 0))
    (asked,) = [one for one in each.upstream.requests if one.model == each.model]
    assert asked.hung_up.wait(SECONDS)


@pytest.mark.promise("runs.weather.cancel")
def test_cancelling_before_the_first_word(each: Scene):
    each.says(Say("Never said", before=Gate()))
    with each.watched() as stream:
        stream.until("I")
        each.cancel(stream.run_id)
        assert stream.rest() == "CQILX."
    left = each.left(stream.run_id)
    assert (left.status, left.steps, left.messages) == ("cancelled", [], [])


@pytest.mark.promise("runs.weather.cancel")
def test_cancelling_in_the_middle_of_a_call(scene: Scene):
    scene.says(Say("One moment.", Call("weather", '{"in":', Gate())))
    with scene.watched() as stream:
        stream.until("D")
        scene.cancel(stream.run_id)
        assert stream.rest() == "CQImpcidkstpDLxX."
    left = scene.left(stream.run_id)
    assert left.steps == [("message_creation", "completed"), ("tool_calls", "cancelled")]
    assert (left.status, left.messages) == ("cancelled", [("One moment.", None)])


@pytest.mark.promise("runs.weather.cancel")
def test_cancelling_what_waits_for_outputs(each: Scene):
    each.says(Say(Call("weather", "{}")))
    run, _ = each.whole()
    outputs = each.outputs(run, "sunny")
    each.cancel(run)
    left = each.left(run)
    assert (left.status, left.steps) == ("cancelled", [("tool_calls", "cancelled")])
    assert left.tokens == (20, 10)
    answer = each.http.post(f"{each.runs}/{run}/submit_tool_outputs", json={"tool_outputs": outputs})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == 'Runs in status "cancelled" do not accept tool outputs.'


@pytest.mark.promise("runs.weather.cancel")
def test_cancelling_after_outputs_keeps_what_was_completed(each: Scene):
    each.says(Say(Call("weather", "{}")), Say("It ", Gate(), "is"))
    run, _ = each.whole()
    with each.answered(run, "sunny") as stream:
        stream.until("d")
        each.cancel(run)
        assert stream.rest() == "sQImpcidLnxX."
    left = each.left(run)
    assert left.steps == [("tool_calls", "completed"), *CANCELLED_MESSAGE]
    assert (left.messages, left.tokens) == ([("It ", "run_cancelled")], (20, 10))


@pytest.mark.promise("runs.weather.cancel")
@pytest.mark.usefixtures("rare_looks")
def test_cancelling_does_not_wait_until_the_upstream_may_be_asked_again(scene: Scene):
    scene.says(Error(429, headers={"retry-after": "300"}))
    with scene.watched() as stream:
        stream.until("I")
        until(lambda: scene.asked)
        begun = time.monotonic()
        scene.cancel(stream.run_id)
        assert stream.rest() == "CQILX."
    assert time.monotonic() - begun < AT_ONCE
    assert scene.left(stream.run_id).status == "cancelled"


# ---------------------------------------------------------------- expired


@pytest.mark.promise("runs.weather.expiry")
def test_a_run_expires_in_the_middle_of_a_word(each: Scene):
    each.says(Say("Half an ", Gate(), "answer"))
    with each.watched() as stream:
        stream.until("d")
        each.house.pass_time(600)
        assert stream.rest() == "CQImpcidneE."
    left = each.left(stream.run_id)
    assert (left.status, left.steps) == ("expired", [("message_creation", "expired")])
    assert (left.messages, left.tokens) == ([("Half an ", "run_expired")], (0, 0))


@pytest.mark.promise("runs.weather.expiry")
def test_a_run_expires_while_the_upstream_has_no_time(scene: Scene):
    scene.says(Error(429, headers={"retry-after": "500"}))
    with scene.watched() as stream:
        stream.until("I")
        until(lambda: scene.asked)
        scene.house.pass_time(600)
        assert stream.rest() == "CQIE."
    assert scene.left(stream.run_id).status == "expired"


@pytest.mark.promise("runs.weather.expiry")
def test_a_run_expires_while_it_waits_for_outputs(each: Scene):
    each.says(Say(Call("weather", "{}")))
    run, _ = each.whole()
    each.house.pass_time(599)
    assert each.now(run) == "requires_action"
    each.house.pass_time(1)
    left = each.left(run)
    assert (left.status, left.steps) == ("expired", [("tool_calls", "expired")])
    assert left.tokens == (20, 10)


@pytest.mark.promise("runs.weather.expiry")
def test_outputs_do_not_prolong_a_run(each: Scene):
    each.says(Say(Call("weather", "{}")), Say("It ", Gate(), "is"))
    run, _ = each.whole()
    each.house.pass_time(599)
    with each.answered(run, "sunny") as stream:
        stream.until("d")
        each.house.pass_time(1)
        assert stream.rest() == "sQImpcidneE."
    left = each.left(run)
    assert left.steps == [("tool_calls", "completed"), ("message_creation", "expired")]
    assert (left.messages, left.tokens) == ([("It ", "run_expired")], (20, 10))


# ---------------------------------------------------------------- what is deleted meanwhile


@pytest.mark.promise("runs.weather.deletions")
def test_a_run_does_not_need_its_assistant_any_more(each: Scene):
    each.says(Say("One ", gate := Gate(), Call("weather", "{}")), Say("Sunny."))
    with each.watched() as stream:
        stream.until("d")
        assert each.http.delete(f"/v1/assistants/{each.assistant}").status_code == 200
        gate.open()
        assert stream.rest() == "CQImpcidkstpDA."
    with each.answered(stream.run_id, "sunny") as rest:
        assert rest.rest() == "sQImpcidksK."
    left = each.left(stream.run_id)
    assert (left.status, left.messages) == ("completed", [("One ", None), ("Sunny.", None)])


@pytest.mark.promise("runs.weather.deletions")
def test_an_image_that_is_deleted_during_a_run_is_mentioned(each: Scene):
    each.says(Say(Call("weather", "{}")), Say("I cannot see it any more."))
    file = each.http.post("/v1/files", data={"purpose": "vision"}, files={"file": ("a.png", PIXEL)}).json()[
        "id"
    ]
    shows = [{"type": "image_file", "image_file": {"file_id": file}}]
    run, _ = each.whole(additional_messages=[{"role": "user", "content": shows}])
    assert each.http.delete(f"/v1/files/{file}").status_code == 200
    with each.answered(run, "sunny") as stream:
        assert stream.rest() == "sQImpcidksK."
    assert each.left(run).status == "completed"
    first, second = (one["messages"][1]["content"] for one in each.asked)
    assert first[0]["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    assert second == f"[image {file}: not available]" or second[0]["text"] == f"[image {file}: not available]"


@pytest.mark.promise("runs.weather.deletions")
def test_a_thread_that_is_deleted_takes_its_run_with_it(each: Scene):
    each.says(Say("Half an ", Gate(), "answer"))
    with each.watched() as stream:
        stream.until("d")
        assert each.http.delete(f"/v1/threads/{each.thread}").status_code == 200
        assert stream.rest() == "CQImpcidLnxX."
    assert_gone(each, stream.run_id)


@pytest.mark.promise("runs.weather.deletions")
@pytest.mark.usefixtures("rare_looks")
def test_a_run_whose_row_is_gone_before_its_process_has_looked(each: Scene):
    """The sweep that follows a deletion may be that quick."""
    each.says(Say("Half an ", Gate(), "answer"))

    async def delete(transaction: Transaction) -> None:
        row = await transaction.one("SELECT project_id FROM threads WHERE id = :id", {"id": each.thread})
        assert row
        await progress.abandon(transaction, row[0], each.thread, int(each.house.clock()))
        await threads.delete(transaction, row[0], each.thread)
        await runs.delete_some(transaction, each.thread, 10)

    with each.watched() as stream:
        stream.until("d")
        begun = time.monotonic()
        each.house.call(lambda: each.house.context.database.write(delete))
        assert stream.rest() == "CQImpcidLnxX."
    assert time.monotonic() - begun < AT_ONCE
    assert_gone(each, stream.run_id)


@pytest.mark.promise("runs.weather.deletions")
def test_a_thread_whose_run_waits_for_outputs_can_be_deleted(each: Scene):
    each.says(Say(Call("weather", "{}")))
    run, _ = each.whole()
    outputs = each.outputs(run, "sunny")
    assert each.http.delete(f"/v1/threads/{each.thread}").status_code == 200
    assert_gone(each, run)
    answer = each.http.post(f"{each.runs}/{run}/submit_tool_outputs", json={"tool_outputs": outputs})
    assert answer.status_code == 404


def assert_gone(scene: Scene, run: str) -> None:
    thread = f"/v1/threads/{scene.thread}"
    for path in (
        thread,
        f"{thread}/messages",
        scene.runs,
        f"{scene.runs}/{run}",
        f"{scene.runs}/{run}/steps",
    ):
        answer = scene.http.get(path)
        assert (answer.status_code, path) == (404, path)
        assert answer.json()["error"]["message"] == f"No thread found with id '{scene.thread}'."
