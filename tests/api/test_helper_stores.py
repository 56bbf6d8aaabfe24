"""Vector stores that are made on the way: with threads and assistants, and by attachments.

Reference: protocol sections 2 to 4.1 and 10.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import NotFoundError, OpenAI
from openai.types.beta import Assistant

from tests.api.conftest import Model
from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.upstream import Say

DAY = 24 * 3600
SEARCH: Any = {"type": "file_search"}
CODE: Any = {"type": "code_interpreter"}


def new_files(client: OpenAI, count: int) -> list[str]:
    return [client.files.create(file=("a.txt", b"a"), purpose="assistants").id for _ in range(count)]


def for_search(*file_ids: str) -> list[Any]:
    return [{"file_id": id, "tools": [SEARCH]} for id in file_ids]


def user(*file_ids: str) -> Any:
    return {"role": "user", "content": "x", "attachments": for_search(*file_ids)}


def store_of(resources: Any) -> str:
    """The one store that tools are given."""
    [id] = resources.file_search.vector_store_ids
    return str(id)


def files_in(client: OpenAI, store_id: str) -> list[str]:
    """The files of a store, in the order in which they came to it."""
    return [one.id for one in client.vector_stores.files.list(store_id, order="asc")]


def stores(client: OpenAI) -> int:
    return len(client.vector_stores.list().data)


def makes(store: Any) -> Any:
    return {"file_search": {"vector_stores": [store]}}


def has(store_id: str) -> Any:
    return {"file_search": {"vector_store_ids": [store_id]}}


# ---------------------------------------------------------------- the helper


@pytest.mark.promise("helper-stores.threads")
def test_a_thread_is_made_with_a_store(client: OpenAI) -> None:
    ids = new_files(client, 2)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}
    given = {"file_ids": [*ids, ids[0]], "chunking_strategy": static, "metadata": {"a": "b"}}
    thread = client.beta.threads.create(tool_resources=makes(given))
    id = store_of(thread.tool_resources)
    assert client.beta.threads.retrieve(thread.id).to_dict() == thread.to_dict()
    made = client.vector_stores.retrieve(id).to_dict()
    assert (made["name"], made["metadata"]) == (None, {"a": "b"})
    assert made["expires_after"] == {"anchor": "last_active_at", "days": 7}
    assert made["expires_at"] == made["last_active_at"] + 7 * DAY  # type: ignore[operator]  # numbers
    assert files_in(client, id) == ids
    assert (
        client.vector_stores.files.retrieve(ids[0], vector_store_id=id).to_dict()["chunking_strategy"]
        == static
    )


@pytest.mark.promise("helper-stores.assistants")
def test_an_assistant_is_made_with_a_store_that_stays(client: OpenAI) -> None:
    ids = new_files(client, 1)
    made = client.beta.assistants.create(
        model="gpt-4o",
        tools=[SEARCH, CODE],
        tool_resources=makes({"file_ids": ids}),
    )
    id = store_of(made.tool_resources)
    assert made.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}, **has(id)}
    assert client.beta.assistants.retrieve(made.id).to_dict() == made.to_dict()
    store = client.vector_stores.retrieve(id).to_dict()
    assert (store["expires_after"], store["expires_at"]) == (None, None)
    assert files_in(client, id) == ids


@pytest.mark.promise("helper-stores.threads", "helper-stores.assistants")
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
@pytest.mark.parametrize(
    ("search", "is_made"),
    [
        ({"vector_stores": [{}]}, True),
        ({"vector_stores": [{"file_ids": [], "chunking_strategy": {"type": "auto"}}]}, True),
        ({"vector_stores": [{"file_ids": None, "chunking_strategy": None, "metadata": None}]}, True),
        ({"vector_stores": [], "vector_store_ids": None}, False),
        ({"vector_stores": None, "vector_store_ids": []}, False),
    ],
)
def test_a_store_may_be_made_empty(
    http: httpx.Client, client: OpenAI, path: str, search: Any, is_made: bool
) -> None:
    body = {"model": "gpt-4o"} if path.endswith("assistants") else {}
    answer = http.post(path, json={**body, "tool_resources": {"file_search": search}})
    assert answer.status_code == 200, answer.text
    assert ("file_search" in answer.json()["tool_resources"]) == is_made
    assert [one.status for one in client.vector_stores.list()] == ["completed"] * is_made


WHERE = "tool_resources.file_search."
REFUSED = [
    (
        {"vector_stores": [{}, {}]},
        WHERE + "vector_stores",
        "array_above_max_length",
    ),
    ({"vector_stores": [{"x": 1}]}, WHERE + "vector_stores[0].x", "unknown_parameter"),
    ({"vector_stores": [{"file_ids": "x"}]}, WHERE + "vector_stores[0].file_ids", "invalid_type"),
    (
        {"vector_stores": [{}], "vector_store_ids": ["vs_x"]},
        WHERE + "vector_stores",
        "mutually_exclusive_parameters",
    ),
    (
        {
            "vector_stores": [
                {
                    "chunking_strategy": {
                        "type": "static",
                        "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 101},
                    }
                }
            ]
        },
        WHERE + "vector_stores[0].chunking_strategy.static.chunk_overlap_tokens",
        "integer_above_max_value",
    ),
]


@pytest.mark.promise("helper-stores.refused")
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
@pytest.mark.parametrize(("search", "param", "code"), REFUSED)
def test_what_makes_no_store_is_refused(
    http: httpx.Client, client: OpenAI, path: str, search: Any, param: str, code: str
) -> None:
    body = {"model": "gpt-4o"} if path.endswith("assistants") else {}
    answer = http.post(path, json={**body, "tool_resources": {"file_search": search}})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert stores(client) == 0


@pytest.mark.promise("helper-stores.refused")
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
def test_only_creation_makes_stores(http: httpx.Client, client: OpenAI, path: str) -> None:
    made = http.post(path, json={"model": "gpt-4o"} if path.endswith("assistants") else {}).json()
    answer = http.post(f"{path}/{made['id']}", json={"tool_resources": makes({})})
    name = WHERE + "vector_stores"
    assert answered(answer) == refusal(400, f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    assert stores(client) == 0


@pytest.mark.promise("helper-stores.refused")
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
def test_without_its_files_no_store_is_made(http: httpx.Client, client: OpenAI, path: str) -> None:
    ids = [*new_files(client, 1), "file-x"]
    body = {"model": "gpt-4o"} if path.endswith("assistants") else {}
    answer = http.post(path, json={**body, "tool_resources": makes({"file_ids": ids})})
    assert answered(answer) == refusal(404, "No file found with id 'file-x'.")
    assert (stores(client), http.get(path).json()["data"]) == (0, [])


# ---------------------------------------------------------------- stores by id


@pytest.mark.promise("helper-stores.by-id")
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
def test_a_store_is_named_by_its_id(http: httpx.Client, client: OpenAI, path: str) -> None:
    first, second = (client.vector_stores.create().id for _ in range(2))
    body = {"model": "gpt-4o"} if path.endswith("assistants") else {}
    made = http.post(path, json={**body, "tool_resources": has(first)}).json()
    assert made["tool_resources"] == has(first)
    place = f"{path}/{made['id']}"
    changed = http.post(place, json={"tool_resources": has(second)}).json()
    assert changed["tool_resources"] == http.get(place).json()["tool_resources"] == has(second)
    missing = refusal(404, "No vector store found with id 'vs_x'.")
    assert answered(http.post(path, json={**body, "tool_resources": has("vs_x")})) == missing
    assert answered(http.post(place, json={"tool_resources": has("vs_x")})) == missing
    assert http.get(place).json() == changed
    assert stores(client) == 2


@pytest.mark.promise("helper-stores.by-id")
def test_a_run_with_its_thread_is_given_stores_by_id(
    client: OpenAI, http: httpx.Client, assistant: Assistant, model: Model
) -> None:
    model.says(Say("Hello"))
    store = client.vector_stores.create()
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "x"}], "tool_resources": makes({})},
        tool_resources=has(store.id),
    )
    assert run.status == "completed"
    assert client.beta.threads.retrieve(run.thread_id).to_dict()["tool_resources"] != has(store.id)
    body = {"assistant_id": assistant.id, "tool_resources": has("vs_x")}
    missing = refusal(404, "No vector store found with id 'vs_x'.")
    assert answered(http.post("/v1/threads/runs", json=body)) == missing
    body = {"assistant_id": assistant.id, "tool_resources": makes({})}
    assert http.post("/v1/threads/runs", json=body).json()["error"]["code"] == "unknown_parameter"


# ---------------------------------------------------------------- attachments


@pytest.mark.promise("helper-stores.attachments")
def test_a_threads_first_messages_make_its_store(client: OpenAI) -> None:
    ids = new_files(client, 3)
    both: Any = {
        "role": "user",
        "content": "y",
        "attachments": [{"file_id": ids[2], "tools": [CODE, SEARCH]}],
    }
    thread = client.beta.threads.create(messages=[user(ids[0], ids[1], ids[0]), user(ids[1]), both])
    id = store_of(thread.tool_resources)
    assert thread.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": ids[2:]}, **has(id)}
    assert client.beta.threads.retrieve(thread.id).to_dict() == thread.to_dict()
    assert files_in(client, id) == ids
    made = client.vector_stores.retrieve(id)
    assert made.to_dict()["expires_after"] == {"anchor": "last_active_at", "days": 7}
    assert stores(client) == 1


@pytest.mark.promise("helper-stores.attachments")
def test_an_attachment_makes_the_threads_store_and_more_extend_it(client: OpenAI) -> None:
    ids, thread = new_files(client, 3), client.beta.threads.create()
    messages = client.beta.threads.messages
    messages.create(thread.id, role="user", content="x", attachments=for_search(ids[0]))
    id = store_of(client.beta.threads.retrieve(thread.id).tool_resources)
    assert files_in(client, id) == ids[:1]
    messages.create(thread.id, role="user", content="x", attachments=for_search(*ids))
    assert store_of(client.beta.threads.retrieve(thread.id).tool_resources) == id
    assert files_in(client, id) == ids
    assert stores(client) == 1


@pytest.mark.promise("helper-stores.attachments")
@pytest.mark.parametrize("by_helper", [True, False])
def test_attachments_go_into_the_store_that_the_thread_has(client: OpenAI, by_helper: bool) -> None:
    ids = new_files(client, 3)
    store = client.vector_stores.create(file_ids=ids[:1])
    client.vector_stores.files.update(ids[0], vector_store_id=store.id, attributes={"a": "b"})
    resources = makes({"file_ids": ids[:1]}) if by_helper else has(store.id)
    thread = client.beta.threads.create(messages=[user(*ids[:2])], tool_resources=resources)
    id = store_of(thread.tool_resources)
    assert (id == store.id) != by_helper
    client.beta.threads.messages.create(thread.id, role="user", content="x", attachments=for_search(*ids))
    assert files_in(client, id) == ids
    kept = client.vector_stores.files.retrieve(ids[0], vector_store_id=store.id)
    assert kept.attributes == {"a": "b"}


@pytest.mark.promise("helper-stores.attachments")
def test_only_files_for_search_make_a_store(client: OpenAI) -> None:
    [id], threads = new_files(client, 1), client.beta.threads
    for attachment in ({"file_id": id}, {"file_id": id, "tools": []}, {"file_id": id, "tools": [CODE]}):
        given: Any = [attachment]
        thread = threads.create(messages=[{"role": "user", "content": "x", "attachments": given}])
        threads.messages.create(thread.id, role="user", content="x", attachments=given)
        assert "file_search" not in threads.retrieve(thread.id).to_dict()["tool_resources"]  # type: ignore[operator]
    assert stores(client) == 0


@pytest.mark.promise("helper-stores.attachments")
def test_additional_messages_of_a_run_extend_the_store(
    client: OpenAI, assistant: Assistant, model: Model
) -> None:
    model.says(Say("Hello"), Say("Hello"))
    ids = new_files(client, 2)
    thread = client.beta.threads.create()
    for id in ids:
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, additional_messages=[user(id)]
        )
        assert run.status == "completed"
    store_id = store_of(client.beta.threads.retrieve(thread.id).tool_resources)
    assert files_in(client, store_id) == ids


@pytest.mark.promise("helper-stores.attachments")
def test_a_store_that_is_gone_is_replaced(client: OpenAI) -> None:
    ids = new_files(client, 2)
    thread = client.beta.threads.create(messages=[user(ids[0])])
    old = store_of(thread.tool_resources)
    client.vector_stores.delete(old)
    client.beta.threads.messages.create(thread.id, role="user", content="x", attachments=for_search(ids[1]))
    new = store_of(client.beta.threads.retrieve(thread.id).tool_resources)
    assert new != old
    assert files_in(client, new) == ids[1:]


@pytest.mark.promise("helper-stores.attachments")
def test_a_message_that_is_refused_makes_no_store(client: OpenAI) -> None:
    ids, thread = [*new_files(client, 1), "file-x"], client.beta.threads.create()
    with pytest.raises(NotFoundError, match="No file found with id 'file-x'"):
        client.beta.threads.messages.create(thread.id, role="user", content="x", attachments=for_search(*ids))
    with pytest.raises(NotFoundError, match="No thread found with id 'thread_x'"):
        client.beta.threads.messages.create(
            "thread_x", role="user", content="x", attachments=for_search(ids[0])
        )
    assert stores(client) == 0


@pytest.mark.promise("helper-stores.attachments")
def test_a_deleted_file_leaves_the_store(client: OpenAI) -> None:
    ids = new_files(client, 2)
    thread = client.beta.threads.create(messages=[user(*ids)])
    client.files.delete(ids[0])
    assert files_in(client, store_of(thread.tool_resources)) == ids[1:]


@pytest.mark.promise("helper-stores.attachments")
def test_attachments_at_the_same_time_make_one_store(client: OpenAI, http: httpx.Client) -> None:
    ids, thread = new_files(client, 8), client.beta.threads.create()
    place = f"/v1/threads/{thread.id}/messages"
    with ThreadPoolExecutor(len(ids)) as pool:
        answers = list(pool.map(lambda id: http.post(place, json=user(id)), ids))
    assert {answer.status_code for answer in answers} == {200}
    id = store_of(client.beta.threads.retrieve(thread.id).tool_resources)
    assert sorted(files_in(client, id)) == sorted(ids)
    assert stores(client) == 1


@pytest.mark.promise("helper-stores.attachments")
def test_a_store_that_has_expired_is_replaced(tmp_path: Path, database: str) -> None:
    clock = SetClock()
    with (
        House(tmp_path, database, clock=clock) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("x"), max_retries=0) as client,
    ):
        threads, ids = client.beta.threads, new_files(client, 3)
        thread = threads.create(messages=[user(ids[0])])
        old = store_of(thread.tool_resources)
        clock.advance(6 * DAY)
        threads.messages.create(thread.id, role="user", content="x", attachments=for_search(ids[1]))
        assert store_of(threads.retrieve(thread.id).tool_resources) == old
        clock.advance(7 * DAY)
        assert client.vector_stores.retrieve(old).status == "expired"
        threads.messages.create(thread.id, role="user", content="x", attachments=for_search(*ids[1:]))
        new = store_of(threads.retrieve(thread.id).tool_resources)
        assert new != old
        assert files_in(client, new) == ids[1:]


@pytest.mark.promise("helper-stores.attachments")
def test_to_attach_what_a_store_has_is_a_use_of_it(tmp_path: Path, database: str) -> None:
    clock = SetClock()
    with (
        House(tmp_path, database, clock=clock) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("x"), max_retries=0) as client,
    ):
        threads, ids = client.beta.threads, new_files(client, 1)
        thread = threads.create(messages=[user(*ids)])
        id = store_of(thread.tool_resources)
        for _ in range(2):
            clock.advance(6 * DAY)
            threads.messages.create(thread.id, role="user", content="x", attachments=for_search(*ids))
        assert store_of(threads.retrieve(thread.id).tool_resources) == id
        assert client.vector_stores.retrieve(id).last_active_at == int(clock())


@pytest.mark.promise("helper-stores.by-id")
def test_another_projects_store_is_not_found(house: House, http: httpx.Client, other_key: str) -> None:
    with OpenAI(base_url=house.base_url, api_key=other_key, max_retries=0) as other:
        id = other.vector_stores.create().id
    missing = refusal(404, f"No vector store found with id '{id}'.")
    for path, body in (("/v1/threads", {}), ("/v1/assistants", {"model": "m"})):
        assert answered(http.post(path, json={**body, "tool_resources": has(id)})) == missing


@pytest.mark.promise("helper-stores.attachments")
def test_attachments_and_deletions_may_meet(client: OpenAI, http: httpx.Client, v1: httpx.Client) -> None:
    """Threads and an assistant that share a store, files that come to it and go: nothing fails but what
    names a file that is gone, and in the end the store has just the files that are left."""
    ids, store = new_files(client, 24), client.vector_stores.create().id
    threads = [client.beta.threads.create(tool_resources=has(store)).id for _ in range(4)]
    assistant = http.post(
        "/v1/assistants", json={"model": "m", "tools": [SEARCH], "tool_resources": has(store)}
    )
    listed = f"/v1/assistants/{assistant.json()['id']}/files"

    def work(number: int) -> list[httpx.Response]:
        one, other = ids[number], ids[(number + 7) % len(ids)]
        thread = f"/v1/threads/{threads[number % 4]}/messages"
        answers = [http.post(thread, json=user(one, other)), v1.post(listed, json={"file_id": other})]
        return [*answers, http.delete(f"/v1/files/{one}")] if number % 2 else answers

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for some in pool.map(work, range(len(ids))) for answer in some]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} <= {400, 404}, [one.text for one in refused]
    left = set(ids[::2])
    assert set(files_in(client, store)) == left
    assert client.vector_stores.retrieve(store).file_counts.total == len(left)


# ---------------------------------------------------------------- v1


@pytest.fixture
def v1(http: httpx.Client) -> Iterator[httpx.Client]:
    """The same project, spoken to in v1."""
    headers = {**http.headers, "openai-beta": "assistants=v1"}
    with httpx.Client(
        base_url=http.base_url, headers=headers, event_hooks=http.event_hooks, verify=False
    ) as one:
        yield one


def of_assistant(client: OpenAI, id: str) -> str:
    return store_of(client.beta.assistants.retrieve(id).tool_resources)


@pytest.mark.promise("helper-stores.v1-messages")
def test_file_ids_of_a_v1_message_are_searched(client: OpenAI, v1: httpx.Client) -> None:
    ids = new_files(client, 2)
    thread = v1.post(
        "/v1/threads", json={"messages": [{"role": "user", "content": "x", "file_ids": ids[:1]}]}
    )
    place = f"/v1/threads/{thread.json()['id']}"
    resources = client.beta.threads.retrieve(thread.json()["id"]).tool_resources
    id = store_of(resources)
    assert files_in(client, id) == ids[:1]
    v1.post(f"{place}/messages", json={"role": "user", "content": "x", "file_ids": ids})
    assert files_in(client, id) == ids
    assert "tool_resources" not in v1.get(place).json()


@pytest.mark.promise("helper-stores.v1-assistants")
def test_what_a_v1_assistant_retrieves_from_is_a_store(client: OpenAI, v1: httpx.Client) -> None:
    ids = new_files(client, 4)
    body = {"model": "gpt-4o", "tools": [{"type": "retrieval"}], "file_ids": ids[:2]}
    made = v1.post("/v1/assistants", json=body).json()
    place, id = f"/v1/assistants/{made['id']}", of_assistant(client, made["id"])
    assert files_in(client, id) == ids[:2]
    assert client.vector_stores.retrieve(id).expires_after is None
    assert v1.post(f"{place}/files", json={"file_id": ids[2]}).status_code == 200
    assert files_in(client, id) == ids[:3]
    assert v1.delete(f"{place}/files/{ids[0]}").status_code == 200
    assert files_in(client, id) == ids[1:3]
    changed = v1.post(place, json={"file_ids": ids[2:]}).json()
    assert (changed["file_ids"], files_in(client, id)) == (ids[2:], ids[2:])
    assert of_assistant(client, made["id"]) == id
    assert stores(client) == 1


@pytest.mark.promise("helper-stores.v1-assistants")
def test_a_v1_assistant_has_a_store_once_it_retrieves_and_has_files(client: OpenAI, v1: httpx.Client) -> None:
    ids, retrieval = new_files(client, 2), [{"type": "retrieval"}]
    first = v1.post("/v1/assistants", json={"model": "gpt-4o", "file_ids": ids}).json()
    second = v1.post("/v1/assistants", json={"model": "gpt-4o", "tools": retrieval}).json()
    assert stores(client) == 0
    v1.post(f"/v1/assistants/{first['id']}", json={"tools": retrieval})
    v1.post(f"/v1/assistants/{second['id']}/files", json={"file_id": ids[1]})
    assert files_in(client, of_assistant(client, first["id"])) == ids
    assert files_in(client, of_assistant(client, second["id"])) == ids[1:]
    v1.post(f"/v1/assistants/{first['id']}", json={"tools": retrieval, "name": "n"})
    assert stores(client) == 2


@pytest.mark.promise("helper-stores.v1-assistants")
def test_what_v2_takes_from_the_store_stays_in_v1s_list(client: OpenAI, v1: httpx.Client) -> None:
    ids = new_files(client, 2)
    body = {"model": "gpt-4o", "tools": [{"type": "retrieval"}], "file_ids": ids}
    made = v1.post("/v1/assistants", json=body).json()
    id = of_assistant(client, made["id"])
    client.vector_stores.files.delete(ids[0], vector_store_id=id)
    place = f"/v1/assistants/{made['id']}"
    assert v1.get(place).json()["file_ids"] == ids
    assert v1.delete(f"{place}/files/{ids[0]}").status_code == 200
    assert files_in(client, id) == ids[1:]


@pytest.mark.promise("helper-stores.v1-assistants.deleted")
def test_the_store_of_a_deleted_v1_assistant_goes_after_a_week(client: OpenAI, v1: httpx.Client) -> None:
    made = v1.post("/v1/assistants", json=retrieving(new_files(client, 2))).json()
    id = of_assistant(client, made["id"])
    assert v1.delete(f"/v1/assistants/{made['id']}").status_code == 200
    store = client.vector_stores.retrieve(id)
    assert store.expires_after is not None
    assert store.expires_after.days == 7
    assert store.expires_at == (store.last_active_at or 0) + 7 * DAY


@pytest.mark.promise("helper-stores.v1-assistants.deleted")
@pytest.mark.parametrize("change", [{"name": "n"}, {"metadata": {"a": "b"}}, "files", "list"])
def test_a_store_that_somebody_has_made_his_own_stays(client: OpenAI, v1: httpx.Client, change: Any) -> None:
    ids = new_files(client, 2)
    made = v1.post("/v1/assistants", json=retrieving(ids[:1])).json()
    id = of_assistant(client, made["id"])
    if change == "files":
        client.vector_stores.files.create(id, file_id=ids[1])
    elif change == "list":
        v1.delete(f"/v1/assistants/{made['id']}/files/{ids[0]}")
    else:
        client.vector_stores.update(id, **change)
    client.beta.assistants.delete(made["id"])
    assert client.vector_stores.retrieve(id).expires_after is None


def retrieving(file_ids: list[str]) -> dict[str, Any]:
    return {"model": "gpt-4o", "tools": [{"type": "retrieval"}], "file_ids": file_ids}
