"""The last official client of v1, openai 1.20, unchanged, in an environment of its own.

`openai_1_20/session.py` is the program; here its results are compared as wholes, with ids numbered in
the order of their appearance: files, then the thread, then messages, at last assistants.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.masks import numbered
from tests.support.house import House

SESSION = Path(__file__).parent / "openai_1_20" / "session.py"
VARIABLE = "OPENAI_1_20_PYTHON"
SECONDS = 60

FILES = ["<file 1>", "<file 2>", "<file 3>"]
HELLO, HI, MORNING = "<msg 1>", "<msg 2>", "<msg 3>"
"""The messages in the order in which the program sees them; MORNING came with the thread."""


def interpreter() -> str:
    """The Python that has openai 1.20."""
    python = os.environ.get(VARIABLE)
    assert python, (
        f"{VARIABLE} is not set. It names the Python of an environment with requirements-openai-1.20.txt; "
        "`make test` makes that environment and sets it."
    )
    return python


@pytest.fixture(scope="module")
def said(house: House) -> Any:
    """What the program printed."""
    key = house.new_key("a program written for openai 1.20")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTHON"))}
    run = subprocess.run(
        [interpreter(), SESSION],
        env={**ours, "OPENAI_BASE_URL": house.base_url, "OPENAI_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return numbered(json.loads(run.stdout))


def message(id: str, text: str, **others: Any) -> dict[str, Any]:
    """A message as this client's model has it."""
    plain: dict[str, Any] = {
        "id": id,
        "object": "thread.message",
        "created_at": "<time>",
        "completed_at": "<time>",
        "incomplete_at": None,
        "incomplete_details": None,
        "status": "completed",
        "thread_id": "<thread 1>",
        "assistant_id": None,
        "run_id": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "file_ids": [],
        "metadata": {},
    }
    return {**plain, **others}


def message_file(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "object": "thread.message.file",
        "created_at": "<time>",
        "message_id": HELLO,
        "file_id": id,
    }


def thread(topic: str) -> dict[str, Any]:
    return {"id": "<thread 1>", "object": "thread", "created_at": "<time>", "metadata": {"topic": topic}}


def some(said: Any, *steps: str) -> list[Any]:
    return [said[step] for step in steps]


@pytest.mark.promise("v1.client.openai-1.20")
def test_the_program_ran_with_openai_1_20(said: Any) -> None:
    assert said["client"] == "1.20.0"


@pytest.mark.promise("v1.client.openai-1.20")
def test_files(said: Any) -> None:
    notes = {
        "id": FILES[0],
        "object": "file",
        "purpose": "assistants",
        "filename": "notes.txt",
        "bytes": 10,
        "created_at": "<time>",
        "status": "processed",
        "status_details": None,
        "expires_at": None,
    }
    assert some(said, "upload", "retrieve file") == [notes, notes]
    assert said["delete file"] == {"id": FILES[0], "object": "file", "deleted": True}
    assert said["files left"] == ["1.txt", "0.txt"]


@pytest.mark.promise("v1.client.openai-1.20")
def test_threads(said: Any) -> None:
    made, read, updated = some(said, "create thread", "retrieve thread", "update thread")
    assert [made, read, updated] == [thread("tea"), thread("tea"), thread("coffee")]
    assert said["delete thread"] == {"id": "<thread 1>", "object": "thread.deleted", "deleted": True}


@pytest.mark.promise("v1.client.openai-1.20")
def test_messages(said: Any) -> None:
    hello = message(HELLO, "Hello", file_ids=FILES)
    modified = {**hello, "metadata": {"modified": "true"}}
    morning = message(MORNING, "Good morning", metadata={"n": "1"})
    assert some(said, "create message", "retrieve message", "update message") == [hello, hello, modified]
    assert said["list messages"] == [message(HI, "Hi", role="assistant"), modified, morning]


@pytest.mark.promise("v1.client.openai-1.20")
def test_message_files(said: Any) -> None:
    assert said["list message files"] == [message_file(id) for id in reversed(FILES)]
    assert said["retrieve message file"] == message_file(FILES[1])
    assert said["message files left"] == [FILES[2], FILES[1]]


@pytest.mark.promise("v1.client.pages-until-empty")
@pytest.mark.parametrize(
    ("step", "ids", "cursors"),
    [
        ("page through messages, asc", [MORNING, HELLO, HI], [None, HELLO, HI]),
        ("page through messages, desc", [HI, HELLO, MORNING], [None, HELLO, MORNING]),
        ("page through message files", FILES, [None, FILES[1], FILES[2]]),
        (
            "page through assistants",
            ["<asst 2>", "<asst 3>", "<asst 1>"],
            [None, "<asst 3>", "<asst 1>"],
        ),
        ("page through assistant files", FILES[1:], [None, FILES[1], FILES[2]]),
    ],
)
def test_the_client_pages_until_a_page_is_empty(
    said: Any, step: str, ids: list[str], cursors: list[str | None]
) -> None:
    """It knows no `has_more`, so each walk ends with a request beyond the last object."""
    assert said[step] == {"ids": ids, "cursors": cursors}


def assistant(id: str = "<asst 1>", **others: Any) -> dict[str, Any]:
    """An assistant as this client's model has it."""
    plain: dict[str, Any] = {
        "id": id,
        "object": "assistant",
        "created_at": "<time>",
        "name": None,
        "description": None,
        "model": "gpt-4",
        "instructions": None,
        "tools": [{"type": "retrieval"}, {"type": "code_interpreter"}],
        "file_ids": [FILES[1]],
        "metadata": {},
    }
    return {**plain, **others}


@pytest.mark.promise("v1.client.openai-1.20")
def test_assistants(said: Any) -> None:
    made, read, updated = some(said, "create assistant", "retrieve assistant", "update assistant")
    assert [made, read] == [assistant(), assistant()]
    assert updated == assistant(name="Tutor", instructions="Be brief.")
    assert said["delete assistant"] == {"id": "<asst 1>", "object": "assistant.deleted", "deleted": True}


@pytest.mark.promise("v1.client.openai-1.20")
def test_assistant_files(said: Any) -> None:
    file = {"object": "assistant.file", "created_at": "<time>", "assistant_id": "<asst 1>"}
    made, read = some(said, "create assistant file", "retrieve assistant file")
    assert [made, read] == [{"id": FILES[2], **file}] * 2
    gone = {"id": FILES[1], "object": "assistant.file.deleted", "deleted": True}
    assert said["delete assistant file"] == gone
    assert said["assistant files left"] == FILES[2:]


@pytest.mark.promise("v1.client.openai-1.20")
def test_errors_are_raised_as_the_client_s_own(said: Any) -> None:
    empty = "ensure this value has at least 1 characters (type=value_error.any_str.min_length; limit_value=1)"
    told = {"type": "invalid_request_error", "param": None, "code": None}
    long = (
        "ensure this value has at most 256 characters (type=value_error.any_str.max_length; limit_value=256)"
    )
    assert some(said, "refused message", "missing thread", "refused assistant", "missing assistant") == [
        {
            "class": "BadRequestError",
            "body": {"message": f"1 validation error for Request\nbody -> content\n  {empty}", **told},
        },
        {"class": "NotFoundError", "body": {"message": "No thread found with id 'thread_missing'.", **told}},
        {
            "class": "BadRequestError",
            "body": {"message": f"1 validation error for Request\nbody -> name\n  {long}", **told},
        },
        {
            "class": "NotFoundError",
            "body": {"message": "No assistant found with id 'asst_missing'.", **told},
        },
    ]
