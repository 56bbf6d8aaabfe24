"""Every POST there is, as something that can be sent and another body for the same place."""

import itertools
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct

from tests.api.conftest import Model
from tests.support.upstream import Call, Say, Upstream
from tests.support.waiting import until

Sent = dict[str, Any]
"""What `httpx` is given to send."""
USER = {"role": "user", "content": "x"}
UPLOAD = {"filename": "a.txt", "purpose": "vision", "bytes": 1, "mime_type": "text/plain"}
TOOL = {"type": "function", "function": {"name": "f"}}
METADATA: Sent = {"json": {"metadata": {"a": "b"}}}
OTHER_METADATA: Sent = {"json": {"metadata": {"a": "c"}}}
_numbers = itertools.count()


class Post(Struct, frozen=True):
    """A POST to `path`."""

    path: str
    sent: Sent
    other: Sent
    beta: str = "assistants=v2"


class Maker:
    """Makes what the path and the body of a POST name."""

    def __init__(self, http: httpx.Client, upstream: Upstream) -> None:
        self._http, self._upstream = http, upstream

    def id(self, path: str, beta: str = "assistants=v2", **sent: Any) -> str:
        """The id of an object that is made by a POST."""
        answer = self._http.post(path, headers={"OpenAI-Beta": beta}, **sent)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def path(self, where: str, **sent: Any) -> str:
        return f"{where}/{self.id(where, **sent)}"

    def thread(self) -> str:
        return self.path("/v1/threads", json={"messages": [USER]})

    def file(self) -> str:
        form = {"file": ("a.txt", b"text %d" % next(_numbers))}
        return self.id("/v1/files", data={"purpose": "assistants"}, files=form)

    def upload(self) -> str:
        return self.path("/v1/uploads", json=UPLOAD)

    def assistant(self, *turns: Say) -> str:
        """One whose model, which no other has, takes these turns."""
        model = Model(self._upstream)
        model.says(*turns)
        return self.id("/v1/assistants", json={"model": model.name, "tools": [TOOL]})

    def run(self) -> str:
        """The path of a run that waits for the output of one tool, and then comes to its end."""
        assistant = self.assistant(Say(Call("f", "{}", id="call_1")), Say("Hi."))
        path = self.path(f"{self.thread()}/runs", json={"assistant_id": assistant})
        until(lambda: self._http.get(path).json()["status"] == "requires_action")
        return path

    def store(self) -> str:
        return self.path("/v1/vector_stores", json={})

    def batch(self) -> str:
        return self.path(f"{self.store()}/file_batches", json={"file_ids": [self.file()]})

    def stored_file(self) -> str:
        """The path of a file in a store."""
        return self.path(f"{self.store()}/files", json={"file_id": self.file()})


def form(field: str, content: bytes, **fields: str) -> Sent:
    return {"data": fields, "files": {field: ("a.txt", content)}}


def completion(make: Maker) -> Post:
    upload = make.upload()
    parts = [make.id(f"{upload}/parts", files={"data": ("a", b"x")})]
    other = {"json": {"part_ids": parts, "md5": "9dd4e461268c8034f5c8564e155c67a6"}}
    return Post(f"{upload}/complete", {"json": {"part_ids": parts}}, other)


def assistant_file(make: Maker) -> Post:
    assistant = make.id("/v1/assistants", "assistants=v1", json={"model": "m"})
    sent, other = ({"json": {"file_id": make.file()}} for _ in range(2))
    return Post(f"/v1/assistants/{assistant}/files", sent, other, "assistants=v1")


def start(make: Maker, **more: Any) -> tuple[Sent, Sent]:
    """The body of a run, and another one."""
    body = {"assistant_id": make.assistant(Say("Hi.")), **more}
    return {"json": body}, {"json": {**body, "instructions": "Be brief."}}


def outputs(text: str) -> Sent:
    return {"json": {"tool_outputs": [{"tool_call_id": "call_1", "output": text}]}}


def submission(make: Maker) -> Post:
    return Post(f"{make.run()}/submit_tool_outputs", outputs("a"), outputs("b"))


def file_in_store(make: Maker) -> Post:
    sent, other = ({"json": {"file_id": make.file()}} for _ in range(2))
    return Post(f"{make.store()}/files", sent, other)


def batch_in_store(make: Maker) -> Post:
    sent, other = ({"json": {"file_ids": [make.file()]}} for _ in range(2))
    return Post(f"{make.store()}/file_batches", sent, other)


def with_metadata(path: str) -> Post:
    return Post(path, METADATA, OTHER_METADATA)


def without_body(path: str) -> Post:
    return Post(path, {}, {"json": {}})


POSTS: dict[str, Callable[[Maker], Post]] = {
    "upload_file": lambda _: Post(
        "/v1/files", form("file", b"x", purpose="vision"), form("file", b"y", purpose="vision")
    ),
    "create_upload": lambda _: Post("/v1/uploads", {"json": UPLOAD}, {"json": {**UPLOAD, "bytes": 2}}),
    "add_upload_part": lambda make: Post(f"{make.upload()}/parts", form("data", b"x"), form("data", b"y")),
    "complete_upload": completion,
    "cancel_upload": lambda make: without_body(f"{make.upload()}/cancel"),
    "create_assistant": lambda _: Post("/v1/assistants", {"json": {"model": "m"}}, {"json": {"model": "n"}}),
    "modify_assistant": lambda make: with_metadata(make.path("/v1/assistants", json={"model": "m"})),
    "create_assistant_file": assistant_file,
    "create_thread": lambda _: Post("/v1/threads", {"json": {"messages": [USER]}}, {"json": {}}),
    "modify_thread": lambda make: with_metadata(make.thread()),
    "create_message": lambda make: Post(
        f"{make.thread()}/messages", {"json": USER}, {"json": {**USER, "content": "y"}}
    ),
    "modify_message": lambda make: with_metadata(make.path(f"{make.thread()}/messages", json=USER)),
    "create_run": lambda make: Post(f"{make.thread()}/runs", *start(make)),
    "create_thread_and_run": lambda make: Post("/v1/threads/runs", *start(make, thread={"messages": [USER]})),
    "modify_run": lambda make: with_metadata(make.run()),
    "submit_tool_outputs": submission,
    "cancel_run": lambda make: without_body(f"{make.run()}/cancel"),
    "create_vector_store": lambda _: Post("/v1/vector_stores", {"json": {"name": "a"}}, {"json": {}}),
    "modify_vector_store": lambda make: with_metadata(make.store()),
    "create_vector_store_file": file_in_store,
    "modify_vector_store_file": lambda make: Post(
        make.stored_file(), {"json": {"attributes": {"a": "b"}}}, {"json": {"attributes": {}}}
    ),
    "create_vector_store_file_batch": batch_in_store,
    "cancel_vector_store_file_batch": lambda make: without_body(f"{make.batch()}/cancel"),
    "search_vector_store": lambda make: Post(
        f"{make.store()}/search", {"json": {"query": "x"}}, {"json": {"query": "y"}}
    ),
}
"""By the names of their operations."""
