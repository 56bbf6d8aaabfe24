"""Steps of runs. Reference: protocol section 6."""

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.errors import answered, refusal
from tests.support.masking import masked
from tests.support.upstream import Call, Gate, Say

CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
FUNCTION: Any = {"type": "function", "function": {"name": "f"}}
USAGE: Any = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_token_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
STEP: dict[str, Any] = {
    "id": "step_*",
    "object": "thread.run.step",
    "created_at": "now",
    "run_id": "run_*",
    "assistant_id": "asst_*",
    "thread_id": "thread_*",
    "type": "message_creation",
    "status": "completed",
    "cancelled_at": None,
    "completed_at": "now",
    "expires_at": None,
    "expired_at": None,
    "failed_at": None,
    "last_error": None,
    "step_details": {"type": "message_creation", "message_creation": {"message_id": "msg_*"}},
    "usage": USAGE,
    "metadata": {},
}
"""A completed step that made a message, in the order of the wire."""


@pytest.fixture
def run(client: OpenAI, assistant: Assistant, model: Model) -> str:
    """The path of a run that has called a function twice and said something."""
    model.says(Say(Call("f", '{"a":1}', id="call_a")), Say(Call("f", "{}", id="call_b")), Say("Done."))
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    runs = client.beta.threads.runs
    one = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, tools=[FUNCTION])
    for call in ("call_a", "call_b"):
        outputs: Any = [{"tool_call_id": call, "output": f"of {call}"}]
        one = runs.submit_tool_outputs_and_poll(run_id=one.id, thread_id=thread.id, tool_outputs=outputs)
    assert one.status == "completed"
    return f"/v1/threads/{thread.id}/runs/{one.id}"


@pytest.mark.promise("steps.objects")
def test_steps_tell_what_a_run_did(http: httpx.Client, run: str) -> None:
    said, second, first = http.get(f"{run}/steps").json()["data"]
    assert json.dumps(masked(said)) == json.dumps(STEP)
    call = {"name": "f", "arguments": '{"a":1}', "output": "of call_a"}
    details = {
        "type": "tool_calls",
        "tool_calls": [{"type": "function", "id": "call_a", "function": call}],
    }
    assert masked(first) == {**STEP, "type": "tool_calls", "step_details": details}
    assert second["step_details"]["tool_calls"][0]["id"] == "call_b"
    for step in (said, second, first):
        assert http.get(f"{run}/steps/{step['id']}").json() == step


@pytest.mark.promise("steps.list")
def test_steps_are_listed_by_the_rules_of_all_lists(http: httpx.Client, run: str) -> None:
    def listed(query: str) -> tuple[list[str], bool]:
        page = http.get(f"{run}/steps?{query}").json()
        return [one["id"] for one in page["data"]], page["has_more"]

    (one, two, three), more = listed("order=asc")
    assert not more
    assert listed("") == ([three, two, one], False)
    assert listed("limit=2") == ([three, two], True)
    assert listed(f"limit=2&after={two}") == ([one], False)
    assert listed(f"order=asc&after={one}&limit=1") == ([two], True)
    assert listed(f"order=asc&before={three}&limit=1") == ([two], True)
    assert answered(http.get(f"{run}/steps?after=step_x")) == refusal(
        404, "No run step found with id 'step_x'."
    )
    assert answered(http.get(f"{run}/steps/step_x")) == refusal(404, "No run step found with id 'step_x'.")


@pytest.mark.promise("steps.open")
def test_a_step_of_calls_is_open_until_they_are_answered(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    gate = Gate()
    model.says(Say(Call("f", "{}", id="call_a")), Say("Done.", before=gate))
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    runs = client.beta.threads.runs
    one = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, tools=[FUNCTION])
    steps = f"/v1/threads/{thread.id}/runs/{one.id}/steps"
    (step,) = http.get(steps).json()["data"]
    assert (step["status"], step["completed_at"], step["expires_at"]) == (
        "in_progress",
        None,
        one.expires_at,
    )
    assert step["step_details"]["tool_calls"][0]["function"]["output"] is None
    assert (step["status"], step["usage"]) == ("in_progress", None)
    outputs: Any = [{"tool_call_id": "call_a", "output": "x"}]
    runs.submit_tool_outputs(one.id, thread_id=thread.id, tool_outputs=outputs)
    (step,) = http.get(steps).json()["data"]
    assert (step["status"], step["expires_at"]) == ("completed", None)
    assert step["step_details"]["tool_calls"][0]["function"]["output"] == "x"
    gate.open()
    assert runs.poll(one.id, thread_id=thread.id).status == "completed"


@pytest.mark.promise("steps.include")
def test_include_takes_the_one_value_that_there_is(http: httpx.Client, run: str) -> None:
    step = http.get(f"{run}/steps").json()["data"][0]
    for path in (f"{run}/steps", f"{run}/steps/{step['id']}"):
        plain = http.get(path)
        for name in ("include[]", "include"):
            assert http.get(path, params={name: CONTENT}).content == plain.content
        answer = http.get(path, params={"include[]": [CONTENT, "everything"]})
        words = f"Invalid value: 'everything'. Value must be '{CONTENT}'."
        assert answered(answer) == refusal(400, words, "include[1]", "invalid_value")


@pytest.mark.promise("steps.include")
def test_a_run_is_refused_for_a_wrong_include(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    runs, body = f"/v1/threads/{thread.id}/runs", {"assistant_id": assistant.id}
    answer = http.post(runs, params={"include[]": "x"}, json=body)
    words = f"Invalid value: 'x'. Value must be '{CONTENT}'."
    assert answered(answer) == refusal(400, words, "include[0]", "invalid_value")
    model.says(Say("Hello."))
    run = http.post(runs, params={"include[]": CONTENT}, json=body).json()
    assert client.beta.threads.runs.poll(run["id"], thread_id=thread.id).status == "completed"
