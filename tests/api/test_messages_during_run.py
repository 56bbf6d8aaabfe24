"""Messages that come while a run of their thread is not over: refused, or kept until it is."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.house import House
from tests.support.plain import plain
from tests.support.upstream import Call, Gate, Say, Upstream
from tests.support.waiting import until

V1, V2 = {"OpenAI-Beta": "assistants=v1"}, {"OpenAI-Beta": "assistants=v2"}
numbers = itertools.count()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, database: str, upstream: Upstream) -> Iterator[House]:
    """A server on which messages wait."""
    directory = tmp_path_factory.mktemp("patient")
    settings: dict[str, Any] = {"upstream_base_url": upstream.url, "messages_during_run": "wait"}
    with House(directory, database, **settings) as running:
        yield running


@pytest.fixture
def http(patient: House, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with plain(patient, patient.new_key(request.node.name), V2) as client:
        yield client


class Busy:
    """A thread with one message and a run that holds still."""

    def __init__(self, http: httpx.Client, upstream: Upstream) -> None:
        self.http, self.gate, self.model = http, Gate(), f"model-{next(numbers)}"
        upstream.script(Say("one ", self.gate, "answer"), model=self.model)
        assistant = http.post("/v1/assistants", json={"model": self.model}).json()["id"]
        thread = {"messages": [{"role": "user", "content": "first"}]}
        run = http.post("/v1/threads/runs", json={"assistant_id": assistant, "thread": thread}).json()
        self.assistant, self.run_id = assistant, run["id"]
        self.thread = f"/v1/threads/{run['thread_id']}"
        self.messages = f"{self.thread}/messages"
        self.run = f"{self.thread}/runs/{run['id']}"
        self.gate.wait()

    def add(self, text: str, **given: Any) -> dict[str, Any]:
        answer = self.http.post(self.messages, json={"role": "user", "content": text, **given})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def texts(self, **query: str) -> list[str]:
        listed = self.http.get(self.messages, params={"order": "asc", **query}).json()["data"]
        return [message["content"][0]["text"]["value"] for message in listed]

    def end(self) -> None:
        self.gate.open()
        self.until("completed")

    def until(self, *states: str) -> None:
        until(lambda: self.http.get(self.run).json()["status"] in states)


@pytest.fixture
def busy(http: httpx.Client, upstream: Upstream) -> Iterator[Busy]:
    thread = Busy(http, upstream)
    yield thread
    thread.gate.open()


@pytest.mark.promise("v2.messages.during-run.wait")
def test_messages_wait_and_join_after_those_of_the_run(busy: Busy) -> None:
    made = [busy.add(text) for text in ("second", "third")]
    assert busy.texts() == ["first"]
    busy.end()
    assert busy.texts() == ["first", "one answer", "second", "third"]
    listed = busy.http.get(busy.messages, params={"limit": "2"}).json()["data"]
    assert listed == made[::-1]


@pytest.mark.promise("v2.messages.during-run.wait")
def test_a_message_that_waits_is_found_changed_and_deleted_by_its_id(busy: Busy) -> None:
    kept, dropped = busy.add("kept"), busy.add("dropped")
    path = f"{busy.messages}/{kept['id']}"
    assert busy.http.get(path).json() == kept
    changed = busy.http.post(path, json={"metadata": {"a": "b"}}).json()
    assert changed["metadata"] == {"a": "b"}
    assert busy.http.get(path).json() == changed
    gone = f"{busy.messages}/{dropped['id']}"
    assert busy.http.delete(gone).json()["deleted"] is True
    assert busy.http.get(gone).status_code == busy.http.delete(gone).status_code == 404
    busy.end()
    assert busy.texts() == ["first", "one answer", "kept"]
    assert busy.http.get(path).json() == changed


def test_a_message_that_waits_is_anothers_to_nobody(busy: Busy, patient: House) -> None:
    made = busy.add("mine")
    with plain(patient, patient.new_key("another project")) as other:
        path = f"{busy.messages}/{made['id']}"
        assert other.get(path).status_code == 404
        assert other.post(path, json={"metadata": {}}).status_code == 404
        assert other.delete(path).status_code == 404
        assert other.post(busy.messages, json={"role": "user", "content": "x"}).status_code == 404
    elsewhere = busy.http.post("/v1/threads").json()["id"]
    assert busy.http.get(f"/v1/threads/{elsewhere}/messages/{made['id']}").status_code == 404


def test_a_message_that_waits_is_a_cursor_that_comes_last(busy: Busy) -> None:
    made = busy.add("second")
    assert busy.texts(after=made["id"]) == []
    assert busy.texts(before=made["id"]) == ["first"]
    busy.end()
    busy.add("third")
    assert busy.texts(after=made["id"]) == ["third"]


def test_a_deleted_one_keeps_a_place_from_which_nothing_is_missed(busy: Busy) -> None:
    made = busy.add("second")
    busy.http.delete(f"{busy.messages}/{made['id']}")
    assert busy.texts(after=made["id"]) == []
    busy.end()
    assert busy.texts(after=made["id"]) == ["one answer"]


def test_in_v1_it_is_the_same(busy: Busy) -> None:
    made = busy.http.post(busy.messages, json={"role": "user", "content": "second"}, headers=V1).json()
    assert made["file_ids"] == []
    assert busy.http.get(f"{busy.messages}/{made['id']}", headers=V1).json() == made


def test_files_of_a_message_that_waits_may_be_deleted(busy: Busy) -> None:
    upload = {"file": ("a.txt", b"x")}
    file = busy.http.post("/v1/files", data={"purpose": "assistants"}, files=upload).json()["id"]
    tools = [{"type": "code_interpreter"}]
    made = busy.add("see", attachments=[{"file_id": file, "tools": tools}])
    assert busy.http.delete(f"/v1/files/{file}").status_code == 200
    assert busy.http.get(f"{busy.messages}/{made['id']}").json()["attachments"] == []
    busy.end()
    assert busy.texts() == ["first", "one answer", "see"]


@pytest.mark.promise("v2.messages.during-run.wait")
def test_a_second_run_is_refused_all_the_same(busy: Busy) -> None:
    busy.add("second")
    refused = busy.http.post(f"{busy.thread}/runs", json={"assistant_id": busy.assistant})
    assert refused.status_code == 400
    assert "already has an active run" in refused.json()["error"]["message"]


@pytest.mark.promise("v2.messages.during-run.wait")
def test_the_next_run_sees_what_waited(busy: Busy, upstream: Upstream) -> None:
    busy.add("second")
    busy.end()
    upstream.script(Say("two"), model=busy.model)
    run = busy.http.post(f"{busy.thread}/runs", json={"assistant_id": busy.assistant}).json()
    busy.run = f"{busy.thread}/runs/{run['id']}"
    busy.until("completed")
    asked = [one for one in upstream.requests if one.model == busy.model][-1]
    assert [one["content"] for one in asked.json["messages"]] == ["first", "one answer", "second"]


@pytest.mark.promise("v2.messages.during-run.wait")
def test_it_joins_however_the_run_ends(busy: Busy) -> None:
    busy.add("second")
    busy.http.post(f"{busy.run}/cancel")
    busy.until("cancelled")
    assert busy.texts()[-1] == "second"


def test_a_run_that_waits_for_its_client_keeps_messages_waiting(
    http: httpx.Client, upstream: Upstream
) -> None:
    model = "model-that-calls"
    upstream.script(Say(Call("look", "{}", id="call_1")), Say("seen"), model=model)
    tools = [{"type": "function", "function": {"name": "look"}}]
    assistant = http.post("/v1/assistants", json={"model": model, "tools": tools}).json()["id"]
    thread = {"messages": [{"role": "user", "content": "first"}]}
    run = http.post("/v1/threads/runs", json={"assistant_id": assistant, "thread": thread}).json()
    path = f"/v1/threads/{run['thread_id']}"
    until(lambda: http.get(f"{path}/runs/{run['id']}").json()["status"] == "requires_action")
    http.post(f"{path}/messages", json={"role": "user", "content": "second"})
    outputs = {"tool_outputs": [{"tool_call_id": "call_1", "output": "fine"}]}
    http.post(f"{path}/runs/{run['id']}/submit_tool_outputs", json=outputs)
    until(lambda: http.get(f"{path}/runs/{run['id']}").json()["status"] == "completed")
    listed = http.get(f"{path}/messages", params={"order": "asc"}).json()["data"]
    texts = [message["content"][0]["text"]["value"] for message in listed]
    assert texts == ["first", "seen", "second"]


def test_with_an_idempotency_key_it_waits_once(busy: Busy) -> None:
    once = {"Idempotency-Key": "one"}
    body = {"role": "user", "content": "second"}
    made = [busy.http.post(busy.messages, json=body, headers=once).json() for _ in range(2)]
    assert made[0] == made[1]
    busy.end()
    assert busy.texts() == ["first", "one answer", "second"]
    assert busy.http.post(busy.messages, json=body, headers=once).json() == made[0]


def test_a_deleted_thread_takes_what_waits_with_it(busy: Busy) -> None:
    made = busy.add("second")
    busy.http.delete(busy.thread)
    assert busy.http.get(f"{busy.messages}/{made['id']}").status_code == 404


def test_the_official_client_sees_an_ordinary_message(busy: Busy, patient: House) -> None:
    key = busy.http.headers["authorization"].removeprefix("Bearer ")
    thread_id = busy.thread.rpartition("/")[2]
    with OpenAI(base_url=patient.base_url, api_key=key) as client:
        made = client.beta.threads.messages.create(thread_id, role="user", content="second")
        assert client.beta.threads.messages.retrieve(made.id, thread_id=thread_id) == made


@pytest.mark.promise("v2.messages.during-run.wait")
def test_none_is_lost_or_doubled_where_the_run_ends_meanwhile(busy: Busy) -> None:
    """Twelve clients write while the run comes to its end."""
    writers, each = 12, 15

    def write(number: int) -> None:
        for turn in range(each):
            busy.add(f"{number} {turn}")
            if number == 0 and turn == each // 3:
                busy.gate.open()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    busy.until("completed")
    texts: list[str] = []
    after: dict[str, str] = {}
    while page := busy.texts(limit="100", **after):
        texts += page
        listed = busy.http.get(busy.messages, params={"order": "asc", "limit": "100", **after}).json()
        after = {"after": listed["last_id"]}
    said = [text for text in texts if text not in ("first", "one answer")]
    assert sorted(said) == sorted(f"{number} {turn}" for number in range(writers) for turn in range(each))
    for number in range(writers):
        of_one = [text for text in said if text.split()[0] == str(number)]
        assert of_one == [f"{number} {turn}" for turn in range(each)], "each client's in its order"


def test_changes_and_deletions_hold_where_the_run_ends_meanwhile(busy: Busy) -> None:
    made = [busy.add(str(number))["id"] for number in range(40)]
    changed, deleted = made[::2], made[1::2]
    refused: list[httpx.Response] = []

    def work(method: str, ids: list[str]) -> None:
        for number, id in enumerate(ids):
            body = {"metadata": {"changed": "yes"}} if method == "POST" else None
            answer = busy.http.request(method, f"{busy.messages}/{id}", json=body)
            refused.extend([answer] if answer.status_code != 200 else [])
            if number == 3:
                busy.gate.open()

    workers = [threading.Thread(target=work, args=("POST", changed[turn::3])) for turn in range(3)]
    workers += [threading.Thread(target=work, args=("DELETE", deleted[turn::3])) for turn in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    busy.until("completed")
    assert [answer.text for answer in refused] == []
    listed = busy.http.get(busy.messages, params={"order": "asc", "limit": "100"}).json()["data"][2:]
    assert [message["id"] for message in listed] == changed
    assert all(message["metadata"] == {"changed": "yes"} for message in listed)


@pytest.mark.promise("v2.messages.during-run.limit")
def test_messages_that_wait_count_towards_a_threads_limit(
    tmp_path: Path, database: str, upstream: Upstream
) -> None:
    settings: dict[str, Any] = {"messages_during_run": "wait", "max_messages_per_thread": 3}
    with (
        House(tmp_path, database, upstream_base_url=upstream.url, **settings) as house,
        plain(house, house.new_key("limited"), V2) as http,
    ):
        busy = Busy(http, upstream)
        busy.add("second")
        busy.add("third")
        refused = http.post(busy.messages, json={"role": "user", "content": "fourth"})
        assert refused.status_code == 400
        busy.end()


@pytest.mark.promise("v2.messages.during-run.refuse")
def test_by_default_they_are_refused(tmp_path: Path, database: str, upstream: Upstream) -> None:
    with (
        House(tmp_path, database, upstream_base_url=upstream.url) as house,
        plain(house, house.new_key("refused"), V2) as http,
    ):
        busy = Busy(http, upstream)
        refused = http.post(busy.messages, json={"role": "user", "content": "second"})
        thread_id = busy.thread.rpartition("/")[2]
        said = f"Can't add messages to {thread_id} while a run {busy.run_id} is active."
        assert (refused.status_code, refused.json()["error"]["message"]) == (400, said)
        busy.end()
        busy.add("second")
