"""OpenAI v1 by itself. Reference: the v1 page "Messages" and the recordings of the live service."""

from typing import Any

import httpx
import pytest

from tests.dialects.masks import masked
from tests.dialects.steps import done, new_file, new_files, new_message, new_thread

V1_ORDER = (
    "id, object, created_at, assistant_id, thread_id, run_id, status, incomplete_details, incomplete_at, "
    "completed_at, role, content, file_ids, metadata"
)


# ---------------------------------------------------------------- threads


@pytest.mark.promise("v1.threads")
def test_a_thread_has_no_tool_resources(v1: httpx.Client) -> None:
    made = done(v1.post("/threads", json={"metadata": {"topic": "tea"}}))
    assert masked(made) == {
        "id": "<thread>",
        "object": "thread",
        "created_at": "<time>",
        "metadata": {"topic": "tea"},
    }
    assert done(v1.get(f"/threads/{made['id']}")) == made


@pytest.mark.promise("v1.threads")
def test_a_thread_is_created_with_messages_and_their_files(v1: httpx.Client) -> None:
    file_id = new_file(v1)
    first = {"role": "user", "content": "one", "file_ids": [file_id], "metadata": {"n": "1"}}
    second = {"role": "assistant", "content": "two"}
    thread = done(v1.post("/threads", json={"messages": [first, second]}))
    page = done(v1.get(f"/threads/{thread['id']}/messages", params={"order": "asc"}))
    shown = [
        (one["role"], one["content"][0]["text"]["value"], one["file_ids"], one["metadata"])
        for one in page["data"]
    ]
    assert shown == [("user", "one", [file_id], {"n": "1"}), ("assistant", "two", [], {})]


@pytest.mark.promise("v1.threads")
def test_a_thread_is_modified_and_deleted(v1: httpx.Client) -> None:
    thread_id = new_thread(v1)
    modified = done(v1.post(f"/threads/{thread_id}", json={"metadata": {"done": True}}))
    deleted = done(v1.delete(f"/threads/{thread_id}"))
    after = v1.get(f"/threads/{thread_id}")
    assert modified["metadata"] == {"done": "True"}
    assert deleted == {"id": thread_id, "object": "thread.deleted", "deleted": True}
    assert (after.status_code, after.json()["error"]["message"]) == (
        404,
        f"No thread found with id '{thread_id}'.",
    )


# ---------------------------------------------------------------- messages


@pytest.mark.promise("v1.messages.file-ids")
def test_file_ids_come_back_in_their_order(v1: httpx.Client) -> None:
    files = new_files(v1, 10)
    thread_id = new_thread(v1)
    made = new_message(v1, thread_id, file_ids=files[::-1])
    assert made["file_ids"] == files[::-1]
    assert done(v1.get(f"/threads/{thread_id}/messages/{made['id']}")) == made


@pytest.mark.promise("v1.messages.object")
def test_a_message_shows_its_fields_in_the_order_of_late_v1(v1: httpx.Client) -> None:
    assert ", ".join(new_message(v1, new_thread(v1))) == V1_ORDER


@pytest.mark.promise("v1.metadata.coerced")
def test_metadata_that_is_no_string_becomes_one(v1: httpx.Client) -> None:
    metadata = {"modified": True, "count": 3, "share": 0.5, "word": "true"}
    written = {"modified": "True", "count": "3", "share": "0.5", "word": "true"}
    thread_id = new_thread(v1)
    made = new_message(v1, thread_id, metadata=metadata)
    modified = done(v1.post(f"/threads/{thread_id}/messages/{made['id']}", json={"metadata": metadata}))
    assert [made["metadata"], modified["metadata"]] == [written, written]


@pytest.mark.promise("v1.messages.modify")
def test_modify_changes_metadata_alone(v1: httpx.Client) -> None:
    thread_id = new_thread(v1)
    made = new_message(v1, thread_id, file_ids=new_files(v1, 2), metadata={"a": "1"})
    path = f"/threads/{thread_id}/messages/{made['id']}"
    modified = done(v1.post(path, json={"metadata": {"b": "2"}}))
    unchanged = done(v1.post(path, json={}))
    assert modified == {**made, "metadata": {"b": "2"}}
    assert unchanged == done(v1.get(path)) == modified


@pytest.mark.promise("v1.messages.no-delete")
def test_v1_deletes_no_message(v1: httpx.Client) -> None:
    thread_id = new_thread(v1)
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id)['id']}"
    refused = v1.delete(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert refused.json()["error"] == {
        "message": f"Not allowed to DELETE on /v1{path}. "
        "(HINT: Perhaps you meant to make this request using a different HTTP method?)",
        "type": "invalid_request_error",
        "param": None,
        "code": "method_not_supported",
    }
    assert v1.get(path).status_code == 200


# ---------------------------------------------------------------- message files


@pytest.mark.promise("v1.message-files")
def test_message_files_are_paged_by_file_ids(v1: httpx.Client) -> None:
    files = new_files(v1, 5)
    thread_id = new_thread(v1)
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id, file_ids=files)['id']}/files"

    def page(**query: Any) -> tuple[list[int], bool]:
        answer = done(v1.get(path, params=query))
        return [files.index(one["id"]) for one in answer["data"]], answer["has_more"]

    assert page() == ([4, 3, 2, 1, 0], False)
    assert page(order="asc", limit=2) == ([0, 1], True)
    assert page(order="asc", limit=2, after=files[1]) == ([2, 3], True)
    assert page(order="asc", limit=2, after=files[3]) == ([4], False)
    assert page(order="asc", after=files[4]) == ([], False)
    assert page(order="desc", limit=3, after=files[3]) == ([2, 1, 0], False)
    assert page(order="asc", before=files[2]) == ([0, 1], False)
    assert page(order="asc", before=files[3], limit=2) == ([1, 2], True)
    assert page(order="desc", after=files[4], before=files[1]) == ([3, 2], False)


@pytest.mark.promise("v1.message-files")
def test_a_message_without_files_lists_none(v1: httpx.Client) -> None:
    thread_id = new_thread(v1)
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id)['id']}/files"
    empty: Any = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert done(v1.get(path)) == empty


@pytest.mark.promise("v1.message-files")
def test_a_file_of_another_message_is_not_found(v1: httpx.Client) -> None:
    file_id, thread_id = new_file(v1), new_thread(v1)
    new_message(v1, thread_id, file_ids=[file_id])
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id)['id']}/files"
    expected = (404, f"No message file found with id '{file_id}'.")
    for answer in (v1.get(f"{path}/{file_id}"), v1.get(path, params={"after": file_id})):
        assert (answer.status_code, answer.json()["error"]["message"]) == expected


@pytest.mark.promise("v1.message-files")
def test_a_deleted_file_leaves_its_messages(v1: httpx.Client) -> None:
    gone, left = new_files(v1, 2)
    thread_id = new_thread(v1)
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id, file_ids=[gone, left])['id']}"
    done(v1.delete(f"/files/{gone}"))
    assert done(v1.get(path))["file_ids"] == [left]
    assert [one["id"] for one in done(v1.get(f"{path}/files"))["data"]] == [left]
    assert v1.get(f"{path}/files/{gone}").status_code == 404
