"""Deleting a thread with a run. Reference: protocol section 12.7."""

from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.upstream import Call, Gate, Say, Upstream
from tests.support.waiting import until
from threadkeep.storage.database import Transaction

USER: Any = {"role": "user", "content": "Hi"}
FUNCTION: Any = {"type": "function", "function": {"name": "f"}}
ROWS = """
    SELECT COUNT(*) FROM runs WHERE thread_id = :thread_id
    UNION ALL SELECT COUNT(*) FROM run_steps WHERE run_id = :run_id
    UNION ALL SELECT COUNT(*) FROM messages WHERE thread_id = :thread_id
"""


def rows(house: House, run: Any) -> list[int]:
    """How many runs, steps and messages are left of a run's thread."""

    async def count() -> list[int]:
        async def work(transaction: Transaction) -> list[int]:
            params = {"thread_id": run.thread_id, "run_id": run.id}
            return [row[0] for row in await transaction.all(ROWS, params)]

        return await house.context.database.write(work)

    return house.call(count)


@pytest.mark.promise("threads.delete.active-run")
def test_deleting_a_thread_ends_its_run(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, house: House, upstream: Upstream
) -> None:
    gate = Gate()
    model.says(Say("Hel", gate, "lo."))
    run = client.beta.threads.create_and_run(assistant_id=assistant.id, thread={"messages": [USER]})
    gate.wait()
    (asked,) = [one for one in upstream.requests if one.model == model.name]
    client.beta.threads.delete(run.thread_id)
    words = f"No thread found with id '{run.thread_id}'."
    for path in ("runs", f"runs/{run.id}", f"runs/{run.id}/steps", "messages"):
        answer = http.get(f"/v1/threads/{run.thread_id}/{path}")
        assert answered(answer) == refusal(404, words)
    assert asked.hung_up.wait(20), "the model went on speaking"
    until(lambda: rows(house, run) == [0, 0, 0])


@pytest.mark.promise("threads.delete.active-run")
def test_a_stream_sees_its_run_cancelled_with_the_thread(
    client: OpenAI, assistant: Assistant, model: Model
) -> None:
    gate = Gate()
    model.says(Say("Hel", gate, "lo."))
    thread = client.beta.threads.create(messages=[USER])
    seen = []
    with client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, stream=True) as stream:
        for event in stream:
            seen.append(event.event)
            if event.event == "thread.message.delta":
                client.beta.threads.delete(thread.id)
    assert seen[seen.index("thread.message.delta") + 1 :] == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]


@pytest.mark.promise("threads.delete.runs")
def test_runs_and_steps_go_with_their_thread(
    client: OpenAI, assistant: Assistant, model: Model, house: House
) -> None:
    model.says(Say(Call("f", "{}", id="call_a")))
    thread = client.beta.threads.create(messages=[USER])
    runs = client.beta.threads.runs
    run = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, tools=[FUNCTION])
    assert run.status == "requires_action"
    assert rows(house, run) == [1, 1, 1]
    client.beta.threads.delete(thread.id)
    until(lambda: rows(house, run) == [0, 0, 0])
