"""One thread, two versions: what was written in one reads correctly in the other."""

from typing import Any

import httpx
import pytest

from tests.dialects.steps import done, every_tool, new_files, new_message, new_thread

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": []}}


def both(v1: httpx.Client, v2: httpx.Client, path: str) -> tuple[Any, Any]:
    """The same object in both versions."""
    return done(v1.get(path)), done(v2.get(path))


@pytest.mark.promise("versions.v1-to-v2")
def test_a_message_of_v1_reads_in_v2_with_attachments(v1: httpx.Client, v2: httpx.Client) -> None:
    files, thread_id = new_files(v1, 2), new_thread(v1)
    made = new_message(v1, thread_id, "Hello", file_ids=files, metadata={"n": 1})
    _, read = both(v1, v2, f"/threads/{thread_id}/messages/{made['id']}")
    shared = {name: value for name, value in made.items() if name != "file_ids"}
    assert read == {**shared, "attachments": every_tool(files), "metadata": {"n": "1"}}


@pytest.mark.promise("versions.v1-to-v2")
def test_files_of_v1_messages_are_the_code_interpreter_s_in_v2(v1: httpx.Client, v2: httpx.Client) -> None:
    files, thread_id = new_files(v1, 2), new_thread(v1)
    new_message(v1, thread_id, file_ids=files)
    old, new = both(v1, v2, f"/threads/{thread_id}")
    assert new["tool_resources"]["code_interpreter"] == {"file_ids": files}
    assert old == {name: value for name, value in new.items() if name != "tool_resources"}


@pytest.mark.promise("versions.v2-to-v1")
def test_a_message_of_v2_reads_in_v1_without_what_v1_cannot_say(v1: httpx.Client, v2: httpx.Client) -> None:
    file_id, thread_id = *new_files(v2, 1), new_thread(v2)
    parts = [{"type": "text", "text": "Look:"}, PICTURE, {"type": "text", "text": "Nice?"}]
    attachments = [{"file_id": file_id, "tools": [{"type": "code_interpreter"}]}]
    made = new_message(v2, thread_id, parts, attachments=attachments, metadata={"a": "b"})
    read, again = both(v1, v2, f"/threads/{thread_id}/messages/{made['id']}")
    shared = {name: value for name, value in made.items() if name != "attachments"}
    assert read == {**shared, "content": [text("Look:"), text("Nice?")], "file_ids": [file_id]}
    assert again == made


@pytest.mark.promise("versions.v2-to-v1")
def test_v1_shows_the_first_ten_distinct_files_of_a_v2_message(v1: httpx.Client, v2: httpx.Client) -> None:
    files, thread_id = new_files(v2, 12), new_thread(v2)
    attached = [files[0], files[0], *files[1:4], files[2], *files[4:]]
    tools = [{"type": "file_search"}]
    made = new_message(v2, thread_id, attachments=[{"file_id": id, "tools": tools} for id in attached])
    read, again = both(v1, v2, f"/threads/{thread_id}/messages/{made['id']}")
    assert read["file_ids"] == files[:10]
    of_message = f"/threads/{thread_id}/messages/{made['id']}/files"
    listed = done(v1.get(of_message, params={"order": "asc", "limit": 100}))["data"]
    assert [one["id"] for one in listed] == files[:10]
    assert v1.get(f"{of_message}/{files[10]}").status_code == 404
    assert [one["file_id"] for one in again["attachments"]] == attached


@pytest.mark.promise("versions.v2-to-v1")
def test_an_attachment_of_v2_is_a_message_file_of_v1(v1: httpx.Client, v2: httpx.Client) -> None:
    file_id, thread_id = *new_files(v2, 1), new_thread(v2)
    made = new_message(v2, thread_id, attachments=[{"file_id": file_id, "tools": []}])
    file = {
        "id": file_id,
        "object": "thread.message.file",
        "created_at": made["created_at"],
        "message_id": made["id"],
        "file_id": file_id,
    }
    path = f"/threads/{thread_id}/messages/{made['id']}/files"
    assert done(v1.get(path))["data"] == [file]
    assert done(v1.get(f"{path}/{file_id}")) == file


@pytest.mark.promise("versions.v2-to-v1")
def test_modifying_in_v1_keeps_what_v1_does_not_show(v1: httpx.Client, v2: httpx.Client) -> None:
    file_id, thread_id = *new_files(v2, 1), new_thread(v2)
    attachments = [{"file_id": file_id, "tools": [{"type": "file_search"}]}]
    made = new_message(v2, thread_id, [PICTURE], attachments=attachments)
    path = f"/threads/{thread_id}/messages/{made['id']}"
    done(v1.post(path, json={"metadata": {"seen": True}}))
    assert done(v2.get(path)) == {**made, "metadata": {"seen": "True"}}


@pytest.mark.promise("versions.one-order")
def test_both_versions_list_the_same_messages_in_the_same_order(v1: httpx.Client, v2: httpx.Client) -> None:
    thread_id = new_thread(v1)
    for number, http in enumerate([v1, v2, v2, v1]):
        new_message(http, thread_id, str(number))
    old, new = both(v1, v2, f"/threads/{thread_id}/messages")
    assert [one["content"][0]["text"]["value"] for one in old["data"]] == ["3", "2", "1", "0"]
    assert [one["id"] for one in old["data"]] == [one["id"] for one in new["data"]]
    assert {**old, "data": []} == {**new, "data": []}


@pytest.mark.promise("versions.thread-resources")
def test_a_thread_s_tool_resources_survive_a_modification_in_v1(v1: httpx.Client, v2: httpx.Client) -> None:
    resources = {"code_interpreter": {"file_ids": new_files(v2, 1)}}
    thread = done(v2.post("/threads", json={"tool_resources": resources}))
    done(v1.post(f"/threads/{thread['id']}", json={"metadata": {"a": "b"}}))
    old, new = both(v1, v2, f"/threads/{thread['id']}")
    assert new == {**thread, "metadata": {"a": "b"}, "tool_resources": resources}
    assert old["metadata"] == {"a": "b"}


@pytest.mark.promise("versions.message-files-are-v1")
def test_v2_has_no_message_files(v1: httpx.Client, v2: httpx.Client) -> None:
    thread_id = new_thread(v1)
    path = f"/threads/{thread_id}/messages/{new_message(v1, thread_id)['id']}/files"
    answer = v2.get(path)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"Invalid URL (GET /v1{path})")
    assert v1.get(path).status_code == 200
