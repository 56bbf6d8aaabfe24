"""The official Python client, sync and async, with all its helpers for runs."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI

from tests.clients.conversations import WEATHER, ModelHouse, beginning
from tests.support.upstream import Call, Gate, Say


@pytest.fixture
def key(model_house: ModelHouse) -> str:
    return model_house.new_key("python")


@pytest.fixture
def client(model_house: ModelHouse, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=model_house.base_url, api_key=key, max_retries=0) as one:
        yield one


def text_of(message: Any) -> str:
    return "".join(part.text.value for part in message.content)


class Told(AssistantEventHandler):
    """Remembers what the helper tells."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.words: list[str] = []
        self.calls: list[tuple[str, str]] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event.event)

    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.words.append(delta.value)

    def on_tool_call_done(self, tool_call: Any) -> None:
        self.calls.append((tool_call.function.name, tool_call.function.arguments))


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
]


def without_repeats(events: list[str]) -> list[str]:
    """Runs of equal events as one."""
    return [one for number, one in enumerate(events) if number == 0 or events[number - 1] != one]


@pytest.mark.promise("clients.python")
def test_create_and_run_poll_returns_with_the_runs_end(client, model_house):
    model_house.upstream.script(Say("Good morning", " to you.", usage=(12, 5)))
    assistant, _ = beginning(client)
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Good morning"}]}
    )
    assert run.status == "completed"
    assert run.usage is not None
    assert (run.usage.prompt_tokens, run.usage.completion_tokens, run.usage.total_tokens) == (12, 5, 17)
    newest = client.beta.threads.messages.list(run.thread_id, limit=1).data[0]
    assert (newest.role, text_of(newest), newest.run_id) == ("assistant", "Good morning to you.", run.id)
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert step.step_details.type == "message_creation"
    assert step.step_details.message_creation.message_id == newest.id


@pytest.mark.promise("runs.polling")
def test_a_poll_helper_learns_of_the_end_at_once(client, model_house):
    gate = Gate()
    model_house.upstream.script(Say("Slowly", gate, " but surely."))
    assistant, thread = beginning(client)
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    gate.wait()
    opened: list[float] = []

    def open_gate() -> None:
        opened.append(time.monotonic())
        gate.open()

    model_house.loop.call_soon_threadsafe(model_house.loop.call_later, 0.3, open_gate)
    finished = client.beta.threads.runs.poll(run_id=run.id, thread_id=thread.id)
    waited = time.monotonic() - opened[0]
    assert finished.status == "completed"
    assert waited < 0.5, "the helper found out late"  # its own pause would be a second


@pytest.mark.promise("clients.python")
def test_a_stream_helper_tells_every_event(client, model_house):
    model_house.upstream.script(Say("It ", "is ", "noon."))
    assistant, thread = beginning(client)
    told = Told()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=told
    ) as stream:
        stream.until_done()
    assert without_repeats(told.events) == PLAIN
    assert "".join(told.words) == "It is noon."
    (message,) = stream.get_final_messages()
    assert text_of(message) == "It is noon."
    stored = client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)
    assert text_of(stored) == "It is noon."


@pytest.mark.promise("clients.python")
def test_create_and_run_streams_the_thread_first(client, model_house):
    model_house.upstream.script(Say("Hello."))
    assistant, _ = beginning(client)
    told = Told()
    with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
        event_handler=told,
    ) as stream:
        stream.until_done()
    assert without_repeats(told.events) == ["thread.created", *PLAIN]


@pytest.mark.promise("clients.python")
def test_functions_are_called_and_their_outputs_streamed_on(client, model_house):
    model_house.upstream.script(
        Say(Call("weather", '{"place": "Rome"}'), Call("weather", '{"place": "Oslo"}')), Say("Sunny in both.")
    )
    assistant, thread = beginning(client, WEATHER)
    told = Told()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=told
    ) as stream:
        stream.until_done()
        waiting = stream.get_final_run()
    assert told.calls == [("weather", '{"place": "Rome"}'), ("weather", '{"place": "Oslo"}')]
    assert waiting.status == "requires_action"
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    after = Told()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=waiting.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "sunny"} for call in calls],
        event_handler=after,
    ) as going:
        going.until_done()
    assert without_repeats(after.events) == ["thread.run.step.completed", *PLAIN[1:]]
    assert "".join(after.words) == "Sunny in both."
    asked = model_house.upstream.requests[-1].json["messages"]
    assert [one["role"] for one in asked] == ["user", "assistant", "tool", "tool"]
    assert [one["content"] for one in asked[2:]] == ["sunny", "sunny"]


@pytest.mark.promise("clients.python")
def test_submit_and_poll(client, model_house):
    model_house.upstream.script(Say(Call("weather", '{"place": "Rome"}')), Say("Sunny."))
    assistant, thread = beginning(client, WEATHER)
    waiting = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    (call,) = waiting.required_action.submit_tool_outputs.tool_calls
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=waiting.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "sunny"}]
    )
    assert run.status == "completed"
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc").data
    assert [step.type for step in steps] == ["tool_calls", "message_creation"]
    assert steps[0].step_details.tool_calls[0].function.output == "sunny"


class AsyncTold(AsyncAssistantEventHandler):
    """As `Told`, for the asynchronous client."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    async def on_event(self, event: Any) -> None:
        self.events.append(event.event)


@pytest.mark.promise("clients.python_async")
def test_the_async_client_streams_and_polls(model_house, key):
    async def talk() -> tuple[list[str], str, str | None]:
        async with AsyncOpenAI(base_url=model_house.base_url, api_key=key, max_retries=0) as client:
            assistant = await client.beta.assistants.create(model="a-model")
            thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
            told = AsyncTold()
            async with client.beta.threads.runs.stream(
                thread_id=thread.id, assistant_id=assistant.id, event_handler=told
            ) as stream:
                await stream.until_done()
            await client.beta.threads.messages.create(thread.id, role="user", content="Again")
            run = await client.beta.threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=assistant.id
            )
            newest = (await client.beta.threads.messages.list(thread.id, limit=1)).data[0]
            return told.events, text_of(newest), run.status

    model_house.upstream.script(Say("Hello."), Say("Hello again."))
    events, text, status = asyncio.run(talk())
    assert without_repeats(events) == PLAIN
    assert (text, status) == ("Hello again.", "completed")
