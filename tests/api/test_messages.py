"""Messages through the official client, v2. Reference: protocol sections 4.1 to 4.3."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.masking import masked

TEXT_PART = {"type": "text", "text": {"value": "Hello, world!", "annotations": []}}
MESSAGE: dict[str, Any] = {
    "id": "msg_*",
    "object": "thread.message",
    "created_at": "now",
    "assistant_id": None,
    "thread_id": "thread_*",
    "run_id": None,
    "status": "completed",
    "incomplete_details": None,
    "incomplete_at": None,
    "completed_at": "now",
    "role": "user",
    "content": [TEXT_PART],
    "attachments": [],
    "metadata": {},
}
"""What a string of content becomes, in the order of the wire."""


@pytest.fixture
def thread_id(client: OpenAI) -> str:
    return client.beta.threads.create().id


@pytest.fixture
def file_id(client: OpenAI) -> str:
    return client.files.create(file=("notes.txt", b"notes"), purpose="assistants").id


@pytest.mark.promise("messages.create.string-content")
def test_string_content_is_one_text_part(client: OpenAI, thread_id: str) -> None:
    message = client.beta.threads.messages.create(thread_id, role="user", content="Hello, world!")
    assert masked(message) == MESSAGE
    assert message.thread_id == thread_id
    assert message.completed_at == message.created_at


@pytest.mark.promise("common.compact-json")
@pytest.mark.promise("messages.object.fields")
def test_fields_stand_in_the_order_of_the_reference(http: httpx.Client, thread_id: str) -> None:
    path = f"/v1/threads/{thread_id}/messages"
    made = http.post(path, json={"content": "Hello, world!", "role": "user"})
    assert json.dumps(masked(made.json())) == json.dumps(MESSAGE)
    assert made.text == http.get(f"{path}/{made.json()['id']}").text
    assert made.text == json.dumps(made.json(), separators=(",", ":"))


@pytest.mark.promise("messages.create.roles")
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_client_may_write_for_both_sides(client: OpenAI, thread_id: str, role: Any) -> None:
    message = client.beta.threads.messages.create(thread_id, role=role, content="Hello, world!")
    assert masked(message) == {**MESSAGE, "role": role}


@pytest.mark.promise("messages.create.content-parts")
@pytest.mark.promise("messages.create.images-of-the-assistant")
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_parts_of_every_kind_keep_their_order(
    client: OpenAI, thread_id: str, file_id: str, role: Any
) -> None:
    message = client.beta.threads.messages.create(
        thread_id,
        role=role,
        content=[
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_file", "image_file": {"file_id": file_id, "detail": "high"}},
            {"type": "text", "text": "What is it?"},
        ],
    )
    assert masked(message)["content"] == [
        {"type": "text", "text": {"value": "Look:", "annotations": []}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": "file-*", "detail": "high"}},
        {"type": "text", "text": {"value": "What is it?", "annotations": []}},
    ]


@pytest.mark.promise("messages.create.image-detail-auto")
def test_detail_that_was_left_out_is_auto(client: OpenAI, thread_id: str, file_id: str) -> None:
    message = client.beta.threads.messages.create(
        thread_id,
        role="user",
        content=[
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": "image_file", "image_file": {"file_id": file_id}},
        ],
    )
    assert [part.to_dict() for part in message.content] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}},
        {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}},
    ]


@pytest.mark.promise("messages.create.unknown-keys-in-parts")
def test_unknown_keys_inside_parts_are_passed_over(http: httpx.Client, thread_id: str, file_id: str) -> None:
    body = {
        "role": "user",
        "content": [{"type": "text", "text": "Hello, world!", "cache": True}],
        "attachments": [{"file_id": file_id, "tools": [{"type": "file_search", "x": 1}], "y": 2}],
    }
    answer = http.post(f"/v1/threads/{thread_id}/messages", json=body)
    expected = [{"file_id": "file-*", "tools": [{"type": "file_search"}]}]
    assert masked(answer.json()) == {**MESSAGE, "attachments": expected}


@pytest.mark.promise("messages.create.attachments")
def test_attachments_come_back_as_sent_duplicates_included(
    client: OpenAI, thread_id: str, file_id: str
) -> None:
    other = client.files.create(file=("b.txt", b"b"), purpose="user_data").id
    attachments: list[Any] = [
        {"file_id": file_id, "tools": [{"type": "code_interpreter"}, {"type": "file_search"}]},
        {"file_id": other, "tools": [{"type": "file_search"}]},
        {"file_id": file_id, "tools": [{"type": "file_search"}]},
        {"file_id": other, "tools": []},
        {"file_id": other},
    ]
    message = client.beta.threads.messages.create(
        thread_id, role="user", content="Hello, world!", attachments=attachments
    )
    assert message.to_dict()["attachments"] == attachments
    again = client.beta.threads.messages.retrieve(message.id, thread_id=thread_id)
    assert again.to_dict() == message.to_dict()


@pytest.mark.promise("messages.create.attachments-reach-the-thread")
def test_a_file_for_the_code_interpreter_becomes_the_threads_own(client: OpenAI, thread_id: str) -> None:
    ids = [client.files.create(file=(n, b"x"), purpose="assistants").id for n in ("a.py", "b.py", "c.md")]
    code, search = {"type": "code_interpreter"}, {"type": "file_search"}
    for id, tools in ((ids[0], [code]), (ids[1], [search, code]), (ids[2], [search]), (ids[0], [code])):
        attachments: Any = [{"file_id": id, "tools": tools}]
        client.beta.threads.messages.create(thread_id, role="user", content="x", attachments=attachments)
    resources: Any = client.beta.threads.retrieve(thread_id).to_dict()["tool_resources"]
    assert resources["code_interpreter"] == {"file_ids": ids[:2]}


@pytest.mark.promise("common.null-means-not-given")
def test_null_means_not_given(http: httpx.Client, thread_id: str) -> None:
    body = {"role": "user", "content": "Hello, world!", "attachments": None, "metadata": None}
    answer = http.post(f"/v1/threads/{thread_id}/messages", json=body)
    assert masked(answer.json()) == MESSAGE


@pytest.mark.promise("messages.retrieve.same-object")
def test_retrieve_gives_what_create_gave(client: OpenAI, thread_id: str) -> None:
    made = client.beta.threads.messages.create(
        thread_id, role="assistant", content="Hello, world!", metadata={"from": "test", "empty": ""}
    )
    again = client.beta.threads.messages.retrieve(made.id, thread_id=thread_id)
    assert again.to_dict() == made.to_dict()
    assert masked(again) == {**MESSAGE, "role": "assistant", "metadata": {"from": "test", "empty": ""}}


@pytest.mark.promise("messages.modify.same-object")
def test_modify_answers_with_the_object_that_retrieve_gives(
    client: OpenAI, thread_id: str, file_id: str
) -> None:
    attachments: Any = [{"file_id": file_id, "tools": [{"type": "file_search"}]}]
    made = client.beta.threads.messages.create(
        thread_id, role="user", content="Hello, world!", attachments=attachments
    )
    changed = client.beta.threads.messages.update(made.id, thread_id=thread_id, metadata={"a": "1"})
    again = client.beta.threads.messages.retrieve(made.id, thread_id=thread_id)
    assert changed.to_dict() == again.to_dict() == {**made.to_dict(), "metadata": {"a": "1"}}


@pytest.mark.promise("messages.delete")
def test_a_deleted_message_is_gone(client: OpenAI, thread_id: str) -> None:
    messages = client.beta.threads.messages
    kept, gone = (messages.create(thread_id, role="user", content=text).id for text in ("a", "b"))
    deleted = messages.delete(gone, thread_id=thread_id)
    assert deleted.to_dict() == {"id": gone, "object": "thread.message.deleted", "deleted": True}
    assert [message.id for message in messages.list(thread_id)] == [kept]
    for again in (messages.retrieve, messages.delete, messages.update):
        with pytest.raises(NotFoundError, match=f"No message found with id '{gone}'."):
            again(gone, thread_id=thread_id)


@pytest.mark.promise("messages.of-another-thread")
def test_a_message_under_another_thread_is_not_found(client: OpenAI, thread_id: str) -> None:
    messages = client.beta.threads.messages
    id = messages.create(thread_id, role="user", content="Hello, world!").id
    other = client.beta.threads.create().id
    for operation in (messages.retrieve, messages.update, messages.delete):
        with pytest.raises(NotFoundError, match=f"No message found with id '{id}'."):
            operation(id, thread_id=other)
    assert messages.retrieve(id, thread_id=thread_id).id == id


@pytest.mark.promise("messages.create.all-or-nothing")
def test_a_message_with_an_unknown_file_is_not_kept(client: OpenAI, thread_id: str) -> None:
    attachments: Any = [{"file_id": "file-unknown", "tools": [{"type": "file_search"}]}]
    with pytest.raises(NotFoundError, match="No file found with id 'file-unknown'"):
        client.beta.threads.messages.create(thread_id, role="user", content="x", attachments=attachments)
    assert client.beta.threads.messages.list(thread_id).data == []


@pytest.mark.promise("errors.sdk-exceptions")
def test_errors_reach_the_sdk_with_all_their_parts(client: OpenAI, thread_id: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.beta.threads.messages.create(thread_id, role="human", content="x")  # type: ignore[arg-type]
    error = caught.value
    assert (error.status_code, error.param, error.code, error.type) == (
        400,
        "role",
        "invalid_value",
        "invalid_request_error",
    )
    assert error.request_id is not None
    assert error.request_id.startswith("req_")


@pytest.mark.promise("common.raw-responses")
def test_raw_and_streamed_responses_give_headers_and_object(client: OpenAI, thread_id: str) -> None:
    raw = client.beta.threads.messages.with_raw_response.create(thread_id, role="user", content="Hello")
    message = raw.parse()
    assert raw.headers["x-request-id"] == raw.request_id == message._request_id
    streamed = client.beta.threads.messages.with_streaming_response.retrieve(message.id, thread_id=thread_id)
    with streamed as response:
        assert json.loads(b"".join(response.iter_bytes())) == message.to_dict()
