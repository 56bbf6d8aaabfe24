"""Projects know nothing of each other, on any operation of any dialect. Reference: protocol 12.13.

The cases are made from the server's own table of routes: an operation that is added there without a
word here fails.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from tests.api.conftest import Model
from tests.support.house import House
from tests.support.plain import plain
from tests.support.upstream import Call, Say, Upstream
from tests.support.waiting import until
from threadkeep.http.caller import DIALECTS
from threadkeep.http.routes import OPERATIONS, Operation
from threadkeep.wire.base import Dialect

_numbers = itertools.count()
BASES: dict[str, tuple[str, dict[str, str]]] = {
    "openai_v2": ("/v1", {"OpenAI-Beta": "assistants=v2"}),
    "openai_v1": ("/v1", {"OpenAI-Beta": "assistants=v1"}),
    "rubra": ("/rubra", {}),
}
"""Where each dialect is spoken, and the header that chooses it."""
BODIES: dict[str, dict[str, Any]] = {
    "create_message": {"role": "user", "content": "x"},
    "create_run": {"assistant_id": "{assistant_id}", "instructions": "Hi"},
    "submit_tool_outputs": {"tool_outputs": [{"tool_call_id": "call_a", "output": "x"}]},
    "create_assistant_file": {"file_id": "{file_id}"},
    "create_vector_store_file": {"file_id": "{file_id}"},
    "search_vector_store": {"query": "x"},
    "modify_vector_store_file": {"attributes": {"a": 1}},
    "create_vector_store_file_batch": {"file_ids": ["{file_id}"]},
    "complete_upload": {"part_ids": []},
}
"""Bodies of operations that need more than an empty object; ids as in paths."""
NAME_NO_OBJECT = {
    "create_assistant",
    "list_assistants",
    "create_thread",
    "list_threads",
    "create_thread_and_run",
    "upload_file",
    "list_files",
    "create_vector_store",
    "list_vector_stores",
    "create_upload",
    "list_models",
    "retrieve_model",
    "delete_model",
}
"""Operations without the id of a project's object in their path: each has a test of its own, here or
elsewhere. Models are everybody's."""
PAIRS = [
    pytest.param(dialect, operation, id=f"{dialect.name}-{operation.name}")
    for dialect in DIALECTS
    for operation in OPERATIONS
    if operation.name in dialect.operations and operation.name not in NAME_NO_OBJECT
]


class Estate(NamedTuple):
    """One project's objects, as their owner and as a stranger see them."""

    owner: httpx.Client
    stranger: httpx.Client
    ids: dict[str, str]
    of_run: dict[str, str]
    """What differs for operations on the run, which waits for outputs and so locks its thread."""

    def ids_for(self, operation: Operation) -> dict[str, str]:
        return {**self.ids, **(self.of_run if "{run_id}" in operation.template else {})}

    def call(self, who: httpx.Client, dialect: Dialect, operation: Operation) -> httpx.Response:
        base, headers = BASES[dialect.name]
        ids = self.ids_for(operation)
        path = base + operation.template.format(**ids)
        fields = BODIES.get(operation.name, {}) if operation.reads == "json" else None
        body = fields and {name: filled(value, ids) for name, value in fields.items()}
        form = {"data": ("part", b"")} if operation.reads == "form" else None
        return who.request(operation.method, path, json=body, files=form, headers=headers)

    def seen(self) -> list[Any]:
        """All that the owner has."""
        thread = f"/v1/threads/{self.ids['thread_id']}"
        file = f"/v1/files/{self.ids['file_id']}/content"
        runs = f"/v1/threads/{self.of_run['thread_id']}/runs"
        steps = f"{runs}/{self.of_run['run_id']}/steps"
        lists = ("/v1/assistants", "/v1/threads", "/v1/files", f"{thread}/messages", f"{thread}/runs")
        stores = ("/v1/vector_stores", f"/v1/vector_stores/{self.ids['vector_store_id']}/files?order=asc")
        paths = (*lists, file, runs, steps, *stores)
        return [self.owner.get(path).text for path in paths]


def filled(value: Any, ids: dict[str, str]) -> Any:
    """A value of a body, with ids in their places."""
    if isinstance(value, list):
        return [filled(one, ids) for one in value]
    return value.format(**ids) if isinstance(value, str) else value


@contextmanager
def new_estate(house: House, model: Model) -> Iterator[Estate]:
    owners, strangers = (house.new_key(f"{who} {next(_numbers)}") for who in ("owner", "stranger"))
    with plain(house, owners) as owner, plain(house, strangers) as stranger:
        form: dict[str, Any] = {"data": {"purpose": "vision"}, "files": {"file": ("a", b"x")}}
        file = owner.post("/v1/files", **form).json()["id"]
        thread = owner.post("/v1/threads", json={"metadata": {"a": "b"}}).json()["id"]
        body = {**BODIES["create_message"], "attachments": [{"file_id": file, "tools": []}]}
        message = owner.post(f"/v1/threads/{thread}/messages", json=body).json()["id"]
        with_file = {"model": model.name, "file_ids": [file]}
        v1 = BASES["openai_v1"][1]
        assistant = owner.post("/v1/assistants", json=with_file, headers=v1).json()["id"]
        new = {"filename": "a", "purpose": "vision", "bytes": 0, "mime_type": "text/plain"}
        store = owner.post("/v1/vector_stores", json={}).json()["id"]
        batch = owner.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": [file]}).json()["id"]
        until(lambda: owner.get(f"/v1/vector_stores/{store}").json()["status"] == "completed")
        ids = {
            "vector_store_id": store,
            "batch_id": batch,
            "thread_id": thread,
            "message_id": message,
            "file_id": file,
            "assistant_id": assistant,
            "upload_id": owner.post("/v1/uploads", json=new).json()["id"],
        }
        model.says(Say(Call("f", "{}", id="call_a")), Say("Done."))
        yield Estate(owner, stranger, ids, waiting_run(owner, assistant))


@pytest.fixture
def estate(house: House, model: Model) -> Iterator[Estate]:
    """The test's own."""
    with new_estate(house, model) as one:
        yield one


@pytest.fixture(scope="module")
def lasting(house: House, upstream: Upstream) -> Iterator[Estate]:
    """For all tests that change nothing: a stranger must not be able to."""
    with new_estate(house, Model(upstream)) as one:
        yield one


@pytest.fixture(scope="module")
def as_it_was(lasting: Estate) -> list[Any]:
    """All that the owner of `lasting` ever has."""
    return lasting.seen()


@pytest.fixture
def owned(request: pytest.FixtureRequest, house: House, operation: Operation) -> Estate:
    """An estate on `house` whose owner may carry the operation out."""
    found: Estate = request.getfixturevalue("lasting" if operation.method == "GET" else "estate")
    return found


def waiting_run(owner: httpx.Client, assistant: str) -> dict[str, str]:
    """The ids of a run that waits for an output, of its thread and of its step."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = {"assistant_id": assistant, "instructions": "Hi", "tools": tools}
    run = owner.post("/v1/threads/runs", json=body).json()
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    until(lambda: owner.get(path).json()["status"] == "requires_action")
    step = owner.get(path + "/steps").json()["data"][0]["id"]
    return {"thread_id": run["thread_id"], "run_id": run["id"], "step_id": step}


def test_every_dialect_and_every_operation_is_considered() -> None:
    assert BASES.keys() == {dialect.name for dialect in DIALECTS}
    of_models = {"retrieve_model", "delete_model"}
    assert {one.name for one in OPERATIONS if "{" not in one.template} == NAME_NO_OBJECT - of_models
    assert {one.name for one in OPERATIONS} == {name for dialect in DIALECTS for name in dialect.operations}


@pytest.mark.promise("projects.are-separate")
@pytest.mark.parametrize(("dialect", "operation"), PAIRS)
def test_another_projects_objects_are_not_found(
    lasting: Estate, as_it_was: list[Any], dialect: Dialect, operation: Operation
) -> None:
    refused = lasting.call(lasting.stranger, dialect, operation)
    assert refused.status_code == 404, refused.text
    assert lasting.seen() == as_it_was


@pytest.mark.parametrize(("dialect", "operation"), PAIRS)
def test_the_same_request_of_the_owner_is_answered(
    owned: Estate, dialect: Dialect, operation: Operation
) -> None:
    assert owned.call(owned.owner, dialect, operation).status_code == 200


@pytest.mark.promise("projects.are-separate")
@pytest.mark.parametrize(("dialect", "operation"), PAIRS)
def test_another_projects_objects_look_like_ids_that_never_were(
    lasting: Estate, dialect: Dialect, operation: Operation
) -> None:
    never = {
        "thread_id": "thread_x",
        "message_id": "msg_x",
        "file_id": "file-x",
        "assistant_id": "asst_x",
        "run_id": "run_x",
        "step_id": "step_x",
        "upload_id": "upload_x",
        "vector_store_id": "vs_x",
        "batch_id": "vsfb_x",
    }
    foreign = lasting.call(lasting.stranger, dialect, operation).text
    unknown = lasting._replace(ids=never, of_run={}).call(lasting.stranger, dialect, operation).text
    for name, id in lasting.ids_for(operation).items():
        foreign = foreign.replace(id, never[name])
    assert foreign == unknown


@pytest.mark.promise("projects.are-separate")
def test_a_message_is_not_reached_through_a_thread_of_ones_own(estate: Estate) -> None:
    mine = estate.stranger.post("/v1/threads").json()["id"]
    path = f"/v1/threads/{mine}/messages/{estate.ids['message_id']}"
    before = estate.seen()
    for call in (estate.stranger.get, estate.stranger.post, estate.stranger.delete):
        assert call(path).status_code == 404
    assert estate.seen() == before


@pytest.mark.promise("projects.lists-are-separate")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("path", ["/threads", "/files"])
def test_lists_hold_only_ones_own(lasting: Estate, dialect: Dialect, path: str) -> None:
    base, headers = BASES[dialect.name]
    assert lasting.stranger.get(base + path, headers=headers).json()["data"] == []
    assert lasting.owner.get(base + path, headers=headers).json()["data"]


@pytest.mark.promise("projects.files-are-separate")
@pytest.mark.parametrize("image", [False, True], ids=["attachment", "image_file"])
def test_another_projects_file_cannot_be_used(estate: Estate, image: bool) -> None:
    file = estate.ids["file_id"]
    part = {"type": "image_file", "image_file": {"file_id": file}}
    message: dict[str, Any] = {"role": "user", "content": [part] if image else "x"}
    if not image:
        message["attachments"] = [{"file_id": file, "tools": [{"type": "file_search"}]}]
    mine = f"/v1/threads/{estate.stranger.post('/v1/threads').json()['id']}"
    resources = {"tool_resources": {"code_interpreter": {"file_ids": [file]}}}
    listed = {"model": "m", "file_ids": [file]}
    attempts: list[Callable[[], httpx.Response]] = [
        lambda: estate.stranger.post(f"{mine}/messages", json=message),
        lambda: estate.stranger.post("/v1/threads", json={"messages": [message]}),
        lambda: estate.stranger.post("/v1/threads", json=resources),
        lambda: estate.stranger.post("/v1/vector_stores", json={"file_ids": [file]}),
        lambda: estate.stranger.post(mine, json=resources),
        lambda: estate.stranger.post("/v1/assistants", json={"model": "m", **resources}),
        lambda: estate.stranger.post("/v1/assistants", json=listed, headers=BASES["openai_v1"][1]),
    ]
    for attempt in attempts:
        answer = attempt()
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == f"No file found with id '{file}'."
