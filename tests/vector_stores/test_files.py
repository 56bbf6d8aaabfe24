"""Files in vector stores. Reference: protocol section 10."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.errors import answered, refusal
from tests.support.masking import masked
from tests.vector_stores.conftest import Worker
from threadkeep.vector_stores.progress import Lost

FILE: dict[str, Any] = {
    "id": "file-*",
    "object": "vector_store.file",
    "usage_bytes": 0,
    "created_at": "now",
    "vector_store_id": "vs_*",
    "status": "in_progress",
    "last_error": None,
    "chunking_strategy": {
        "type": "static",
        "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
    },
    "attributes": {},
}
"""A file that has just been put into a store, in the order of the wire."""


def counts(client: OpenAI, store_id: str) -> dict[str, int]:
    """The numbers of files in a store that are not 0."""
    numbers = client.vector_stores.retrieve(store_id).file_counts.to_dict()
    return {name: number for name, number in numbers.items() if number}  # type: ignore[misc]  # all are int


# ---------------------------------------------------------------- attach


@pytest.mark.promise("vector-stores.files.attach")
def test_a_file_is_in_progress_at_first_with_its_chunking_shown(http: httpx.Client, new_files: Any) -> None:
    [file] = new_files(1)
    store = http.post("/v1/vector_stores", json={}).json()["id"]
    answer = http.post(f"/v1/vector_stores/{store}/files", json={"file_id": file})
    assert json.dumps(masked(answer.json())) == json.dumps(FILE)
    assert answer.json()["id"] == file
    assert http.get(f"/v1/vector_stores/{store}/files/{file}").json() == answer.json()
    assert http.get(f"/v1/vector_stores/{store}").json()["status"] == "in_progress"


@pytest.mark.promise("vector-stores.files.chunking")
@pytest.mark.parametrize("size", [(100, 0), (4096, 2048), (301, 150)])
def test_chunking_is_answered_as_it_was_asked_for(
    client: OpenAI, worker: Worker, new_files: Any, size: tuple[int, int]
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create()
    static: Any = {"max_chunk_size_tokens": size[0], "chunk_overlap_tokens": size[1]}
    made = client.vector_stores.files.create(
        store.id, file_id=file, chunking_strategy={"type": "static", "static": static}
    )
    assert masked(made)["chunking_strategy"] == {"type": "static", "static": static}
    taken = worker.claim(f"{store.id}/{file}")
    assert taken is not None
    assert (taken.max_tokens, taken.overlap_tokens) == size
    assert (taken.filename, taken.bytes) == ("a.txt", 1)


@pytest.mark.promise("vector-stores.files.again")
def test_a_file_that_is_there_is_not_worked_again_for_nothing(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create(file_ids=[file])
    worker.finish(store.id)
    again = client.vector_stores.files.create(store.id, file_id=file, attributes={"a": 1})
    assert (again.status, again.attributes) == ("completed", {"a": 1})
    assert client.vector_stores.files.create(store.id, file_id=file).attributes == {"a": 1}
    assert counts(client, store.id) == {"completed": 1, "total": 1}
    otherwise: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    cut = client.vector_stores.files.create(store.id, file_id=file, chunking_strategy=otherwise)
    assert (cut.status, cut.usage_bytes, cut.attributes) == ("in_progress", 0, {"a": 1})
    assert counts(client, store.id) == {"in_progress": 1, "total": 1}
    assert client.vector_stores.retrieve(store.id).usage_bytes == 0


@pytest.mark.promise("vector-stores.files.again")
def test_a_file_that_failed_is_tried_again_when_it_is_attached_again(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create(file_ids=[file])
    [claim] = worker.claimed(store.id)
    worker.fail(claim)
    again = client.vector_stores.files.create(store.id, file_id=file)
    assert (again.status, again.last_error) == ("in_progress", None)
    worker.finish(store.id)
    assert counts(client, store.id) == {"completed": 1, "total": 1}


@pytest.mark.promise("vector-stores.files.unknown")
def test_what_is_not_there_is_named_as_the_service_names_it(http: httpx.Client, new_files: Any) -> None:
    [file] = new_files(1)
    store = http.post("/v1/vector_stores", json={}).json()["id"]
    path = f"/v1/vector_stores/{store}/files"
    unknown = refusal(404, "No file found with id 'file-x'.")
    assert answered(http.post(path, json={"file_id": "file-x"})) == unknown
    absent = refusal(404, f"No file found with id '{file}' in vector store '{store}'.")
    assert answered(http.get(f"{path}/{file}")) == absent
    assert answered(http.get(f"{path}/{file}/content")) == absent
    assert answered(http.delete(f"{path}/{file}")) == absent
    assert answered(http.post(f"{path}/{file}", json={"attributes": {}})) == absent
    assert answered(http.get(f"{path}?after={file}")) == absent


# ---------------------------------------------------------------- progress


@pytest.mark.promise("vector-stores.counts")
def test_numbers_bytes_and_statuses_follow_the_work(client: OpenAI, worker: Worker, new_files: Any) -> None:
    files = new_files(3)
    store = client.vector_stores.create(file_ids=files)
    assert counts(client, store.id) == {"in_progress": 3, "total": 3}
    done, failed, open_ = worker.claimed(store.id)
    worker.complete(done, usage_bytes=7)
    assert counts(client, store.id) == {"in_progress": 2, "completed": 1, "total": 3}
    worker.fail(failed, "unsupported_file", "This is no text.")
    worker.complete(open_, usage_bytes=5)
    assert counts(client, store.id) == {"completed": 2, "failed": 1, "total": 3}
    after = client.vector_stores.retrieve(store.id)
    assert (after.status, after.usage_bytes) == ("completed", 12)
    file = client.vector_stores.files.retrieve(done.file_id, vector_store_id=store.id)
    assert (file.status, file.usage_bytes) == ("completed", 7)
    file = client.vector_stores.files.retrieve(failed.file_id, vector_store_id=store.id)
    assert file.last_error is not None
    assert file.last_error.to_dict() == {"code": "unsupported_file", "message": "This is no text."}
    assert (file.status, file.usage_bytes) == ("failed", 0)


# ---------------------------------------------------------------- list


@pytest.mark.promise("vector-stores.files.list")
def test_files_are_listed_in_the_order_of_their_coming_and_by_status(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    files = new_files(5)
    store = client.vector_stores.create(file_ids=files).id
    listed = client.vector_stores.files.list
    assert [file.id for file in listed(store)] == files[::-1]
    assert [file.id for file in listed(store, order="asc", limit=2)] == files
    assert [file.id for file in listed(store, order="asc", after=files[1], before=files[4]).data] == files[
        2:4
    ]
    page = listed(store, order="asc", before=files[4], limit=2)
    assert ([file.id for file in page.data], page.has_more) == (files[2:4], True)
    for claim in worker.claimed(store):
        if claim.file_id == files[1]:
            worker.fail(claim)
        elif claim.file_id in files[2:4]:
            worker.complete(claim)
    ids = {
        status: [file.id for file in listed(store, filter=status, order="asc", limit=1)]
        for status in ("in_progress", "completed", "failed", "cancelled")
    }
    assert ids == {
        "in_progress": [files[0], files[4]],
        "completed": files[2:4],
        "failed": [files[1]],
        "cancelled": [],
    }


@pytest.mark.promise("vector-stores.files.list")
def test_a_filter_is_one_of_the_statuses(http: httpx.Client) -> None:
    store = http.post("/v1/vector_stores", json={}).json()["id"]
    words = (
        "Invalid value: 'done'. Supported values are: 'in_progress', 'completed', 'failed', and 'cancelled'."
    )
    answer = http.get(f"/v1/vector_stores/{store}/files?filter=done")
    assert answered(answer) == refusal(400, words, "filter", "invalid_value")


@pytest.mark.promise("vector-stores.files.cursors")
def test_a_removed_file_keeps_its_place_as_a_cursor(client: OpenAI, new_files: Any) -> None:
    files = new_files(3)
    store = client.vector_stores.create(file_ids=files).id
    for _ in range(2):  # it may come and go
        client.vector_stores.files.delete(files[1], vector_store_id=store)
        page = client.vector_stores.files.list(store, order="asc", after=files[1])
        assert files[1] not in [file.id for file in page.data]
        client.vector_stores.files.create(store, file_id=files[1])
    assert [file.id for file in client.vector_stores.files.list(store, order="asc")] == [
        files[0],
        files[2],
        files[1],
    ]


# ---------------------------------------------------------------- attributes


@pytest.mark.promise("vector-stores.files.attributes")
def test_attributes_are_strings_numbers_and_booleans_and_are_replaced_whole(
    http: httpx.Client, new_files: Any
) -> None:
    [file] = new_files(1)
    store = http.post("/v1/vector_stores", json={}).json()["id"]
    path = f"/v1/vector_stores/{store}/files"
    given = {"text": "x" * 512, "whole": 3, "half": 0.5, "yes": True, "k" * 64: ""}
    made = http.post(path, json={"file_id": file, "attributes": given}).json()
    assert json.dumps(made["attributes"]) == json.dumps(given)
    changed = http.post(f"{path}/{file}", json={"attributes": {"a": False}}).json()
    assert changed == {**made, "attributes": {"a": False}}
    assert http.get(f"{path}/{file}").json() == changed
    assert http.post(f"{path}/{file}", json={"attributes": None}).json()["attributes"] == {}


BAD: list[tuple[Any, str, str]] = [
    ({"a": [1]}, "attributes.a", "invalid_type"),
    ({"a": None}, "attributes.a", "invalid_type"),
    ({"a": "x" * 513}, "attributes.a", "string_above_max_length"),
    ({"k" * 65: "a"}, "attributes." + "k" * 65, "property_name_above_max_length"),
    ({str(number): "" for number in range(17)}, "attributes", "object_above_max_properties"),
    ("x", "attributes", "invalid_type"),
]


@pytest.mark.promise("vector-stores.files.attributes.limits")
@pytest.mark.parametrize(("attributes", "param", "code"), BAD)
def test_attributes_that_break_a_rule_are_refused(
    client: OpenAI, new_files: Any, attributes: Any, param: str, code: str
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create()
    for call in (
        lambda: client.vector_stores.files.create(store.id, file_id=file, attributes=attributes),
        lambda: client.vector_stores.files.update(file, vector_store_id=store.id, attributes=attributes),
        lambda: client.vector_stores.file_batches.create(store.id, file_ids=[file], attributes=attributes),
    ):
        with pytest.raises(BadRequestError) as refused:
            call()
        assert (refused.value.param, refused.value.code) == (param, code)
    assert counts(client, store.id) == {}


# ---------------------------------------------------------------- remove


@pytest.mark.promise("vector-stores.files.remove")
def test_a_file_taken_out_is_not_counted_and_stays_a_file(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    files = new_files(2)
    store = client.vector_stores.create(file_ids=files).id
    worker.finish(store)
    gone = client.vector_stores.files.delete(files[0], vector_store_id=store)
    assert gone.to_dict() == {"id": files[0], "object": "vector_store.file.deleted", "deleted": True}
    assert counts(client, store) == {"completed": 1, "total": 1}
    assert client.vector_stores.retrieve(store).usage_bytes == 10
    assert client.files.retrieve(files[0]).id == files[0]
    with pytest.raises(NotFoundError):
        client.vector_stores.files.delete(files[0], vector_store_id=store)


@pytest.mark.promise("vector-stores.files.deleted")
def test_a_deleted_file_leaves_every_store(client: OpenAI, worker: Worker, new_files: Any) -> None:
    files = new_files(2)
    stores = [client.vector_stores.create(file_ids=files).id for _ in range(2)]
    worker.finish(stores[0])
    [late] = [claim for claim in worker.claimed(stores[1]) if claim.file_id == files[0]]
    client.files.delete(files[0])
    for store, left in zip(stores, ("completed", "in_progress"), strict=True):
        assert counts(client, store) == {left: 1, "total": 1}
        assert [file.id for file in client.vector_stores.files.list(store)] == [files[1]]
    with pytest.raises(Lost):
        worker.complete(late)


@pytest.mark.promise("vector-stores.files.content")
def test_a_files_text_is_given_piece_by_piece_as_it_is_searched(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create(file_ids=[file]).id
    content = client.vector_stores.files.content
    assert content(file, vector_store_id=store).data == []
    [claim] = worker.claimed(store)
    worker.complete(claim, texts=["the first", "the second"])
    page = content(file, vector_store_id=store)
    assert page.to_dict() == {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": "the first"}, {"type": "text", "text": "the second"}],
        "has_more": False,
        "next_page": None,
    }
    assert [piece.text for piece in page] == ["the first", "the second"]
