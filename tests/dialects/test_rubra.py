"""Rubra's form, under /rubra and /rubra/v1. Reference: Rubra's page "Create Message"."""

import re
from typing import Any

import httpx
import pytest

from tests.dialects.masks import masked
from tests.dialects.steps import done, every_tool, new_file, new_files, new_message, new_thread

# ---------------------------------------------------------------- create


@pytest.mark.promise("rubra.messages.create")
def test_a_message_is_created_as_the_page_has_it(rubra: httpx.Client) -> None:
    files, thread_id = new_files(rubra, 2), new_thread(rubra)
    made = new_message(rubra, thread_id, "Hello", file_ids=files, metadata={"a": "b"})
    assert list(made)[:2] == ["_id", "id"]
    assert re.fullmatch("[0-9a-f]{24}", made.pop("_id"))
    assert masked(made, [thread_id, *files]) == {
        "id": "<msg>",
        "object": "thread.message",
        "created_at": "<time>",
        "thread_id": thread_id,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "file_ids": files,
        "metadata": {"a": "b"},
    }


@pytest.mark.promise("rubra.messages.create")
def test_optional_fields_are_empty_when_left_out(rubra: httpx.Client) -> None:
    made = new_message(rubra, new_thread(rubra))
    assert (made["file_ids"], made["metadata"]) == ([], {})


@pytest.mark.promise("rubra.messages.limits")
@pytest.mark.parametrize("length", [1, 32_768])
def test_content_of_1_to_32768_characters_is_taken(rubra: httpx.Client, length: int) -> None:
    content = "\N{MUSICAL SYMBOL G CLEF}" * length  # characters, not bytes and not UTF-16 units
    made = new_message(rubra, new_thread(rubra), content)
    assert made["content"][0]["text"]["value"] == content


@pytest.mark.promise("rubra.messages.limits")
def test_ten_files_and_sixteen_pairs_are_taken(rubra: httpx.Client) -> None:
    files = new_files(rubra, 10)
    metadata = {f"{number:064}": "v" * 512 for number in range(16)}
    made = new_message(rubra, new_thread(rubra), file_ids=files, metadata=metadata)
    assert (made["file_ids"], made["metadata"]) == (files, metadata)


# ---------------------------------------------------------------- the rest


@pytest.mark.promise("rubra.object-id")
def test_the_object_id_is_the_same_on_every_read_and_another_for_every_message(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    path = f"/threads/{thread_id}/messages"
    made = [new_message(rubra, thread_id, str(number)) for number in range(3)]
    listed = done(rubra.get(path, params={"order": "asc"}))["data"]
    retrieved = [done(rubra.get(f"{path}/{one['id']}")) for one in made]
    modified = [done(rubra.post(f"{path}/{one['id']}", json={})) for one in made]
    assert made == listed == retrieved == modified
    assert len({one["_id"] for one in made}) == 3


@pytest.mark.promise("rubra.object-id")
def test_an_object_id_begins_with_its_time_as_mongodb_s_do(rubra: httpx.Client) -> None:
    made = new_message(rubra, new_thread(rubra))
    assert int(made["_id"][:8], 16) == made["created_at"]


@pytest.mark.promise("rubra.messages.list")
def test_messages_are_listed_in_pages(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    ids = [new_message(rubra, thread_id, str(number))["id"] for number in range(5)]
    page = done(rubra.get(f"/threads/{thread_id}/messages", params={"limit": 2, "after": ids[4]}))
    assert [one["id"] for one in page.pop("data")] == [ids[3], ids[2]]
    assert page == {"object": "list", "first_id": ids[3], "last_id": ids[2], "has_more": True}


@pytest.mark.promise("rubra.messages.modify")
def test_metadata_of_a_message_is_modified(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    made = new_message(rubra, thread_id, metadata={"a": "1"})
    path = f"/threads/{thread_id}/messages/{made['id']}"
    modified = done(rubra.post(path, json={"metadata": {"b": "2"}}))
    assert modified == done(rubra.get(path)) == {**made, "metadata": {"b": "2"}}


@pytest.mark.promise("rubra.threads")
def test_a_thread_is_created_read_modified_and_deleted(rubra: httpx.Client) -> None:
    opening = {"role": "user", "content": "Hello"}
    made = done(rubra.post("/threads", json={"messages": [opening], "metadata": {"a": "1"}}))
    path = f"/threads/{made['id']}"
    read = done(rubra.get(path))
    modified = done(rubra.post(path, json={"metadata": {"b": "2"}}))
    messages = done(rubra.get(f"{path}/messages"))["data"]
    deleted = done(rubra.delete(path))
    shape = {"id": "<thread>", "object": "thread", "created_at": "<time>", "metadata": {"a": "1"}}
    assert masked(made) == {"_id": made["_id"], **shape}
    assert re.fullmatch("[0-9a-f]{24}", made["_id"])
    assert [read, modified] == [made, {**made, "metadata": {"b": "2"}}]
    assert [one["content"][0]["text"]["value"] for one in messages] == ["Hello"]
    assert deleted == {"id": made["id"], "object": "thread.deleted", "deleted": True}
    assert rubra.get(f"{path}/messages").status_code == 404


@pytest.mark.promise("rubra.two-addresses")
def test_both_addresses_serve_the_same(rubra: httpx.Client, house: Any) -> None:
    thread_id = new_thread(rubra)
    made = new_message(rubra, thread_id)
    for base in ("/rubra", "/rubra/v1"):
        url = f"{house.address}{base}/threads/{thread_id}/messages/{made['id']}"
        assert done(rubra.get(url)) == made


# ---------------------------------------------------------------- beside OpenAI


@pytest.mark.promise("rubra.reads-v2")
def test_a_message_of_v2_reads_well(rubra: httpx.Client, v2: httpx.Client) -> None:
    file_id, thread_id = new_file(v2), new_thread(v2)
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    attachments = [{"file_id": file_id, "tools": [{"type": "file_search"}]}] * 2
    content = [picture, {"type": "text", "text": "Here"}]
    made = new_message(v2, thread_id, content, role="assistant", attachments=attachments, metadata={"a": "b"})
    read = done(rubra.get(f"/threads/{thread_id}/messages/{made['id']}"))
    assert read == {
        "_id": read["_id"],
        "id": made["id"],
        "object": "thread.message",
        "created_at": made["created_at"],
        "thread_id": thread_id,
        "role": "assistant",
        "content": [{"type": "text", "text": {"value": "Here", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "file_ids": [file_id],
        "metadata": {"a": "b"},
    }


@pytest.mark.promise("rubra.read-by-v2")
def test_a_message_of_rubra_reads_in_v2_with_attachments(rubra: httpx.Client, v2: httpx.Client) -> None:
    files, thread_id = new_files(rubra, 2), new_thread(rubra)
    made = new_message(rubra, thread_id, file_ids=files)
    read = done(v2.get(f"/threads/{thread_id}/messages/{made['id']}"))
    shared = {name: value for name, value in made.items() if name not in ("_id", "file_ids")}
    state = {"status": "completed", "incomplete_details": None, "incomplete_at": None}
    assert read == {**shared, **state, "completed_at": made["created_at"], "attachments": every_tool(files)}
