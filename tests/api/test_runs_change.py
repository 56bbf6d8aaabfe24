"""Retrieving, listing, modifying and cancelling runs, and handing in what functions answered.

Reference: protocol section 5.4.
"""

import itertools
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant
from openai.types.beta.threads import Run

from tests.api.conftest import Model
from tests.support.errors import answered, refusal
from tests.support.upstream import Call, Error, Gate, Say
from threadkeep.runs.model import TERMINAL

USER: Any = {"role": "user", "content": "Hi"}
FUNCTION: Any = {"type": "function", "function": {"name": "f"}}
KEY = "Idempotency-Key"


class Running:
    """A run, and what a test asks of it by its path."""

    def __init__(self, http: httpx.Client, run: Run) -> None:
        self.id, self.thread_id = run.id, run.thread_id
        self.path = f"/v1/threads/{run.thread_id}/runs/{run.id}"
        self._http = http

    def get(self) -> Any:
        return self._http.get(self.path).json()

    def post(self, what: str = "", body: Any = None, key: str = "") -> httpx.Response:
        headers = {KEY: key} if key else {}
        return self._http.post(self.path + what, json=body, headers=headers)

    def submit(self, *outputs: tuple[str, str], key: str = "") -> httpx.Response:
        given = [{"tool_call_id": id, "output": output} for id, output in outputs]
        return self.post("/submit_tool_outputs", {"tool_outputs": given}, key)

    def come_to(self, *statuses: str) -> Any:
        """The run once it has one of these statuses."""
        while (run := self.get())["status"] not in statuses:
            assert run["status"] not in TERMINAL, run
            self._http.get(self.path, headers={"X-Stainless-Poll-Helper": "true"})
        return run


@pytest.fixture
def start(client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model) -> Any:
    """A function that has a run take these turns."""

    def started(*turns: Any) -> Running:
        model.says(*turns)
        thread = client.beta.threads.create(messages=[USER])
        run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, tools=[FUNCTION])
        return Running(http, run)

    return started


@pytest.fixture
def working(start: Any) -> Any:
    """A run in progress, whose model has begun to speak; `gate` lets it go on."""
    gate = Gate()
    run = start(Say("Hel", gate, "lo."))
    gate.wait()
    run.come_to("in_progress")
    run.gate = gate
    yield run
    gate.open()


@pytest.fixture
def asking(start: Any) -> Running:
    """A run that waits for the outputs of two calls."""
    run: Running = start(
        Say(Call("f", '{"a"', ":1}", id="call_a"), Call("f", "{}", id="call_b")), Say("Done.")
    )
    run.come_to("requires_action")
    return run


# ---------------------------------------------------------------- retrieve and list


@pytest.mark.promise("runs.retrieve")
def test_a_finished_run_tells_how_it_went(start: Any) -> None:
    run = start(Say("Hello.", usage=(20, 10))).come_to("completed")
    assert (run["expires_at"], run["failed_at"], run["cancelled_at"]) == (None, None, None)
    assert run["created_at"] <= run["started_at"] <= run["completed_at"]
    assert run["usage"] == {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.promise("runs.not-found")
def test_what_is_not_there_is_not_found(http: httpx.Client, start: Any, places: dict[str, str]) -> None:
    run = start(Say("Hello."))
    for path, noun in [
        ("/v1/threads/thread_x/runs/run_x", "thread found with id 'thread_x'"),
        (f"/v1/threads/{run.thread_id}/runs/run_x", "run found with id 'run_x'"),
        (f"{places['thread']}/runs/{run.id}", f"run found with id '{run.id}'"),
    ]:
        expected = refusal(404, f"No {noun}.")
        assert answered(http.get(path)) == expected
        assert answered(http.post(path, json={})) == expected
        assert answered(http.post(path + "/cancel")) == expected
        assert answered(http.post(path + "/submit_tool_outputs", json={"tool_outputs": []})) == expected
        assert answered(http.get(path + "/steps")) == expected
        assert answered(http.get(path + "/steps/step_x")) == expected
    assert answered(http.get("/v1/threads/thread_x/runs")) == refusal(
        404, "No thread found with id 'thread_x'."
    )
    run.come_to("completed")


@pytest.mark.promise("runs.wrong-prefix")
def test_ids_that_begin_wrongly_are_refused(http: httpx.Client, places: dict[str, str]) -> None:
    answer = http.get(f"{places['thread']}/runs/undefined")
    words = "Invalid 'run_id': 'undefined'. Expected an ID that begins with 'run'."
    assert answered(answer) == refusal(400, words, "run_id", "invalid_value")


@pytest.mark.promise("runs.wrong-prefix")
def test_ids_of_steps_may_begin_as_they_like(http: httpx.Client, start: Any) -> None:
    """As recorded: the service only said that there is none."""
    run = start(Say("Hello."))
    run.come_to("completed")
    answer = http.get(f"{run.path}/steps/undefined")
    assert answered(answer) == refusal(404, "No run step found with id 'undefined'.")


@pytest.mark.promise("runs.list")
def test_runs_are_listed_by_the_rules_of_all_lists(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    runs = f"/v1/threads/{thread.id}/runs"
    assert http.get(runs).json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    made = []
    for _ in range(3):
        model.says(Say("Hello."))
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        made.append(run.id)

    def listed(query: str) -> tuple[list[str], bool]:
        page = http.get(f"{runs}?{query}").json()
        return [one["id"] for one in page["data"]], page["has_more"]

    one, two, three = made
    assert listed("") == ([three, two, one], False)
    assert listed("order=asc") == ([one, two, three], False)
    assert listed("limit=2") == ([three, two], True)
    assert listed(f"limit=2&after={two}") == ([one], False)
    assert listed(f"order=asc&before={three}&limit=1") == ([two], True)
    assert listed(f"order=asc&after={one}&before={three}") == ([two], False)
    assert http.get(runs).json()["data"][0] == http.get(f"{runs}/{three}").json()
    assert answered(http.get(f"{runs}?after=run_x")) == refusal(404, "No run found with id 'run_x'.")


# ---------------------------------------------------------------- modify


@pytest.mark.promise("runs.modify")
def test_metadata_can_be_changed_but_not_in_progress(start: Any, working: Any, asking: Running) -> None:
    words = "Cannot update run with status 'in_progress'."
    assert answered(working.post(body={"metadata": {"a": "b"}})) == refusal(400, words)
    changed = asking.post(body={"metadata": {"a": "b"}}).json()
    assert (changed["status"], changed["metadata"]) == ("requires_action", {"a": "b"})
    asking.submit(("call_a", "1"), ("call_b", "2"))
    done = asking.come_to("completed")
    assert done["metadata"] == {"a": "b"}
    assert asking.post(body={}).json() == done
    changed = asking.post(body={"metadata": {"c": "d"}}).json()
    assert changed == {**done, "metadata": {"c": "d"}} == asking.get()


# ---------------------------------------------------------------- cancel


@pytest.mark.promise("runs.cancel")
def test_a_run_in_progress_is_cancelled(http: httpx.Client, working: Any) -> None:
    answer = working.post("/cancel")
    assert (answer.status_code, answer.json()["status"], answer.json()["cancelled_at"]) == (
        200,
        "cancelling",
        None,
    )
    run = working.come_to("cancelled")
    assert (run["expires_at"], run["completed_at"]) == (None, None)
    assert run["created_at"] <= run["cancelled_at"]
    messages = http.get(f"/v1/threads/{working.thread_id}/messages").json()["data"]
    assert messages[0]["status"] == "incomplete"
    assert messages[0]["incomplete_details"] == {"reason": "run_cancelled"}
    assert messages[0]["content"][0]["text"]["value"] == "Hel"
    assert http.post(f"/v1/threads/{working.thread_id}/messages", json=USER).status_code == 200


@pytest.mark.promise("runs.cancel.requires-action")
@pytest.mark.parametrize("idempotency_key", ["", "k"])
def test_a_run_that_waits_for_outputs_is_cancelled(
    http: httpx.Client, asking: Running, idempotency_key: str
) -> None:
    answer = asking.post("/cancel", key=idempotency_key).json()
    assert (answer["status"], answer["required_action"]) == ("cancelling", None)
    run = asking.come_to("cancelled")
    (step,) = http.get(asking.path + "/steps").json()["data"]
    assert (step["type"], step["status"], step["cancelled_at"]) == (
        "tool_calls",
        "cancelled",
        run["cancelled_at"],
    )
    words = 'Runs in status "cancelled" do not accept tool outputs.'
    assert answered(asking.submit(("call_a", "1"), ("call_b", "2"))) == refusal(400, words)
    assert http.post(f"/v1/threads/{asking.thread_id}/messages", json=USER).status_code == 200


@pytest.mark.promise("runs.cancel.over")
def test_a_run_that_is_over_is_not_cancelled(start: Any) -> None:
    done = start(Say("Hello."))
    done.come_to("completed")
    words = "Cannot cancel run with status 'completed'."
    assert answered(done.post("/cancel")) == refusal(400, words)
    failed = start(Error(400, "No."))
    failed.come_to("failed")
    words = "Cannot cancel run with status 'failed'."
    assert answered(failed.post("/cancel")) == refusal(400, words)


@pytest.mark.promise("runs.cancel.again")
def test_cancelling_twice_is_as_good_as_once(working: Any) -> None:
    first = working.post("/cancel", key="k")
    again = working.post("/cancel", key="k")
    assert first.content == again.content
    working.come_to("cancelled")
    assert working.post("/cancel", key="k").content == first.content
    words = "Cannot cancel run with status 'cancelled'."
    assert answered(working.post("/cancel")) == refusal(400, words)


# ---------------------------------------------------------------- tool outputs


@pytest.mark.promise("runs.required-action")
def test_calls_are_shown_with_the_run(asking: Running) -> None:
    run = asking.get()
    calls = [("call_a", '{"a":1}'), ("call_b", "{}")]
    assert run["required_action"] == {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}
                for id, arguments in calls
            ]
        },
    }
    assert (run["usage"], run["expires_at"] - run["created_at"]) == (None, 600)


@pytest.mark.promise("runs.submit")
def test_outputs_queue_the_run_again(http: httpx.Client, asking: Running, model: Model) -> None:
    before = asking.get()
    answer = asking.submit(("call_b", "two"), ("call_a", "one")).json()
    assert (answer["status"], answer["required_action"]) == ("queued", None)
    assert answer["started_at"] == before["started_at"]
    run = asking.come_to("completed")
    assert run["usage"]["total_tokens"] == 60
    last, first = http.get(asking.path + "/steps").json()["data"]
    assert [call["function"]["output"] for call in first["step_details"]["tool_calls"]] == ["one", "two"]
    assert (first["status"], last["type"]) == ("completed", "message_creation")
    assert first["completed_at"] is not None
    roles = [(one["role"], one.get("tool_call_id"), one.get("content")) for one in model.asked[1]["messages"]]
    assert roles[-2:] == [("tool", "call_a", "one"), ("tool", "call_b", "two")]


@pytest.mark.promise("runs.submit.wrong-ids")
@pytest.mark.parametrize(
    "given",
    [
        ["call_a"],
        ["call_a", "call_a"],
        ["call_a", "call_c"],
        ["call_a", "call_b", "call_b"],
        ["call_a", "call_b", "call_c"],
        [],
    ],
    ids=",".join,
)
def test_each_call_needs_one_output_and_no_other_has_any(asking: Running, given: list[str]) -> None:
    got = ",".join(f"'{id}'" for id in given)
    words = f"Expected tool outputs for call_ids ['call_a','call_b'], got [{got}]"
    assert answered(asking.submit(*((id, "x") for id in given))) == refusal(400, words)
    assert asking.get()["status"] == "requires_action"
    assert asking.submit(("call_a", "1"), ("call_b", "2")).status_code == 200
    asking.come_to("completed")


@pytest.mark.promise("runs.submit.wrong-state")
def test_only_a_run_that_waits_takes_outputs(working: Any, asking: Running) -> None:
    words = 'Runs in status "in_progress" do not accept tool outputs.'
    assert answered(working.submit(("call_a", "1"))) == refusal(400, words)
    asking.submit(("call_a", "1"), ("call_b", "2"))
    asking.come_to("completed")
    words = 'Runs in status "completed" do not accept tool outputs.'
    assert answered(asking.submit(("call_a", "1"), ("call_b", "2"))) == refusal(400, words)


@pytest.mark.promise("runs.submit.idempotent")
def test_outputs_are_taken_once_for_each_idempotency_key(asking: Running, model: Model) -> None:
    outputs = (("call_a", "1"), ("call_b", "2"))
    first = asking.submit(*outputs, key="k")
    asking.come_to("completed")
    again = asking.submit(*outputs, key="k")
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(model.asked) == 2


def test_a_function_may_be_called_again_and_again(start: Any) -> None:
    """Each turn is a step of its own; earlier ones stay as they are."""
    turns = [Say(Call("f", "{}", id=f"call_{number}")) for number in range(3)]
    run = start(*turns, Say("Done."))
    for number in itertools.count():
        if run.come_to("requires_action", "completed")["status"] == "completed":
            break
        run.submit((f"call_{number}", str(number)))
    assert number == 3
