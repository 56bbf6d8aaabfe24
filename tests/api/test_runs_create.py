"""Creating runs, v2 and v1. Reference: protocol sections 5.1, 5.2 and 12.10."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.masking import masked
from tests.support.plain import plain
from tests.support.upstream import Gate, Say, Upstream
from tests.support.waiting import until

USER: Any = {"role": "user", "content": "Hi"}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city.", "parameters": {"type": "object"}},
}
WEATHER_AS_SHOWN: Any = {"type": "function", "function": {**WEATHER["function"], "strict": False}}
RUN: dict[str, Any] = {
    "id": "run_*",
    "object": "thread.run",
    "created_at": "now",
    "assistant_id": "asst_*",
    "thread_id": "thread_*",
    "status": "queued",
    "started_at": None,
    "expires_at": 600,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "required_action": None,
    "last_error": None,
    "model": "...",
    "instructions": "Be brief.",
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "reasoning_effort": None,
    "max_completion_tokens": None,
    "max_prompt_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "incomplete_details": None,
    "usage": None,
    "response_format": "auto",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}
"""A new run, in the order of the wire; `expires_at` is shown as seconds from its making."""


OPTIONAL = (
    "additional_instructions",
    "additional_messages",
    "instructions",
    "max_completion_tokens",
    "max_prompt_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "truncation_strategy",
)


def shown(run: Any) -> dict[str, Any]:
    """A run with ids, times and the model's name masked."""
    seen: dict[str, Any] = masked(run)
    return {**seen, "expires_at": run["expires_at"] - run["created_at"], "model": "..."}


@pytest.fixture
def held(model: Model) -> Gate:
    """What keeps the test's next run in progress."""
    gate = Gate()
    model.says(Say("Hello.", before=gate))
    return gate


def texts(client: OpenAI, thread_id: str) -> list[tuple[str, str]]:
    """Role and text of every message, oldest first."""
    listed = client.beta.threads.messages.list(thread_id, order="asc")
    return [(one.role, part.text.value) for one in listed for part in one.content if part.type == "text"]


def ended(client: OpenAI, thread_id: str, run_id: str) -> Any:
    """The run once it is over."""
    return client.beta.threads.runs.poll(run_id, thread_id=thread_id)


# ---------------------------------------------------------------- on a thread


@pytest.mark.promise("runs.create.defaults")
def test_a_new_run_has_the_assistants_values_and_the_services_defaults(
    client: OpenAI, http: httpx.Client, assistant: Assistant, held: Gate
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    answer = http.post(f"/v1/threads/{thread.id}/runs", json={"assistant_id": assistant.id})
    assert json.dumps(shown(answer.json())) == json.dumps(RUN)
    held.open()


@pytest.mark.promise("runs.create.overrides")
def test_a_run_may_override_what_its_assistant_has(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, upstream: Upstream
) -> None:
    other = "other " + model.name
    upstream.script(Say("Hello."), model=other)
    thread = client.beta.threads.create(messages=[USER])
    given = {
        "model": other,
        "instructions": "Be long.",
        "tools": [WEATHER],
        "metadata": {"a": "b"},
        "temperature": 0.2,
        "top_p": 0.5,
        "reasoning_effort": "low",
        "max_prompt_tokens": 1000,
        "max_completion_tokens": 300,
        "truncation_strategy": {"type": "last_messages", "last_messages": 3},
        "response_format": {"type": "json_object"},
        "tool_choice": "none",
        "parallel_tool_calls": False,
    }
    answer = http.post(f"/v1/threads/{thread.id}/runs", json={"assistant_id": assistant.id, **given}).json()
    expected = {**RUN, **given, "model": "...", "tools": [WEATHER_AS_SHOWN]}
    assert shown(answer) == expected
    assert answer["model"] == other
    again = client.beta.assistants.retrieve(assistant.id)
    assert (again.model, again.instructions, again.tools) == (model.name, "Be brief.", [])


@pytest.mark.promise("runs.create.null-means-the-assistants")
def test_null_stands_for_the_assistants_value(
    client: OpenAI, http: httpx.Client, model: Model, held: Gate
) -> None:
    assistant = client.beta.assistants.create(
        model=model.name,
        instructions="Be brief.",
        tools=[WEATHER],
        temperature=0.3,
        top_p=0.4,
        response_format={"type": "json_object"},
        reasoning_effort="high",
    )
    thread = client.beta.threads.create(messages=[USER])
    body = {"assistant_id": assistant.id, **dict.fromkeys(OPTIONAL)}
    answer = http.post(f"/v1/threads/{thread.id}/runs", json=body).json()
    assert shown(answer) == {
        **RUN,
        "tools": [WEATHER_AS_SHOWN],
        "temperature": 0.3,
        "top_p": 0.4,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "high",
    }
    held.open()


@pytest.mark.promise("runs.create.additional-instructions")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"additional_instructions": "Rhyme."}, "Be brief.\nRhyme."),
        ({"instructions": "Be long.", "additional_instructions": "Rhyme."}, "Be long.\nRhyme."),
        ({"instructions": "", "additional_instructions": "Rhyme."}, "Rhyme."),
        ({"instructions": ""}, ""),
    ],
)
def test_additional_instructions_are_appended(
    client: OpenAI, assistant: Assistant, held: Gate, given: Any, expected: str
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, **given)
    assert run.instructions == expected
    held.open()


@pytest.mark.promise("runs.create.additional-messages")
def test_additional_messages_join_the_thread_before_the_run_reads_it(
    client: OpenAI, assistant: Assistant, model: Model, held: Gate
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    more: Any = [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go on."}]
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, additional_messages=more)
    assert texts(client, thread.id) == [("user", "Hi"), ("assistant", "Yes?"), ("user", "Go on.")]
    held.open()
    assert ended(client, thread.id, run.id).status == "completed"
    assert [one["role"] for one in model.asked[0]["messages"]] == ["system", "user", "assistant", "user"]
    assert texts(client, thread.id)[-1] == ("assistant", "Hello.")


@pytest.mark.promise("runs.create.additional-messages")
def test_additional_messages_bring_their_files(client: OpenAI, assistant: Assistant, held: Gate) -> None:
    file = client.files.create(file=("a.txt", b"x"), purpose="assistants")
    thread = client.beta.threads.create()
    message: Any = {
        **USER,
        "attachments": [{"file_id": file.id, "tools": [{"type": "code_interpreter"}]}],
    }
    client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, additional_messages=[message])
    resources = client.beta.threads.retrieve(thread.id).to_dict()["tool_resources"]
    assert resources == {"code_interpreter": {"file_ids": [file.id]}}
    held.open()


# ---------------------------------------------------------------- what is refused, wholly


@pytest.mark.promise("runs.create.one-at-a-time")
def test_a_thread_has_one_run_at_a_time(
    client: OpenAI, http: httpx.Client, assistant: Assistant, held: Gate
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    body = {"assistant_id": assistant.id, "additional_messages": [USER]}
    answer = http.post(f"/v1/threads/{thread.id}/runs", json=body)
    assert answered(answer) == refusal(400, f"Thread {thread.id} already has an active run {run.id}.")
    answer = http.post(f"/v1/threads/{thread.id}/messages", json=USER)
    words = f"Can't add messages to {thread.id} while a run {run.id} is active."
    assert answered(answer) == refusal(400, words)
    held.open()
    assert ended(client, thread.id, run.id).status == "completed"
    assert texts(client, thread.id) == [("user", "Hi"), ("assistant", "Hello.")]
    client.beta.threads.messages.create(thread.id, role="user", content="More.")


@pytest.mark.promise("runs.create.not-found")
def test_thread_assistant_and_files_must_exist(
    client: OpenAI, http: httpx.Client, assistant: Assistant
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    runs = f"/v1/threads/{thread.id}/runs"
    answer = http.post("/v1/threads/thread_x/runs", json={"assistant_id": assistant.id})
    assert answered(answer) == refusal(404, "No thread found with id 'thread_x'.")
    answer = http.post(runs, json={"assistant_id": "asst_x"})
    assert answered(answer) == refusal(404, "No assistant found with id 'asst_x'.")
    shows: Any = {"type": "image_file", "image_file": {"file_id": "file-x"}}
    message = {"role": "user", "content": [{"type": "text", "text": "Look."}, shows]}
    answer = http.post(runs, json={"assistant_id": assistant.id, "additional_messages": [USER, message]})
    assert answered(answer) == refusal(404, "No file found with id 'file-x'.")
    assert texts(client, thread.id) == [("user", "Hi")]
    assert http.get(runs).json()["data"] == []
    client.beta.threads.messages.create(thread.id, role="user", content="The thread is free.")


@pytest.mark.promise("runs.create.other-projects")
def test_what_is_another_projects_is_not_found(
    client: OpenAI, house: House, other_key: str, assistant: Assistant
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    with plain(house, other_key) as other:
        own = other.post("/v1/threads", json={"messages": [USER]}).json()["id"]
        answer = other.post(f"/v1/threads/{own}/runs", json={"assistant_id": assistant.id})
        assert answered(answer) == refusal(404, f"No assistant found with id '{assistant.id}'.")
        answer = other.post(f"/v1/threads/{thread.id}/runs", json={"assistant_id": assistant.id})
        assert answered(answer) == refusal(404, f"No thread found with id '{thread.id}'.")


NOTHING_TO_RUN = refusal(
    400,
    "Run creation requires a Thread with a user message or an assistant with instructions.",
    code="invalid_thread",
)


@pytest.mark.promise("runs.create.nothing-to-run")
@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "Hm."}] * 60])
def test_a_run_needs_a_user_message_or_instructions(
    client: OpenAI, http: httpx.Client, model: Model, messages: Any
) -> None:
    assistant = client.beta.assistants.create(model=model.name)
    thread = client.beta.threads.create(messages=messages, metadata={"role": "user"})
    body = {"assistant_id": assistant.id}
    assert answered(http.post(f"/v1/threads/{thread.id}/runs", json=body)) == NOTHING_TO_RUN
    together = {**body, "thread": {"messages": messages}, "metadata": {"role": "user"}}
    assert answered(http.post("/v1/threads/runs", json=together)) == NOTHING_TO_RUN
    client.beta.threads.messages.create(thread.id, role="user", content="The thread is free.")


@pytest.mark.promise("runs.create.nothing-to-run")
@pytest.mark.parametrize(
    ("messages", "given"),
    [
        ([USER], {}),
        ([{"role": "assistant", "content": "Hm."}] * 60 + [USER], {}),
        ([], {"instructions": "Say something."}),
        ([], {"additional_instructions": "Say something."}),
        ([], {"additional_messages": [USER]}),
    ],
)
def test_a_user_message_or_instructions_are_enough(
    client: OpenAI, model: Model, held: Gate, messages: Any, given: Any
) -> None:
    assistant = client.beta.assistants.create(model=model.name)
    thread = client.beta.threads.create(messages=messages)
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, **given)
    assert run.status == "queued"
    held.open()


@pytest.mark.promise("runs.create.nothing-to-run-v1")
def test_v1_runs_a_thread_in_which_nothing_was_said(http: httpx.Client, model: Model, held: Gate) -> None:
    http.headers["OpenAI-Beta"] = "assistants=v1"
    body = {"assistant_id": http.post("/v1/assistants", json={"model": model.name}).json()["id"]}
    thread = http.post("/v1/threads").json()["id"]
    answer = http.post(f"/v1/threads/{thread}/runs", json=body)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    held.open()


@pytest.mark.promise("runs.create.thread-full")
def test_a_run_keeps_to_the_threads_limit_of_messages(tmp_path: Path, database: str) -> None:
    with (
        House(tmp_path, database, max_messages_per_thread=2) as house,
        plain(house, house.new_key("p")) as http,
    ):
        assistant = http.post("/v1/assistants", json={"model": "echo"}).json()["id"]
        thread = http.post("/v1/threads", json={"messages": [USER]}).json()["id"]
        body = {"assistant_id": assistant, "additional_messages": [USER, USER]}
        answer = http.post(f"/v1/threads/{thread}/runs", json=body)
        assert answer.json()["error"]["code"] == "thread_full"
        assert http.get(f"/v1/threads/{thread}/runs").json()["data"] == []
        assert len(http.get(f"/v1/threads/{thread}/messages").json()["data"]) == 1


# ---------------------------------------------------------------- with a thread


@pytest.mark.promise("runs.create-with-thread")
def test_a_thread_and_a_run_are_made_together(
    client: OpenAI, http: httpx.Client, assistant: Assistant, held: Gate
) -> None:
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [USER], "metadata": {"topic": "greetings"}},
        "metadata": {"a": "b"},
    }
    answer = http.post("/v1/threads/runs", json=body).json()
    assert json.dumps(shown(answer)) == json.dumps({**RUN, "metadata": {"a": "b"}})
    assert client.beta.threads.retrieve(answer["thread_id"]).metadata == {"topic": "greetings"}
    assert texts(client, answer["thread_id"]) == [("user", "Hi")]
    held.open()


@pytest.mark.promise("runs.create-with-thread")
def test_a_thread_of_its_own_is_empty_where_none_is_given(
    client: OpenAI, assistant: Assistant, held: Gate
) -> None:
    run = client.beta.threads.create_and_run(assistant_id=assistant.id)
    assert texts(client, run.thread_id) == []
    held.open()


@pytest.mark.promise("runs.create-with-thread.resources")
def test_a_runs_own_tool_resources_are_kept_with_it(
    client: OpenAI, http: httpx.Client, assistant: Assistant, held: Gate
) -> None:
    one = client.files.create(file=("a.txt", b"x"), purpose="assistants").id
    other = client.files.create(file=("b.txt", b"y"), purpose="assistants").id
    body = {
        "assistant_id": assistant.id,
        "thread": {"tool_resources": {"code_interpreter": {"file_ids": [one]}}},
        "tool_resources": {"code_interpreter": {"file_ids": [other]}},
    }
    answer = http.post("/v1/threads/runs", json=body).json()
    assert answer["tool_resources"] == body["tool_resources"]
    thread = http.get(f"/v1/threads/{answer['thread_id']}").json()
    assert thread["tool_resources"] == {"code_interpreter": {"file_ids": [one]}}
    held.open()


@pytest.mark.promise("runs.create-with-thread.all-or-nothing")
@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"assistant_id": "asst_x"}, "assistant found with id 'asst_x'"),
        (
            {"tool_resources": {"code_interpreter": {"file_ids": ["file-x"]}}},
            "file found with id 'file-x'",
        ),
        (
            {"thread": {"tool_resources": {"code_interpreter": {"file_ids": ["file-x"]}}}},
            "file found with id 'file-x'",
        ),
    ],
)
def test_no_thread_is_left_where_its_run_is_refused(
    http: httpx.Client, assistant: Assistant, change: Any, missing: str
) -> None:
    before = http.get("/v1/threads").json()["data"]
    body = {"assistant_id": assistant.id, "thread": {"messages": [USER]}, **change}
    assert answered(http.post("/v1/threads/runs", json=body)) == refusal(404, f"No {missing}.")
    assert http.get("/v1/threads").json()["data"] == before


# ---------------------------------------------------------------- sent again


@pytest.mark.promise("runs.create.idempotent")
@pytest.mark.parametrize("with_thread", [False, True])
def test_a_run_is_made_once_for_each_idempotency_key(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, with_thread: bool
) -> None:
    model.says(Say("Hello."))
    thread = client.beta.threads.create(messages=[USER])
    path = "/v1/threads/runs" if with_thread else f"/v1/threads/{thread.id}/runs"
    body = {"assistant_id": assistant.id}
    first = http.post(path, json=body, headers={"Idempotency-Key": model.name})
    run = ended(client, first.json()["thread_id"], first.json()["id"])
    assert run.status == "completed"
    again = http.post(path, json=body, headers={"Idempotency-Key": model.name})
    assert again.content == first.content
    assert (again.headers["idempotent-replayed"], again.headers["openai-poll-after-ms"]) == ("true", "20")
    runs = client.beta.threads.runs.list(run.thread_id).data
    assert [one.id for one in runs] == [run.id]
    assert len(model.asked) == 1


@pytest.mark.promise("runs.create.assistant-deleted")
def test_a_run_goes_on_when_its_assistant_is_deleted(
    client: OpenAI, assistant: Assistant, model: Model, held: Gate
) -> None:
    thread = client.beta.threads.create(messages=[USER])
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    client.beta.assistants.delete(assistant.id)
    held.open()
    assert ended(client, thread.id, run.id).status == "completed"
    with pytest.raises(openai.NotFoundError):
        client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    until(lambda: texts(client, thread.id)[-1] == ("assistant", "Hello."))
