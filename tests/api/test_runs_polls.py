"""Waiting for a run: polls that are held, and what ends them. Reference: protocol section 1.2."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.house import House
from tests.support.plain import plain
from tests.support.upstream import Gate, Say, Upstream
from tests.support.waiting import SECONDS, until

HELPER = {"X-Stainless-Poll-Helper": "true"}
USER: Any = {"role": "user", "content": "Hi"}


class Poll:
    """One GET under way in a thread of its own."""

    def __init__(self, http: httpx.Client, path: str, headers: dict[str, str]) -> None:
        self.answer: Any = None
        self._thread = threading.Thread(target=self._ask, args=(http, path, headers))
        self._thread.start()

    def _ask(self, http: httpx.Client, path: str, headers: dict[str, str]) -> None:
        self.answer = http.get(path, headers=headers)

    def answered(self) -> Any:
        """The run that it was answered with in the end."""
        self._thread.join(SECONDS)
        assert self.answer is not None
        return self.answer.json()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def path(client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model, gate: Gate) -> str:
    """The path of a run in progress, which `gate` holds."""
    model.says(Say("Hel", gate, "lo."))
    run = client.beta.threads.create_and_run(assistant_id=assistant.id, thread={"messages": [USER]})
    path = f"/v1/threads/{run.thread_id}/runs/{run.id}"
    gate.wait()
    until(lambda: http.get(path).json()["status"] == "in_progress")
    return path


@pytest.mark.promise("runs.poll-after")
def test_answers_with_a_run_say_when_to_ask_again(http: httpx.Client, path: str, gate: Gate) -> None:
    answers = [http.get(path), http.post(path + "/cancel"), http.get(path)]
    assert [one.headers["openai-poll-after-ms"] for one in answers] == ["20"] * 3
    gate.open()


@pytest.mark.promise("runs.poll-is-held")
def test_a_poll_of_a_helper_is_held_until_the_status_changes(
    http: httpx.Client, path: str, gate: Gate
) -> None:
    assert http.get(path).json()["status"] == "in_progress"  # another's GET is answered at once
    poll = Poll(http, path, HELPER)
    gate.open()
    assert poll.answered()["status"] == "completed"
    assert http.get(path, headers=HELPER).json()["status"] == "completed"


@pytest.mark.promise("runs.poll-is-held")
def test_a_held_poll_sees_a_cancellation_and_then_its_end(http: httpx.Client, path: str) -> None:
    poll = Poll(http, path, HELPER)
    assert http.post(path + "/cancel").json()["status"] == "cancelling"
    seen = poll.answered()["status"]
    assert seen in ("cancelling", "cancelled")
    while seen == "cancelling":
        seen = http.get(path, headers=HELPER).json()["status"]
    assert seen == "cancelled"


@pytest.mark.promise("runs.poll-is-bounded")
@pytest.mark.parametrize(("hold", "milliseconds"), [(0, "500"), (1, "20")])
def test_no_poll_is_held_longer_than_the_setting_says(
    tmp_path: Path, upstream: Upstream, model: Model, hold: int, milliseconds: str
) -> None:
    gate = Gate()
    model.says(Say("Hel", gate, "lo."))
    with (
        House(tmp_path, upstream_base_url=upstream.url, run_poll_hold=hold) as house,
        plain(house, house.new_key("p")) as http,
    ):
        assistant = http.post("/v1/assistants", json={"model": model.name}).json()["id"]
        body = {"assistant_id": assistant, "thread": {"messages": [USER]}}
        run = http.post("/v1/threads/runs", json=body).json()
        path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
        until(lambda: http.get(path).json()["status"] == "in_progress")
        before = time.monotonic()
        answer = http.get(path, headers=HELPER)
        assert hold <= time.monotonic() - before < hold + 5
        assert answer.json()["status"] == "in_progress"
        assert answer.headers["openai-poll-after-ms"] == milliseconds
        gate.open()


@pytest.mark.promise("runs.poll-is-prompt")
def test_the_official_helper_returns_soon_after_the_runs_end(
    client: OpenAI, assistant: Assistant, model: Model
) -> None:
    """A second poll or two, none of them a second later: by its own it would wait for that long."""
    delays = []
    for _ in range(5):
        model.says(Say("Hello."))
        thread = client.beta.threads.create(messages=[USER])
        before = time.monotonic()
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        delays.append(time.monotonic() - before)
        assert run.status == "completed"
    assert min(delays) < 0.5
