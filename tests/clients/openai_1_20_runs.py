"""What a program written for openai 1.20, the last client of v1, does with assistants and runs.

Runs under an interpreter that has this client; the server and the key stand in OPENAI_BASE_URL and
OPENAI_API_KEY. Prints one JSON object: the result of every step by its name.
"""

import json
import sys
from typing import Any

import openai

# Any, since type checkers see a newer client.
client: Any = openai.OpenAI(max_retries=0)
runs: Any = client.beta.threads.runs
STEPS: dict[str, Any] = {}

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


def text_of(message: Any) -> str:
    return "".join(part.text.value for part in message.content)


def assistants() -> str:
    file = client.files.create(file=("notes.txt", b"some notes"), purpose="assistants")
    made = client.beta.assistants.create(
        model="a-model", name="Reader", tools=[{"type": "retrieval"}], file_ids=[file.id]
    )
    listed = client.beta.assistants.files.list(made.id).data
    changed = client.beta.assistants.update(made.id, name="Forecaster", tools=[WEATHER], file_ids=[])
    STEPS["assistant"] = {
        "tools": [tool.type for tool in made.tools],
        "has its file": made.file_ids == [file.id] == [one.id for one in listed],
        "changed": [changed.name, [tool.function.name for tool in changed.tools], changed.file_ids],
    }
    return str(changed.id)


def polled(assistant_id: str) -> str:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant_id, thread={"messages": [{"role": "user", "content": "Good morning"}]}
    )
    messages = client.beta.threads.messages.list(run.thread_id, order="asc").data
    STEPS["polled"] = {
        "status": run.status,
        "file_ids": run.file_ids,
        "usage": run.usage.total_tokens,
        "messages": [[one.role, text_of(one)] for one in messages],
        "steps": [step.type for step in runs.steps.list(run.id, thread_id=run.thread_id).data],
    }
    return str(run.thread_id)


class Told(openai.AssistantEventHandler):
    """Remembers what the helper tells."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event.event)


def streamed(assistant_id: str, thread_id: str) -> None:
    client.beta.threads.messages.create(thread_id, role="user", content="And now?")
    told = Told()
    with runs.stream(thread_id=thread_id, assistant_id=assistant_id, event_handler=told) as stream:
        stream.until_done()
        texts = [text_of(one) for one in stream.get_final_messages()]
    STEPS["streamed"] = {"events": sorted(set(told.events)), "last": told.events[-1], "text": texts}


def called(assistant_id: str, thread_id: str) -> None:
    client.beta.threads.messages.create(thread_id, role="user", content="The weather?")
    run = runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": call.id, "output": "sunny"} for call in calls]
    told = Told()
    with runs.submit_tool_outputs_stream(
        thread_id=thread_id, run_id=run.id, tool_outputs=outputs, event_handler=told
    ) as stream:
        stream.until_done()
    STEPS["called"] = {
        "waiting": run.status,
        "arguments": [json.loads(call.function.arguments) for call in calls],
        "first": told.events[0],
        "text": [text_of(one) for one in stream.get_final_messages()],
    }


def cut_off(assistant_id: str, thread_id: str) -> None:
    """v1 has no status for it: such a run is completed, with the reason beside it."""
    client.beta.threads.messages.create(thread_id, role="user", content="At length?")
    run = runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id, max_completion_tokens=300)
    STEPS["cut off"] = {"status": run.status, "reason": run.incomplete_details.reason}


def main() -> None:
    assistant_id = assistants()
    thread_id = polled(assistant_id)
    streamed(assistant_id, thread_id)
    called(assistant_id, thread_id)
    cut_off(assistant_id, thread_id)
    json.dump(STEPS, sys.stdout)


main()
