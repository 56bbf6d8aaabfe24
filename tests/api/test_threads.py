"""Threads through the official client, v2. Reference: protocol section 3."""

import json
from typing import Any

import httpx
import pytest
from openai import NotFoundError, OpenAI

from tests.support.house import House
from tests.support.masking import masked
from tests.support.plain import plain

THREAD: dict[str, Any] = {
    "id": "thread_*",
    "object": "thread",
    "created_at": "now",
    "metadata": {},
    "tool_resources": {},
}
"""A new thread, in the order of the wire."""


def texts(client: OpenAI, thread_id: str) -> list[tuple[str, str]]:
    """Role and text of every message, oldest first."""
    listed = client.beta.threads.messages.list(thread_id, order="asc")
    return [(one.role, part.text.value) for one in listed for part in one.content if part.type == "text"]


@pytest.mark.promise("threads.create.empty")
@pytest.mark.parametrize("body", [b"", b"{}", b'{"messages":[]}'])
def test_an_empty_body_makes_an_empty_thread(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/threads", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert json.dumps(masked(answer.json())) == json.dumps(THREAD)


@pytest.mark.promise("threads.create.empty")
def test_no_body_and_no_content_type_make_an_empty_thread(http: httpx.Client) -> None:
    assert masked(http.post("/v1/threads").json()) == THREAD


@pytest.mark.promise("common.null-means-not-given")
def test_null_means_not_given(http: httpx.Client) -> None:
    body = {"messages": None, "metadata": None, "tool_resources": None}
    assert masked(http.post("/v1/threads", json=body).json()) == THREAD
    body["tool_resources"] = {"code_interpreter": None, "file_search": None}  # type: ignore[assignment]
    assert masked(http.post("/v1/threads", json=body).json()) == THREAD


@pytest.mark.promise("threads.create.messages")
def test_first_messages_stand_in_the_order_given(client: OpenAI) -> None:
    thread = client.beta.threads.create(
        messages=[
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "three", "metadata": {"n": "3"}},
        ],
        metadata={"topic": "counting"},
    )
    assert masked(thread) == {**THREAD, "metadata": {"topic": "counting"}}
    assert texts(client, thread.id) == [("user", "one"), ("assistant", "two"), ("user", "three")]
    client.beta.threads.messages.create(thread.id, role="user", content="four")
    assert texts(client, thread.id)[-1] == ("user", "four")


@pytest.mark.promise("threads.create.tool-resources")
def test_tool_resources_are_the_same_in_every_answer(client: OpenAI) -> None:
    ids = [client.files.create(file=(name, b"x"), purpose="assistants").id for name in ("a", "b", "c")]
    attached: Any = [{"file_id": ids[2], "tools": [{"type": "code_interpreter"}]}]
    thread = client.beta.threads.create(
        tool_resources={"code_interpreter": {"file_ids": ids[:2]}},
        messages=[{"role": "user", "content": "x", "attachments": attached}],
    )
    expected = {"code_interpreter": {"file_ids": ids}}
    assert thread.to_dict()["tool_resources"] == expected
    assert client.beta.threads.retrieve(thread.id).to_dict() == thread.to_dict()
    changed = client.beta.threads.update(thread.id, metadata={"a": "b"})
    assert changed.to_dict() == {**thread.to_dict(), "metadata": {"a": "b"}}


@pytest.mark.promise("threads.modify.tool-resources")
def test_modify_replaces_tool_resources_that_are_given(client: OpenAI) -> None:
    ids = [client.files.create(file=(name, b"x"), purpose="assistants").id for name in ("a", "b")]
    first: Any = {"code_interpreter": {"file_ids": ids[:1]}}
    thread = client.beta.threads.create(tool_resources=first, metadata={"a": "b"})
    for given, left in (
        ({"code_interpreter": {"file_ids": ids[1:]}}, {"code_interpreter": {"file_ids": ids[1:]}}),
        (None, {"code_interpreter": {"file_ids": ids[1:]}}),
        ({"code_interpreter": {"file_ids": []}}, {}),
    ):
        changed = client.beta.threads.update(thread.id, tool_resources=given)  # type: ignore[arg-type]
        assert changed.to_dict() == {**thread.to_dict(), "tool_resources": left}
        assert client.beta.threads.retrieve(thread.id).to_dict() == changed.to_dict()


@pytest.mark.promise("threads.create.all-or-nothing")
@pytest.mark.parametrize(
    "body",
    [
        {"tool_resources": {"code_interpreter": {"file_ids": ["file-x"]}}},
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "user", "content": "b", "attachments": [{"file_id": "file-x"}]},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "file-x"}}]}
            ]
        },
    ],
    ids=["tool_resources", "attachments", "image_file"],
)
def test_a_thread_with_an_unknown_file_is_not_made(http: httpx.Client, body: Any) -> None:
    refused = http.post("/v1/threads", json=body)
    error = {"type": "invalid_request_error", "param": None, "code": None}
    assert (refused.status_code, refused.json()["error"]) == (
        404,
        {"message": "No file found with id 'file-x'.", **error},
    )
    assert http.get("/v1/threads").json()["data"] == []


@pytest.mark.promise("threads.modify.unknown-file")
def test_a_refused_change_changes_nothing(http: httpx.Client) -> None:
    thread = http.post("/v1/threads", json={"metadata": {"a": "b"}}).json()
    resources = {"code_interpreter": {"file_ids": ["file-x"]}}
    body = {"metadata": {"c": "d"}, "tool_resources": resources}
    assert http.post(f"/v1/threads/{thread['id']}", json=body).status_code == 404
    assert http.get(f"/v1/threads/{thread['id']}").json() == thread


@pytest.mark.promise("threads.delete")
def test_after_deletion_everything_below_is_not_found(client: OpenAI) -> None:
    threads = client.beta.threads
    thread = threads.create(messages=[{"role": "user", "content": "x"}])
    message = threads.messages.list(thread.id).data[0]
    deleted = threads.delete(thread.id)
    assert deleted.to_dict() == {"id": thread.id, "object": "thread.deleted", "deleted": True}
    calls: list[Any] = [
        lambda: threads.retrieve(thread.id),
        lambda: threads.update(thread.id, metadata={}),
        lambda: threads.delete(thread.id),
        lambda: threads.messages.list(thread.id),
        lambda: threads.messages.create(thread.id, role="user", content="x"),
        lambda: threads.messages.retrieve(message.id, thread_id=thread.id),
        lambda: threads.messages.update(message.id, thread_id=thread.id),
        lambda: threads.messages.delete(message.id, thread_id=thread.id),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match=f"No thread found with id '{thread.id}'"):
            call()


@pytest.mark.promise("messages.limit-setting")
def test_a_server_may_limit_the_messages_of_a_thread(
    tmp_path_factory: pytest.TempPathFactory, database: str
) -> None:
    with (
        House(tmp_path_factory.mktemp("limited"), database, max_messages_per_thread=2) as house,
        plain(house, house.new_key("limited")) as http,
    ):
        message = {"role": "user", "content": "x"}
        refused = http.post("/v1/threads", json={"messages": [message] * 3})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "thread_full")
        path = f"/v1/threads/{http.post('/v1/threads', json={'messages': [message]}).json()['id']}/messages"
        assert [http.post(path, json=message).status_code for _ in range(3)] == [200, 400, 400]
        listed = http.get(path).json()["data"]
        assert len(listed) == 2
        assert http.delete(f"{path}/{listed[0]['id']}").status_code == 200
        assert [http.post(path, json=message).status_code for _ in range(2)] == [200, 400]
