"""A process that works a run is killed, in each phase of it: the run ends all the same, and says so once.

On PostgreSQL another process is there already and takes the run up when its lease is over; on SQLite the
process that is started after the kill does.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import APIConnectionError, OpenAI

from tests.clients.conversations import WEATHER, beginning
from tests.support.child import Child
from tests.support.house import database_url
from tests.support.upstream import Call, Gate, Say, Upstream
from tests.support.waiting import until

KEY = "sk-key-of-the-run-kills"
LEASE = 2
"""Seconds: a shorter one may be over because its process is slow, and then the model is asked twice."""


class Pair:
    """The process that is going to be killed, and whoever goes on."""

    def __init__(self, directory: Path, database: str, upstream: Upstream, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._variables = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_RUN_LEASE": str(LEASE),
            "THREADKEEP_MAX_ACTIVE_RUNS": "1",
            "THREADKEEP_UPSTREAM_BASE_URL": upstream.url,
            "THREADKEEP_FILES_URL": f"file:///{directory / 'files'}",
        }
        self._other: Child | None = None
        if database == "postgres":
            self._variables["THREADKEEP_DATABASE_URL"] = database_url(database, directory)
        self._victim = self._start()
        if database == "postgres":
            self._other = self._start()
        self.client = self._client_of(self._victim)

    def _start(self) -> Child:
        return self._stack.enter_context(Child(self._directory, **self._variables))

    def _client_of(self, child: Child) -> OpenAI:
        client = OpenAI(base_url=f"{child.address}/v1", api_key=KEY, max_retries=0, timeout=30)
        return self._stack.enter_context(client)

    def kill(self) -> OpenAI:
        """A client of the process that goes on."""
        self._victim.kill()
        return self._client_of(self._other or self._start())


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def pair(tmp_path: Path, database: str, upstream: Upstream) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, database, upstream, stack)


def over(client: OpenAI, run: Any) -> Any:
    """The run, once it is over or waits for its client."""
    return client.beta.threads.runs.poll(run_id=run.id, thread_id=run.thread_id)


def text_of(message: Any) -> str:
    return "".join(part.text.value for part in message.content)


def texts(client: OpenAI, thread_id: str) -> list[tuple[str, str]]:
    """Who said what, from the beginning."""
    messages = client.beta.threads.messages.list(thread_id, order="asc", limit=100)
    return [(one.role, text_of(one)) for one in messages]


def steps(client: OpenAI, run: Any) -> list[tuple[str, str]]:
    listed = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")
    return [(one.type, one.status) for one in listed]


def thread_is_free(client: OpenAI, thread_id: str) -> bool:
    try:
        client.beta.threads.messages.create(thread_id, role="user", content="free?")
    except Exception:
        return False
    return True


def in_mid_stream(gate: Gate) -> list[Any]:
    return [Say("One, ", gate, "two."), Say("One, ", "two.")]


def before_the_first_word(gate: Gate) -> list[Any]:
    return [Say(gate, "One, ", "two."), Say("One, ", "two.")]


PHASES: dict[str, Callable[[Gate], list[Any]]] = {
    "before the first word": before_the_first_word,
    "in the middle of a message": in_mid_stream,
}


@pytest.mark.promise("runs.crash")
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_whose_process_is_killed_is_finished_by_another(pair, upstream, phase):
    gate = Gate()
    upstream.script(*PHASES[phase](gate))
    assistant, thread = beginning(pair.client)
    run = pair.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    gate.wait()
    client = pair.kill()
    assert over(client, run).status == "completed"
    assert texts(client, thread.id) == [("user", "Good morning"), ("assistant", "One, two.")]
    assert steps(client, run) == [("message_creation", "completed")]
    assert thread_is_free(client, thread.id)


@pytest.mark.promise("runs.crash")
def test_what_was_completed_before_a_kill_is_not_repeated(pair, upstream):
    """The function was called, and its outputs are in; the turn after them is cut off."""
    gate = Gate()
    upstream.script(Say(Call("weather", '{"place": "Rome"}')), Say("It ", gate, "is"), Say("It is sunny."))
    assistant, thread = beginning(pair.client, WEATHER)
    run = pair.client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    pair.client.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "sunny"}]
    )
    gate.wait()
    client = pair.kill()
    assert over(client, run).status == "completed"
    assert texts(client, thread.id) == [("user", "Good morning"), ("assistant", "It is sunny.")]
    assert steps(client, run) == [("tool_calls", "completed"), ("message_creation", "completed")]
    roles = [one["role"] for one in upstream.requests[-1].json["messages"]]
    assert roles == ["user", "assistant", "tool"]


@pytest.mark.promise("runs.crash")
def test_a_run_that_waits_for_its_client_bears_a_kill(pair, upstream):
    upstream.script(Say(Call("weather", '{"place": "Rome"}')), Say("Sunny."))
    assistant, thread = beginning(pair.client, WEATHER)
    run = pair.client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    client = pair.kill()
    finished = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "sunny"}]
    )
    assert finished.status == "completed"
    assert texts(client, thread.id)[-1] == ("assistant", "Sunny.")


@pytest.mark.promise("runs.crash")
def test_a_cancelled_run_whose_process_is_killed_is_cancelled_by_another(pair, upstream):
    gate, second = Gate(), Gate()
    upstream.script(Say("One, ", gate, "two."), Say("One, ", second, "two."))
    assistant, thread = beginning(pair.client)
    run = pair.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    gate.wait()
    client = pair.kill()
    second.wait()
    cancelled = client.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    assert cancelled.status == "cancelling"
    until(lambda: client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "cancelled")
    assert thread_is_free(client, thread.id)


@pytest.mark.promise("runs.crash")
def test_a_stream_breaks_off_and_the_run_goes_on(pair, upstream):
    gate = Gate()
    upstream.script(*in_mid_stream(gate))
    assistant, thread = beginning(pair.client)
    events = pair.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, stream=True)
    run = next(iter(events)).data
    gate.wait()
    client = pair.kill()
    with pytest.raises(APIConnectionError):
        list(events)
    assert over(client, run).status == "completed"
    assert texts(client, thread.id)[-1] == ("assistant", "One, two.")


@pytest.mark.promise("runs.crash")
def test_a_run_that_nobody_had_taken_yet_is_finished_too(pair, upstream):
    """Each process here works one run at a time: the third waits, whoever else is there."""
    gates = [Gate(), Gate()]
    upstream.script(*(Say("One, ", gate, "two.") for gate in gates))
    upstream.always(Say("One, ", "two."))
    assistant, _ = beginning(pair.client)
    runs = [
        pair.client.beta.threads.create_and_run(
            assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Count"}]}
        )
        for _ in range(3)
    ]
    gates[0].wait()
    client = pair.kill()
    for gate in gates:  # whichever of them the other process was given
        gate.open()
    assert [over(client, run).status for run in runs] == ["completed"] * 3
    for run in runs:
        assert texts(client, run.thread_id) == [("user", "Count"), ("assistant", "One, two.")]
