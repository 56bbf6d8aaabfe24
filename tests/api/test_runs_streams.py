"""Streams of runs as requests ask for them. What a run tells is in tests/engine, how it is written in
tests/wire; here is how streams begin, and what a repeated request sees."""

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.masking import masked
from tests.support.upstream import Call, Cut, Error, Gate, Refusal, Say, Turn

USER: Any = {"role": "user", "content": "Hi"}
FUNCTION: Any = {"type": "function", "function": {"name": "f"}}
Events = list[tuple[str, Any]]
PLAIN = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
    "done",
]
ASKING = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.run.step.delta",
    "thread.run.requires_action",
    "done",
]
CANCELLED = [
    "thread.run.cancelling",
    "thread.message.incomplete",
    "thread.run.step.cancelled",
    "thread.run.cancelled",
    "done",
]
ANSWERED = ["thread.run.step.completed", "thread.run.queued", *PLAIN[2:]]


def events_in(text: str) -> Events:
    """Name and data of each event of a stream."""
    parts = [part.split("\n", 1) for part in text.strip().split("\n\n") if not part.startswith(":")]
    found = []
    for name, data in parts:
        payload = data.removeprefix("data: ")
        value = payload if payload == "[DONE]" else json.loads(payload)
        found.append((name.removeprefix("event: "), value))
    return found


def streamed(http: httpx.Client, path: str, body: Any, key: str = "") -> tuple[httpx.Response, Events]:
    """A whole stream."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = http.post(path, json={**body, "stream": True}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return answer, events_in(answer.text)


def joined(events: Events) -> list[str]:
    """The names of events, those of deltas that follow each other once."""
    names = [name for name, _ in events]
    return [
        name
        for number, name in enumerate(names)
        if not (number and name == names[number - 1] and name.endswith(".delta"))
    ]


def lasting(events: Events) -> list[tuple[str, Any]]:
    """All but deltas, which may be cut elsewhere."""
    return [(name, data) for name, data in events if not name.endswith(".delta")]


@pytest.fixture
def thread(client: OpenAI) -> str:
    return client.beta.threads.create(messages=[USER]).id


@pytest.mark.promise("runs.stream.create")
def test_a_stream_begins_with_the_run_as_it_was_made(
    http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    model.says(Say("Hel", "lo."))
    _, events = streamed(http, f"/v1/threads/{thread}/runs", {"assistant_id": assistant.id})
    assert joined(events) == PLAIN
    assert [events[0][1]["status"], events[1][1]["status"]] == ["queued", "queued"]
    assert events[0][1]["id"] == http.get(f"/v1/threads/{thread}/runs").json()["first_id"]


@pytest.mark.promise("runs.stream.create-with-thread")
def test_a_stream_with_a_new_thread_tells_of_that_first(
    http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    model.says(Say("Hello."))
    body = {"assistant_id": assistant.id, "thread": {"messages": [USER], "metadata": {"a": "b"}}}
    _, events = streamed(http, "/v1/threads/runs", body)
    assert joined(events) == ["thread.created", *PLAIN]
    assert events[0][1]["metadata"] == {"a": "b"}
    assert events[0][1]["id"] == events[1][1]["thread_id"]


@pytest.mark.promise("runs.stream.submit")
def test_outputs_are_answered_with_the_rest_of_the_run(
    http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    model.says(Say(Call("f", "{}", id="call_a")), Say("Done."))
    body = {"assistant_id": assistant.id, "tools": [FUNCTION]}
    _, events = streamed(http, f"/v1/threads/{thread}/runs", body)
    assert joined(events) == ASKING
    run = events[0][1]["id"]
    outputs = {"tool_outputs": [{"tool_call_id": "call_a", "output": "x"}]}
    path = f"/v1/threads/{thread}/runs/{run}/submit_tool_outputs"
    _, events = streamed(http, path, outputs)
    assert joined(events) == ANSWERED
    assert events[0][1]["step_details"]["tool_calls"][0]["function"]["output"] == "x"
    assert events[1][1]["status"] == "queued"


@pytest.mark.promise("runs.stream.refused")
def test_what_is_refused_is_answered_as_ever(http: httpx.Client, assistant: Assistant, thread: str) -> None:
    body = {"assistant_id": "asst_x", "stream": True}
    for path in (f"/v1/threads/{thread}/runs", "/v1/threads/runs"):
        answer = http.post(path, json=body)
        assert answered(answer) == refusal(404, "No assistant found with id 'asst_x'.")
    path = f"/v1/threads/{thread}/runs/run_x/submit_tool_outputs"
    answer = http.post(path, json={"tool_outputs": [], "stream": True})
    assert answered(answer) == refusal(404, "No run found with id 'run_x'.")


# ---------------------------------------------------------------- sent again


@pytest.mark.promise("runs.stream.idempotent")
def test_a_repeated_stream_tells_of_the_same_run(
    http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    model.says(Say("Hel", "lo."))
    body = {"assistant_id": assistant.id, "thread": {"messages": [USER]}}
    first, events = streamed(http, "/v1/threads/runs", body, key=model.name)
    again, retold = streamed(http, "/v1/threads/runs", body, key=model.name)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert joined(retold) == joined(events) == ["thread.created", *PLAIN]
    assert lasting(retold) == lasting(events)
    pieces = [data["delta"]["content"][0]["text"] for name, data in retold if name == "thread.message.delta"]
    assert pieces == [{"value": "Hello.", "annotations": []}]
    assert len(model.asked) == 1


@pytest.mark.promise("runs.stream.idempotent")
@pytest.mark.parametrize(
    "turn",
    [
        Say("Hel", "lo.", finish="length"),
        Say("Hel", "lo.", finish="content_filter"),
        Say(Refusal("No."), Refusal(" Never.")),
        Say("Well.", Call("f", '{"a"', ":1}", id="call_a"), Call("f", "{}", id="call_b")),
        Say("Hel", Cut()),
        Say(Call("f", '{"a"', id="call_a"), Cut()),
        Say(),
        Error(400, "No."),
    ],
    ids=["cut off", "filtered", "refused", "calls", "broken off", "broken off in a call", "empty", "failed"],
)
def test_a_repeated_stream_ends_as_the_first_did(
    http: httpx.Client, assistant: Assistant, model: Model, turn: Turn
) -> None:
    model.says(turn, turn, turn, turn, turn)  # what breaks off may be tried again
    body = {"assistant_id": assistant.id, "thread": {"messages": [USER]}, "tools": [FUNCTION]}
    _, events = streamed(http, "/v1/threads/runs", body, key=model.name)
    _, retold = streamed(http, "/v1/threads/runs", body, key=model.name)
    assert joined(retold) == joined(events)
    assert lasting(retold) == lasting(events)


@pytest.mark.promise("runs.stream.idempotent")
def test_a_repeated_stream_of_a_cancelled_run_ends_as_the_first_did(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    model.says(Say("Hel", Gate(), "lo."))
    path, body = f"/v1/threads/{thread}/runs", {"assistant_id": assistant.id, "stream": True}
    headers = {"Idempotency-Key": model.name}
    text = ""
    with http.stream("POST", path, json=body, headers=headers) as stream:
        for line in stream.iter_lines():
            text += line + "\n"
            if line == "event: thread.message.delta":
                run = client.beta.threads.runs.list(thread).data[0]
                client.beta.threads.runs.cancel(run.id, thread_id=thread)
    _, retold = streamed(http, path, body, key=model.name)
    assert joined(retold) == joined(events_in(text)) == PLAIN[:8] + CANCELLED
    assert lasting(retold) == lasting(events_in(text))


@pytest.mark.promise("runs.stream.idempotent")
def test_a_repeated_stream_follows_a_run_to_its_end(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    gate = Gate()
    model.says(Say("Hel", gate, "lo."))
    path, body = f"/v1/threads/{thread}/runs", {"assistant_id": assistant.id, "stream": True}
    headers = {"Idempotency-Key": model.name}
    with http.stream("POST", path, json=body, headers=headers):
        gate.wait()
        with http.stream("POST", path, json=body, headers=headers) as again:
            lines = again.iter_lines()
            seen = [next(lines) for _ in range(7)]
            assert [line for line in seen if line.startswith("event")] == [
                "event: thread.run.created",
                "event: thread.run.queued",
                "event: thread.run.in_progress",
            ]
            gate.open()
            rest = [line.removeprefix("event: ") for line in lines if line.startswith("event")]
        assert rest == PLAIN[3:]
    assert len(client.beta.threads.runs.list(thread).data) == 1


@pytest.mark.promise("runs.stream.idempotent")
def test_outputs_that_are_sent_again_stream_the_same(
    http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    model.says(Say("Well.", Call("f", '{"a":1}', id="call_a")), Say("Done."))
    runs = f"/v1/threads/{thread}/runs"
    body = {"assistant_id": assistant.id, "tools": [FUNCTION]}
    _, asking = streamed(http, runs, body, key=f"{model.name} create")
    path = f"{runs}/{asking[0][1]['id']}/submit_tool_outputs"
    outputs = {"tool_outputs": [{"tool_call_id": "call_a", "output": "x"}]}
    _, events = streamed(http, path, outputs, key=model.name)
    _, retold = streamed(http, path, outputs, key=model.name)
    assert joined(retold) == joined(events) == ANSWERED
    assert masked(lasting(retold)) == masked(lasting(events))
    _, whole = streamed(http, runs, body, key=f"{model.name} create")
    assert [name for name, _ in whole].count("thread.run.step.completed") == 3
    assert [name for name, _ in whole][-2:] == ["thread.run.completed", "done"]
    assert len(model.asked) == 2


@pytest.mark.promise("runs.stream.idempotent")
def test_a_repeated_stream_of_a_deleted_run_ends_cancelled(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, thread: str
) -> None:
    model.says(Say("Hello."))
    path, body = f"/v1/threads/{thread}/runs", {"assistant_id": assistant.id}
    streamed(http, path, body, key=model.name)
    client.beta.threads.delete(thread)
    _, retold = streamed(http, path, body, key=model.name)
    assert [name for name, _ in retold] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.cancelling",
        "thread.run.cancelled",
        "done",
    ]


@pytest.mark.promise("runs.stream.elsewhere")
def test_a_run_that_another_process_works_is_streamed_all_the_same(
    client: OpenAI, http: httpx.Client, house: House, assistant: Assistant, model: Model, monkeypatch: Any
) -> None:
    """A process that takes no more runs leaves the new one to whoever has room."""
    model.says(Say("Hello."))
    monkeypatch.setattr(house.context.runner, "owner", lambda: None)
    body = {"assistant_id": assistant.id, "thread": {"messages": [USER]}}
    _, events = streamed(http, "/v1/threads/runs", body)
    assert joined(events) == ["thread.created", *PLAIN]
