"""Vector stores, through the official client. Reference: protocol section 10."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.errors import answered, refusal
from tests.support.masking import masked

NOTHING = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
STORE: dict[str, Any] = {
    "id": "vs_*",
    "object": "vector_store",
    "created_at": "now",
    "name": None,
    "description": None,
    "usage_bytes": 0,
    "file_counts": NOTHING,
    "status": "completed",
    "expires_after": None,
    "expires_at": None,
    "last_active_at": "now",
    "metadata": {},
}
"""A new store of which nothing was said, in the order of the wire."""
A_DAY = 24 * 3600


def new(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/vector_stores", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def new_files(client: OpenAI, count: int) -> list[str]:
    return [client.files.create(file=("a.txt", b"a"), purpose="assistants").id for _ in range(count)]


# ---------------------------------------------------------------- create


@pytest.mark.promise("vector-stores.create.defaults")
def test_a_store_made_empty_is_completed_at_once_and_keys_are_in_the_services_order(
    http: httpx.Client,
) -> None:
    answer = http.post("/v1/vector_stores", json={})
    assert json.dumps(masked(answer.json())) == json.dumps(STORE)
    assert answer.json()["created_at"] == answer.json()["last_active_at"]


@pytest.mark.promise("vector-stores.create.echo")
def test_what_is_given_is_answered_then_and_later(client: OpenAI) -> None:
    store = client.vector_stores.create(
        name="Handbücher",
        extra_body={"description": "All of them."},
        metadata={"team": "a"},
        expires_after={"anchor": "last_active_at", "days": 7},
    )
    assert masked(store) == {
        **STORE,
        "name": "Handbücher",
        "description": "All of them.",
        "metadata": {"team": "a"},
        "expires_after": {"anchor": "last_active_at", "days": 7},
        "expires_at": store.expires_at,
    }
    assert store.expires_at == store.last_active_at + 7 * A_DAY  # type: ignore[operator]  # never null here
    assert client.vector_stores.retrieve(store.id) == store


@pytest.mark.promise("vector-stores.create.null")
def test_null_on_create_means_not_given(http: httpx.Client) -> None:
    names = ("file_ids", "name", "description", "expires_after", "chunking_strategy", "metadata")
    assert masked(new(http, **dict.fromkeys(names))) == STORE


@pytest.mark.promise("vector-stores.create.files")
def test_a_store_is_made_with_its_files_or_not_at_all(client: OpenAI) -> None:
    one, two = new_files(client, 2)
    store = client.vector_stores.create(file_ids=[one, two, one])
    assert store.file_counts.total == 2
    assert {file.id for file in client.vector_stores.files.list(store.id)} == {one, two}
    with pytest.raises(NotFoundError, match="No file found with id 'file-x'"):
        client.vector_stores.create(name="never", file_ids=[one, "file-x"])
    assert "never" not in {store.name for store in client.vector_stores.list()}


BAD: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
    (
        {"name": 1},
        (
            "Invalid type for 'name': expected a string, but got an integer instead.",
            "name",
            "invalid_type",
        ),
    ),
    ({"vector": 1}, ("Unknown parameter: 'vector'.", "vector", "unknown_parameter")),
    (
        {"file_ids": ["file-x"] * 501},
        (
            "Invalid 'file_ids': array too long. Expected an array with maximum length 500, but got an array "
            "with length 501 instead.",
            "file_ids",
            "array_above_max_length",
        ),
    ),
    (
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        (
            "Invalid 'expires_after.days': integer above maximum value. Expected a value <= 365, but got 366 "
            "instead.",
            "expires_after.days",
            "integer_above_max_value",
        ),
    ),
    (
        {"expires_after": {"anchor": "created_at", "days": 1}},
        (
            "Invalid value: 'created_at'. Value must be 'last_active_at'.",
            "expires_after.anchor",
            "invalid_value",
        ),
    ),
    (
        {"chunking_strategy": {"type": "semantic"}},
        (
            "Invalid value: 'semantic'. Supported values are: 'auto' and 'static'.",
            "chunking_strategy.type",
            "invalid_value",
        ),
    ),
    (
        {"chunking_strategy": {"type": "static"}},
        (
            "Missing required parameter: 'chunking_strategy.static'.",
            "chunking_strategy.static",
            "missing_required_parameter",
        ),
    ),
    (
        {"metadata": {"a": 1}},
        (
            "Invalid type for 'metadata.a': expected a string, but got an integer instead.",
            "metadata.a",
            "invalid_type",
        ),
    ),
]


@pytest.mark.promise("vector-stores.validation")
@pytest.mark.parametrize(("body", "words"), BAD, ids=[words[1] + " " + words[2] for _, words in BAD])
def test_a_body_that_breaks_a_rule_is_refused_whole(
    http: httpx.Client, body: dict[str, Any], words: tuple[str, str, str]
) -> None:
    before = http.get("/v1/vector_stores").json()["data"]
    assert answered(http.post("/v1/vector_stores", json=body)) == refusal(400, *words)
    assert http.get("/v1/vector_stores").json()["data"] == before


SIZES = [
    (99, 0, "max_chunk_size_tokens", "integer below minimum value. Expected a value >= 100, but got 99"),
    (4097, 0, "max_chunk_size_tokens", "integer above maximum value. Expected a value <= 4096, but got 4097"),
    (800, -1, "chunk_overlap_tokens", "integer below minimum value. Expected a value >= 0, but got -1"),
    (801, 401, "chunk_overlap_tokens", "integer above maximum value. Expected a value <= 400, but got 401"),
]


@pytest.mark.promise("vector-stores.chunking.limits")
@pytest.mark.parametrize(("size", "overlap", "name", "words"), SIZES)
def test_chunks_have_100_to_4096_tokens_and_overlap_by_half_at_most(
    client: OpenAI, size: int, overlap: int, name: str, words: str
) -> None:
    static: Any = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.create(chunking_strategy={"type": "static", "static": static})
    assert refused.value.param == f"chunking_strategy.static.{name}"
    assert words in refused.value.message


# ---------------------------------------------------------------- list


@pytest.mark.promise("vector-stores.list")
def test_stores_are_listed_newest_first_and_pages_go_both_ways(client: OpenAI) -> None:
    made = [client.vector_stores.create(name=str(number)).id for number in range(5)]
    listed = client.vector_stores.list()
    assert [store.id for store in listed] == made[::-1]
    page = client.vector_stores.list(order="asc", limit=2, after=made[1])
    assert [store.id for store in page.data] == made[2:4]
    assert page.has_more
    assert [store.id for store in client.vector_stores.list(order="asc", before=made[2]).data] == made[:2]
    assert [store.id for store in client.vector_stores.list(order="asc", limit=2)] == made


@pytest.mark.promise("vector-stores.list")
def test_a_deleted_cursor_keeps_its_place_and_an_unknown_one_is_not_found(client: OpenAI) -> None:
    made = [client.vector_stores.create().id for _ in range(3)]
    client.vector_stores.delete(made[1])
    assert [store.id for store in client.vector_stores.list(order="asc", after=made[1])] == [made[2]]
    with pytest.raises(NotFoundError, match="No vector store found with id 'vs_x'"):
        client.vector_stores.list(after="vs_x")


# ---------------------------------------------------------------- modify and delete


@pytest.mark.promise("vector-stores.modify")
def test_what_is_absent_stays_and_null_takes_name_and_expiry_away(http: httpx.Client) -> None:
    store = new(
        http,
        name="a",
        description="d",
        metadata={"a": "b"},
        expires_after={"anchor": "last_active_at", "days": 1},
    )
    path = f"/v1/vector_stores/{store['id']}"
    for change in ({}, {"name": "b", "metadata": {"c": "d"}}):
        changed = http.post(path, json=change).json()
        expires_at = changed["last_active_at"] + A_DAY
        assert masked(changed) == masked({**store, **change, "expires_at": expires_at})
    longer = http.post(path, json={"expires_after": {"anchor": "last_active_at", "days": 3}}).json()
    assert longer["expires_at"] == longer["last_active_at"] + 3 * A_DAY
    bare = http.post(path, json={"name": None, "expires_after": None, "metadata": None}).json()
    assert masked(bare) == {**STORE, "description": "d", "metadata": {"c": "d"}}
    assert http.get(path).json() == bare


@pytest.mark.promise("vector-stores.names.limits")
def test_a_name_and_a_description_have_so_many_characters_and_no_more(http: httpx.Client) -> None:
    long = {"name": "ü" * 256, "description": "ü" * 512}
    store = new(http, **long)
    assert {key: store[key] for key in long} == long
    path = f"/v1/vector_stores/{store['id']}"
    assert http.post(path, json={"name": "n" * 256}).json()["name"] == "n" * 256
    for at, key, limit in (
        ("/v1/vector_stores", "name", 256),
        ("/v1/vector_stores", "description", 512),
        (path, "name", 256),
    ):
        refused = http.post(at, json={key: "ü" * (limit + 1)})
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            {
                "message": f"Invalid '{key}': string too long. Expected a string with maximum length "
                f"{limit}, but got a string with length {limit + 1} instead.",
                "type": "invalid_request_error",
                "param": key,
                "code": "string_above_max_length",
            },
        )
    assert http.get(path).json()["name"] == "n" * 256


@pytest.mark.promise("vector-stores.delete")
def test_a_deleted_store_is_gone_with_all_in_it_and_its_files_stay(client: OpenAI) -> None:
    [file] = new_files(client, 1)
    store = client.vector_stores.create(file_ids=[file])
    batch = client.vector_stores.file_batches.create(store.id, file_ids=[file])
    deleted = client.vector_stores.delete(store.id)
    assert deleted.to_dict() == {"id": store.id, "object": "vector_store.deleted", "deleted": True}
    words = f"No vector store found with id '{store.id}'"
    for asked in (
        lambda: client.vector_stores.retrieve(store.id),
        lambda: client.vector_stores.delete(store.id),
        lambda: client.vector_stores.update(store.id, name="a"),
        lambda: client.vector_stores.files.list(store.id),
        lambda: client.vector_stores.files.retrieve(file, vector_store_id=store.id),
        lambda: client.vector_stores.files.create(store.id, file_id=file),
        lambda: client.vector_stores.files.delete(file, vector_store_id=store.id),
        lambda: client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id),
        lambda: client.vector_stores.file_batches.create(store.id, file_ids=[file]),
    ):
        with pytest.raises(NotFoundError, match=words):
            asked()
    assert client.files.retrieve(file).id == file


@pytest.mark.promise("vector-stores.prefix")
def test_an_id_that_cannot_name_a_store_or_a_batch_is_refused(http: httpx.Client) -> None:
    words = "Invalid 'vector_store_id': 'asst_1'. Expected an ID that begins with 'vs'."
    assert answered(http.get("/v1/vector_stores/asst_1")) == refusal(
        400, words, "vector_store_id", "invalid_value"
    )
    words = "Invalid 'batch_id': 'x'. Expected an ID that begins with 'vsfb'."
    answer = http.get("/v1/vector_stores/vs_1/file_batches/x")
    assert answered(answer) == refusal(400, words, "batch_id", "invalid_value")


@pytest.mark.promise("vector-stores.v2-only")
def test_v1_and_rubra_have_no_vector_stores(house: Any, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "OpenAI-Beta": "assistants=v1"}
    with httpx.Client(base_url=house.address, headers=headers) as one:
        assert one.get("/v1/vector_stores").status_code == 404
        assert one.get("/rubra/vector_stores").status_code == 404


@pytest.mark.promise("vector-stores.once")
def test_a_store_is_made_once_for_a_key(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one"}
    first, second = (http.post("/v1/vector_stores", json={"name": "a"}, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert len(http.get("/v1/vector_stores").json()["data"]) == 1


# ---------------------------------------------------------------- the clients' helpers


@pytest.mark.promise("vector-stores.poll")
def test_poll_helpers_return_when_a_file_is_searchable(client: OpenAI) -> None:
    store = client.vector_stores.create()
    done = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.txt", b"Some words.")
    )
    assert (done.status, done.last_error) == ("completed", None)
    texts = [piece.text for piece in client.vector_stores.files.content(done.id, vector_store_id=store.id)]
    assert texts == ["Some words."]
    batch = client.vector_stores.file_batches.upload_and_poll(
        store.id, files=[("b.md", b"# Others"), ("c.bin", b"\0\1\2")]
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 1, 1)
    after = client.vector_stores.retrieve(store.id)
    assert (after.status, after.file_counts.completed, after.file_counts.failed) == ("completed", 2, 1)
    assert after.usage_bytes >= done.usage_bytes > 0


@pytest.mark.promise("vector-stores.poll")
def test_poll_helpers_are_told_when_to_ask_again(http: httpx.Client, client: OpenAI) -> None:
    [file] = new_files(client, 1)
    store = new(http)["id"]
    path = f"/v1/vector_stores/{store}"
    batch = http.post(f"{path}/file_batches", json={"file_ids": [file]}).json()["id"]
    for asked in (f"{path}/files/{file}", f"{path}/file_batches/{batch}"):
        assert int(http.get(asked).headers["openai-poll-after-ms"]) > 0
