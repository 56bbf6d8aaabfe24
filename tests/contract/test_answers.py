"""What holds for answers as such, in every dialect. Each answer here is also held against its schema,
as in every test that uses the `http` and `client` fixtures."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

DIALECTS = [("/v1", "assistants=v2"), ("/v1", "assistants=v1"), ("/rubra", "assistants=v2")]
IDS = r'"id":"([^"]*)"'


class Caller:
    """One dialect's way to call."""

    def __init__(self, http: httpx.Client, base: str, beta: str) -> None:
        self.http, self.base, self.beta = http, base, beta

    def __call__(self, method: str, path: str, **more: object) -> httpx.Response:
        return self.http.request(method, self.base + path, headers={"OpenAI-Beta": self.beta}, **more)  # type: ignore[arg-type]


@pytest.fixture(params=DIALECTS, ids=["v2", "v1", "rubra"])
def call(http: httpx.Client, request: pytest.FixtureRequest) -> Caller:
    return Caller(http, *request.param)


def tour(call: Caller) -> Iterator[httpx.Response]:
    """A successful answer of every operation that all dialects have."""
    yield (upload := call("POST", "/files", data={"purpose": "vision"}, files={"file": ("a.txt", b"a")}))
    file = f"/files/{upload.json()['id']}"
    yield (created := call("POST", "/threads", json={"metadata": {"a": "ä"}}))
    thread = f"/threads/{created.json()['id']}"
    yield (appended := call("POST", thread + "/messages", json={"role": "user", "content": "Hi"}))
    message = f"{thread}/messages/{appended.json()['id']}"
    for path in ("/threads", "/files", thread, thread + "/messages", message, file, file + "/content"):
        yield call("GET", path)
    for path in (thread, message):
        yield call("POST", path, json={"metadata": {"b": "c"}})
    for path in (thread, file):
        yield call("DELETE", path)


@pytest.mark.promise("answers.published-shapes")
def test_every_operation_answers_in_the_published_shape(call: Caller) -> None:
    assert {answer.status_code for answer in tour(call)} == {200}


@pytest.mark.promise("common.compact-json")
def test_json_is_compact(call: Caller) -> None:
    for answer in tour(call):
        if answer.headers["content-type"] == "application/json":
            assert answer.text == json.dumps(answer.json(), ensure_ascii=False, separators=(",", ":"))


@pytest.mark.promise("answers.ids")
def test_ids_are_a_prefix_and_24_letters_and_digits(call: Caller) -> None:
    ids = [id for answer in tour(call) for id in re.findall(IDS, answer.text)]
    assert {re.fullmatch("(thread_|msg_|file-)[0-9A-Za-z]{24}", id) is not None for id in ids} == {True}


@pytest.mark.promise("headers.organization")
def test_the_organization_is_always_the_same_and_the_project_the_keys_own(call: Caller) -> None:
    named = {
        (answer.headers["openai-organization"], answer.headers["openai-project"]) for answer in tour(call)
    }
    assert [organization for organization, _ in named] == ["threadkeep"]


@pytest.mark.promise("files.list.before")
def test_a_list_of_files_takes_before(call: Caller) -> None:
    upload = {"purpose": "vision"}
    ids = [call("POST", "/files", data=upload, files={"file": ("a", b"a")}).json()["id"] for _ in range(3)]
    page = call("GET", "/files", params={"before": ids[2], "order": "asc"}).json()
    assert [file["id"] for file in page["data"]] == ids[:2]
