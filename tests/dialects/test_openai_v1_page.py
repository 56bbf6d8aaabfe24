"""The v1 reference page "Messages": each of its examples, asked and answered (ids and times aside).

`openai_v1_page.json` holds the examples. The page shows its two objects without a request; theirs is
the one that retrieves such an object.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dialects.masks import masked
from tests.dialects.steps import new_file, new_files, new_message, new_thread
from tests.support.house import House
from threadkeep.messages import store
from threadkeep.messages.model import Message, body_of, plain_text
from threadkeep.storage.database import Transaction

PAGE: dict[str, Any] = json.loads(Path(__file__).with_name("openai_v1_page.json").read_text())
QUESTION = PAGE["create message"]["request"]["body"]["content"]
Names = dict[str, str]
"""From ids of the page to ids of this server."""


def a_thread(v1: httpx.Client, house: House) -> Names:
    return {"thread_abc123": new_thread(v1)}


def a_message(v1: httpx.Client, house: House) -> Names:
    names = a_thread(v1, house)
    return {**names, "msg_abc123": new_message(v1, names["thread_abc123"], QUESTION)["id"]}


def two_messages(v1: httpx.Client, house: House) -> Names:
    """The page lists the newest first; the other one has a file."""
    names, file_id = a_thread(v1, house), new_file(v1)
    thread_id = names["thread_abc123"]
    older = new_message(v1, thread_id, "Hello, what is AI?", file_ids=[file_id])["id"]
    newer = new_message(v1, thread_id, QUESTION)["id"]
    return {**names, "msg_abc123": newer, "msg_abc456": older, "file-abc123": file_id}


def a_message_with_two_files(v1: httpx.Client, house: House) -> Names:
    """The page gives both of its files the same id, so they have no names here."""
    names = a_thread(v1, house)
    message = new_message(v1, names["thread_abc123"], QUESTION, file_ids=new_files(v1, 2))
    return {**names, "msg_abc123": message["id"]}


def a_message_with_a_file(v1: httpx.Client, house: House) -> Names:
    names, file_id = a_thread(v1, house), new_file(v1)
    id = new_message(v1, names["thread_abc123"], QUESTION, file_ids=[file_id])["id"]
    of_the_object = {"message_QLoItBbqwyAJEzlTy4y9kOMM": id}
    return {**names, **of_the_object, "msg_abc123": id, "file-abc123": file_id}


def a_run_s_message(v1: httpx.Client, house: House) -> Names:
    """An answer, put into the thread as a run leaves it there."""
    names = a_thread(v1, house)
    answer = Message(
        id="msg_0fTheAssistant0000000000",
        created_at=1698983503,
        completed_at=1698983503,
        thread_id=names["thread_abc123"],
        assistant_id="asst_abc123",
        run_id="run_abc123",
        role="assistant",
        content=plain_text("Hi! How can I help you today?"),
    )
    project = v1.get("/threads").headers["openai-project"]

    async def put(transaction: Transaction) -> None:
        await store.append(transaction, project, answer.thread_id, answer.id, body_of(answer))

    house.call(lambda: house.context.database.write(put))
    return {**names, "msg_abc123": answer.id, "asst_abc123": "asst_abc123", "run_abc123": "run_abc123"}


STATES: dict[str, Callable[[httpx.Client, House], Names]] = {
    "create message": a_thread,
    "list messages": two_messages,
    "list message files": a_message_with_two_files,
    "retrieve message": a_message,
    "retrieve message file": a_message_with_a_file,
    "modify message": a_message,
    "the message object": a_run_s_message,
    "the message file object": a_message_with_a_file,
}
"""What each example presupposes."""


def here(value: Any, names: Names) -> Any:
    """The page's words with this server's ids."""
    text = json.dumps(value)
    for name, id in names.items():
        text = text.replace(name, id)
    return json.loads(text)


def decided(value: Any) -> Any:
    """What this server adds: the fields that the page lists, but leaves out of its examples."""
    match value:
        case {"object": "list"}:
            return {**value, "data": [decided(one) for one in value["data"]]}
        case {"object": "thread.message"}:
            state = {"status": "completed", "incomplete_details": None, "incomplete_at": None}
            return {**value, **state, "completed_at": value["created_at"]}
        case {"object": "thread.message.file"}:
            return {**value, "file_id": value["id"]}
    raise AssertionError(value)


@pytest.mark.promise("v1.page.examples")
@pytest.mark.promise("v1.message-files.file-id")
@pytest.mark.parametrize("example", PAGE)
def test_a_request_of_the_page_gives_its_response(
    v1: httpx.Client, house: House, key: str, example: str
) -> None:
    names = STATES[example](v1, house)
    request = here(PAGE[example]["request"], {**names, "$OPENAI_API_KEY": key})
    body = json.dumps(request["body"]) if "body" in request else None
    url = house.address + request["path"]
    answer = httpx.request(request["method"], url, headers=request["headers"], content=body, verify=False)
    expected = decided(here(PAGE[example]["response"], names))
    assert answer.status_code == 200
    assert masked(answer.json(), names.values()) == masked(expected, names.values())


def test_every_example_of_the_page_has_its_state() -> None:
    assert list(PAGE) == list(STATES)
