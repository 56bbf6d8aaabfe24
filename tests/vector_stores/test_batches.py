"""Files that are put into a vector store together. Reference: protocol section 10."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.errors import answered, refusal
from tests.support.masking import masked
from tests.vector_stores.conftest import Worker
from threadkeep.vector_stores.progress import Lost

BATCH: dict[str, Any] = {
    "id": "vsfb_*",
    "object": "vector_store.files_batch",
    "created_at": "now",
    "status": "in_progress",
    "vector_store_id": "vs_*",
    "file_counts": {"in_progress": 3, "completed": 0, "failed": 0, "cancelled": 0, "total": 3},
}
"""A batch of three, in the order of the wire."""


def counts(batch: Any) -> dict[str, int]:
    """The numbers of a store or a batch that are not 0."""
    return {name: number for name, number in batch.file_counts.to_dict().items() if number}


@pytest.mark.promise("vector-stores.batches.create")
def test_a_batch_counts_its_own_files_alone(
    client: OpenAI, http: httpx.Client, worker: Worker, new_files: Any
) -> None:
    first, *files = new_files(4)
    store = client.vector_stores.create(file_ids=[first]).id
    answer = http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": files})
    assert json.dumps(masked(answer.json())) == json.dumps(BATCH)
    path = f"/v1/vector_stores/{store}/file_batches/{answer.json()['id']}"
    assert http.get(path).json() == answer.json()
    claims = {claim.file_id: claim for claim in worker.claimed(store)}
    worker.complete(claims[first])
    worker.complete(claims[files[0]])
    worker.fail(claims[files[1]])
    batch = client.vector_stores.file_batches.retrieve(answer.json()["id"], vector_store_id=store)
    assert (batch.status, counts(batch)) == (
        "in_progress",
        {"in_progress": 1, "completed": 1, "failed": 1, "total": 3},
    )
    worker.complete(claims[files[2]])
    batch = client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store)
    assert (batch.status, counts(batch)) == ("completed", {"completed": 2, "failed": 1, "total": 3})
    assert counts(client.vector_stores.retrieve(store)) == {"completed": 3, "failed": 1, "total": 4}


@pytest.mark.promise("vector-stores.batches.files")
def test_each_file_of_a_batch_may_have_its_own_attributes_and_chunking(
    client: OpenAI, new_files: Any
) -> None:
    one, two = new_files(2)
    store = client.vector_stores.create().id
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    client.vector_stores.file_batches.create(
        store, files=[{"file_id": one, "attributes": {"a": 1}}, {"file_id": two, "chunking_strategy": static}]
    )
    first, second = client.vector_stores.files.list(store, order="asc")
    assert (first.id, first.attributes, second.id, second.attributes) == (one, {"a": 1}, two, {})
    assert masked(second)["chunking_strategy"] == static
    assert masked(first)["chunking_strategy"]["static"]["max_chunk_size_tokens"] == 800


@pytest.mark.promise("vector-stores.batches.files")
def test_what_is_given_for_all_is_passed_over_where_each_file_has_its_own(
    client: OpenAI, new_files: Any
) -> None:
    one, two = new_files(2)
    store = client.vector_stores.create().id
    for_all: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
    client.vector_stores.file_batches.create(
        store,
        files=[{"file_id": one, "attributes": {"a": 1}}, {"file_id": two}],
        attributes={"b": 2},
        chunking_strategy=for_all,
    )
    files = client.vector_stores.files.list(store, order="asc")
    assert [(file.id, file.attributes) for file in files] == [(one, {"a": 1}), (two, {})]
    assert {masked(file)["chunking_strategy"]["static"]["max_chunk_size_tokens"] for file in files} == {800}


@pytest.mark.promise("vector-stores.batches.files")
def test_file_ids_share_attributes_and_chunking(client: OpenAI, new_files: Any) -> None:
    files = new_files(2)
    store = client.vector_stores.create().id
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    client.vector_stores.file_batches.create(
        store, file_ids=files, attributes={"a": "b"}, chunking_strategy=static
    )
    for file in client.vector_stores.files.list(store):
        assert (file.attributes, masked(file)["chunking_strategy"]) == ({"a": "b"}, static)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "file_ids", "missing_required_parameter"),
    ({"file_ids": []}, "file_ids", "empty_array"),
    ({"files": []}, "files", "empty_array"),
    ({"file_ids": ["file-x"] * 2001}, "file_ids", "array_above_max_length"),
    ({"file_ids": ["file-x"], "files": [{"file_id": "file-x"}]}, "file_ids", "mutually_exclusive_parameters"),
    ({"files": [{}]}, "files[0].file_id", "missing_required_parameter"),
    (
        {
            "files": [
                {
                    "file_id": "file-x",
                    "chunking_strategy": {
                        "type": "static",
                        "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51},
                    },
                }
            ]
        },
        "files[0].chunking_strategy.static.chunk_overlap_tokens",
        "integer_above_max_value",
    ),
]


@pytest.mark.promise("vector-stores.batches.validation")
@pytest.mark.parametrize(("body", "param", "code"), BAD)
def test_a_batch_that_breaks_a_rule_is_refused(
    client: OpenAI, body: dict[str, Any], param: str, code: str
) -> None:
    store = client.vector_stores.create().id
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.file_batches.create(store, extra_body=body)
    assert (refused.value.param, refused.value.code) == (param, code)


@pytest.mark.promise("vector-stores.batches.validation")
def test_a_batch_is_made_whole_or_not_at_all(client: OpenAI, new_files: Any) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create().id
    with pytest.raises(NotFoundError, match="No file found with id 'file-x'"):
        client.vector_stores.file_batches.create(store, file_ids=[file, "file-x"])
    assert client.vector_stores.retrieve(store).file_counts.total == 0


@pytest.mark.promise("vector-stores.batches.large")
def test_a_batch_of_2000_files(client: OpenAI, worker: Worker, new_files: Any) -> None:
    [file] = new_files(1)
    ids = copies(worker, file, 2000)
    store = client.vector_stores.create().id
    batch = client.vector_stores.file_batches.create(store, file_ids=ids)
    assert counts(batch) == {"in_progress": 2000, "total": 2000}
    listed = client.vector_stores.file_batches.list_files
    assert [file.id for file in listed(batch.id, vector_store_id=store, limit=100, order="asc")] == ids
    assert counts(client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)) == {
        "cancelled": 2000,
        "total": 2000,
    }


def copies(worker: Worker, file_id: str, number: int) -> list[str]:
    """Files that are the same, without an upload of each: their ids."""
    ids = [f"{file_id}{index:04}" for index in range(number)]

    async def work(transaction: Any) -> None:
        for id in ids:
            await transaction.run(COPY, {"file_id": file_id, "id": id})

    worker.write(work)
    return ids


COPY = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, sha256)
    SELECT CAST(:id AS TEXT), project_id, purpose, filename, bytes, created_at, sha256 FROM files
    WHERE id = :file_id
"""


@pytest.mark.promise("vector-stores.batches.list")
def test_a_batchs_files_are_listed_alone_and_by_status(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    other, *files = new_files(5)
    store = client.vector_stores.create(file_ids=[other]).id
    batch = client.vector_stores.file_batches.create(store, file_ids=files)
    listed = client.vector_stores.file_batches.list_files
    assert [file.id for file in listed(batch.id, vector_store_id=store)] == files[::-1]
    page = listed(batch.id, vector_store_id=store, order="asc", limit=2, after=files[0])
    assert ([file.id for file in page.data], page.has_more) == (files[1:3], True)
    [claim] = [one for one in worker.claimed(store) if one.file_id == files[2]]
    worker.complete(claim)
    done = listed(batch.id, vector_store_id=store, filter="completed")
    assert [file.id for file in done] == [files[2]]


@pytest.mark.promise("vector-stores.batches.cancel")
def test_cancelling_keeps_what_is_done_and_no_worker_finishes_the_rest(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    files = new_files(3)
    store = client.vector_stores.create().id
    batch = client.vector_stores.file_batches.create(store, file_ids=files)
    done, open_, _ = worker.claimed(store)
    worker.complete(done)
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)
    assert (cancelled.status, counts(cancelled)) == (
        "cancelled",
        {"completed": 1, "cancelled": 2, "total": 3},
    )
    with pytest.raises(Lost):
        worker.complete(open_)
    assert worker.due(store) == []
    assert counts(client.vector_stores.retrieve(store)) == {"completed": 1, "cancelled": 2, "total": 3}
    file = client.vector_stores.files.retrieve(open_.file_id, vector_store_id=store)
    assert (file.status, file.last_error) == ("cancelled", None)


@pytest.mark.promise("vector-stores.batches.cancel")
def test_cancelling_a_finished_batch_leaves_it_completed(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    store = client.vector_stores.create().id
    batch = client.vector_stores.file_batches.create(store, file_ids=new_files(1))
    worker.finish(store)
    again = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)
    assert (again.status, counts(again)) == ("completed", {"completed": 1, "total": 1})


@pytest.mark.promise("vector-stores.batches.again")
def test_a_file_belongs_to_the_batch_that_it_came_with_last(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    one, two = new_files(2)
    store = client.vector_stores.create().id
    first = client.vector_stores.file_batches.create(store, file_ids=[one, two])
    [claim] = [claim for claim in worker.claimed(store) if claim.file_id == one]
    worker.fail(claim)
    second = client.vector_stores.file_batches.create(store, file_ids=[one, two])
    assert counts(second) == {"in_progress": 2, "total": 2}
    left = client.vector_stores.file_batches.retrieve(first.id, vector_store_id=store)
    assert (left.status, counts(left)) == ("completed", {})
    assert counts(client.vector_stores.retrieve(store)) == {"in_progress": 2, "total": 2}
    client.vector_stores.files.create(store, file_id=one)  # without work for it, it stays with its batch
    client.vector_stores.files.delete(two, vector_store_id=store)
    second = client.vector_stores.file_batches.retrieve(second.id, vector_store_id=store)
    assert counts(second) == {"in_progress": 1, "total": 1}


@pytest.mark.promise("vector-stores.batches.again")
@pytest.mark.parametrize("end", ["cancelled", "failed", "completed"])
def test_a_batch_that_is_over_stays_over_when_its_file_comes_again_alone(
    client: OpenAI, worker: Worker, new_files: Any, end: str
) -> None:
    again, stays = new_files(2)
    store = client.vector_stores.create().id
    batch = client.vector_stores.file_batches.create(store, file_ids=[again, stays]).id
    here: Any = {"batch_id": batch, "vector_store_id": store}
    claims = {claim.file_id: claim for claim in worker.claimed(store)}
    worker.complete(claims[stays])
    if end == "cancelled":
        client.vector_stores.file_batches.cancel(**here)
    else:
        (worker.fail if end == "failed" else worker.complete)(claims[again])
    status = "cancelled" if end == "cancelled" else "completed"
    over = client.vector_stores.file_batches.retrieve(**here)
    assert (over.status, over.file_counts.total, over.file_counts.in_progress) == (status, 2, 0)
    otherwise: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    client.vector_stores.files.create(store, file_id=again, chunking_strategy=otherwise)
    left = (status, {"completed": 1, "total": 1})
    for ask in (client.vector_stores.file_batches.retrieve, client.vector_stores.file_batches.cancel):
        batch_now = ask(**here)
        assert (batch_now.status, counts(batch_now)) == left
        assert [file.id for file in client.vector_stores.file_batches.list_files(**here)] == [stays]
    assert counts(client.vector_stores.retrieve(store)) == {"in_progress": 1, "completed": 1, "total": 2}
    worker.finish(store)
    batch_now = client.vector_stores.file_batches.retrieve(**here)
    assert (batch_now.status, counts(batch_now)) == left
    after = client.vector_stores.retrieve(store)
    assert (after.status, after.usage_bytes, counts(after)) == ("completed", 20, {"completed": 2, "total": 2})


@pytest.mark.promise("vector-stores.batches.unknown")
def test_an_unknown_batch_or_one_of_another_store_is_not_found(http: httpx.Client, new_files: Any) -> None:
    store, other = (http.post("/v1/vector_stores", json={}).json()["id"] for _ in range(2))
    batch = http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": new_files(1)}).json()["id"]
    absent = refusal(404, f"No vector store file batch found with id '{batch}'.")
    path = f"/v1/vector_stores/{other}/file_batches/{batch}"
    assert answered(http.get(path)) == absent
    assert answered(http.get(f"{path}/files")) == absent
    assert answered(http.post(f"{path}/cancel")) == absent
