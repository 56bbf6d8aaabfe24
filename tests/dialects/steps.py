"""Small steps that tests of all dialects take over plain HTTP."""

from typing import Any

import httpx


def done(answer: httpx.Response) -> Any:
    """The JSON of an answer that must be a success."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def new_thread(http: httpx.Client) -> str:
    """The id of a new, empty thread."""
    id: str = done(http.post("/threads", json={}))["id"]
    return id


def new_message(http: httpx.Client, thread_id: str, content: Any = "Hello", **rest: Any) -> Any:
    """A new message of the user, as the dialect shows it."""
    body = {"role": "user", "content": content, **rest}
    return done(http.post(f"/threads/{thread_id}/messages", json=body))


def new_files(http: httpx.Client, count: int) -> list[str]:
    """The ids of new files, in the order of their making."""
    return [new_file(http, f"{number}.txt") for number in range(count)]


def new_file(http: httpx.Client, name: str = "notes.txt", content: bytes = b"some notes") -> str:
    """The id of a new file."""
    form = {"file": (name, content, "text/plain")}
    id: str = done(http.post("/files", data={"purpose": "assistants"}, files=form))["id"]
    return id


def every_tool(file_ids: list[str]) -> list[Any]:
    """What v2 shows for files that came as `file_ids`."""
    tools = [{"type": "file_search"}, {"type": "code_interpreter"}]
    return [{"file_id": id, "tools": tools} for id in file_ids]
