"""Files through the official client. Reference: protocol section 8."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.masking import masked
from threadkeep.storage.sweeps import Sweeper
from threadkeep.sweeping import handlers

FILE = {
    "object": "file",
    "id": "file-*",
    "purpose": "assistants",
    "filename": "notes.txt",
    "bytes": 5,
    "created_at": "now",
    "expires_at": None,
    "status": "processed",
    "status_details": None,
}
"""A new file, in the order of the wire."""


@pytest.mark.promise("files.upload")
def test_an_upload_becomes_a_file(client: OpenAI, http: httpx.Client) -> None:
    file = client.files.create(file=("notes.txt", b"notes"), purpose="assistants")
    assert masked(file) == FILE
    assert client.files.retrieve(file.id).to_dict() == file.to_dict()
    assert json.dumps(masked(http.get(f"/v1/files/{file.id}").json())) == json.dumps(FILE)


@pytest.mark.promise("files.content")
@pytest.mark.parametrize("purpose", ["vision", "batch", "fine-tune", "evals"])
@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 3000], ids=["empty", "one", "binary"])
def test_content_comes_back_byte_by_byte(client: OpenAI, purpose: Any, content: bytes) -> None:
    file = client.files.create(file=("data.bin", content), purpose=purpose)
    answer = client.files.content(file.id)
    assert answer.content == content
    headers = ("content-type", "content-disposition", "content-length")
    assert [answer.response.headers[name] for name in headers] == [
        "application/octet-stream",
        'attachment; filename="data.bin"',
        str(len(content)),
    ]
    assert (file.bytes, file.purpose) == (len(content), purpose)


@pytest.mark.promise("files.content.refused")
@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_content_of_some_purposes_is_not_given_out(client: OpenAI, purpose: Any) -> None:
    file = client.files.create(file=("notes.txt", b"notes"), purpose=purpose)
    with pytest.raises(BadRequestError) as caught:
        client.files.content(file.id)
    assert caught.value.body == {
        "message": f"Not allowed to download files of purpose: {purpose}",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.promise("files.upload.streamed")
def test_a_large_file_streams_in_and_out(http: httpx.Client) -> None:
    block, blocks = bytes(range(256)) * 256, 160  # 10 MiB in pieces of 64 KiB

    def form() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
        yield from (block for _ in range(blocks))
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    file = http.post("/v1/files", content=form(), headers=headers).json()
    assert masked(file) == {**FILE, "purpose": "vision", "filename": "big", "bytes": len(block) * blocks}
    digest = hashlib.sha256()
    with http.stream("GET", f"/v1/files/{file['id']}/content") as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(block * blocks).hexdigest()


@pytest.mark.promise("files.delete")
def test_a_deleted_file_is_gone(client: OpenAI) -> None:
    file = client.files.create(file=("notes.txt", b"notes"), purpose="vision")
    assert client.files.delete(file.id).to_dict() == {"object": "file", "deleted": True, "id": file.id}
    for again in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(NotFoundError, match=f"No such File object: {file.id}"):
            again(file.id)
    assert client.files.list().data == []


@pytest.mark.promise("files.delete.detaches")
def test_a_deleted_file_leaves_attachments_and_tools(client: OpenAI) -> None:
    gone, kept = (client.files.create(file=(name, b"x"), purpose="assistants").id for name in ("a", "b"))
    tools = [{"type": "code_interpreter"}]
    attachments: Any = [{"file_id": id, "tools": tools} for id in (gone, kept, gone)]
    image: Any = [{"type": "image_file", "image_file": {"file_id": gone}}]
    threads = client.beta.threads
    thread = threads.create(tool_resources={"code_interpreter": {"file_ids": [gone]}})
    one = threads.messages.create(thread.id, role="user", content=image, attachments=attachments)
    two = threads.messages.create(thread.id, role="user", content="x", attachments=attachments[:1])
    client.files.delete(gone)
    left = threads.messages.retrieve(one.id, thread_id=thread.id)
    assert left.to_dict() == {**one.to_dict(), "attachments": [{"file_id": kept, "tools": tools}]}
    assert threads.messages.retrieve(two.id, thread_id=thread.id).attachments == []
    resources = threads.retrieve(thread.id).to_dict()["tool_resources"]
    assert resources == {"code_interpreter": {"file_ids": [kept]}}


@pytest.mark.promise("files.delete.detaches")
def test_a_file_outlives_what_it_was_attached_to(client: OpenAI) -> None:
    file = client.files.create(file=("a", b"x"), purpose="assistants").id
    attachments: Any = [{"file_id": file, "tools": [{"type": "code_interpreter"}]}]
    threads = client.beta.threads
    kept, gone = (threads.create().id for _ in range(2))
    for thread_id in (kept, gone):
        threads.messages.create(thread_id, role="user", content="x", attachments=attachments)
    for message in threads.messages.list(kept):
        threads.messages.delete(message.id, thread_id=kept)
    threads.delete(gone)
    assert client.files.retrieve(file).id == file
    assert client.files.delete(file).deleted
    assert threads.retrieve(kept).to_dict()["tool_resources"] == {}


class Shelf(NamedTuple):
    """A server whose clock stands still, and a client of it."""

    house: House
    clock: SetClock
    client: OpenAI

    def sweep(self) -> None:
        """Carry out what is due now."""
        context = self.house.context
        self.house.call(Sweeper(context.database, self.clock, handlers(context)).sweep)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Shelf]:
    clock = SetClock()
    with (
        House(tmp_path_factory.mktemp("shelf"), database, clock=clock) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("shelf"), max_retries=0) as client,
    ):
        yield Shelf(house, clock, client)


@pytest.mark.promise("files.expires-after")
def test_a_file_ends_when_it_expires(shelf: Shelf) -> None:
    client, threads = shelf.client, shelf.client.beta.threads
    file = client.files.create(
        file=("a.png", b"x"), purpose="vision", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600 == shelf.clock.now + 3600
    attachments: Any = [{"file_id": file.id, "tools": [{"type": "file_search"}]}]
    thread = threads.create(messages=[{"role": "user", "content": "x", "attachments": attachments}])
    shelf.clock.advance(3599)
    assert client.files.content(file.id).content == b"x"
    shelf.clock.advance(1)
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match=f"No such File object: {file.id}"):
            call(file.id)
    assert client.files.list().data == []
    with pytest.raises(NotFoundError, match=f"No file found with id '{file.id}'"):
        threads.messages.create(thread.id, role="user", content="x", attachments=attachments)
    shelf.sweep()
    assert threads.messages.list(thread.id).data[0].attachments == []


class Listed(NamedTuple):
    """Five files, oldest first, of purposes that alternate."""

    client: OpenAI
    ids: list[str]

    def numbers(self, **query: Any) -> tuple[list[int], bool]:
        page = self.client.files.list(**query)
        numbers = [self.ids.index(file.id) for file in page.data]
        ends = (self.ids[numbers[0]], self.ids[numbers[-1]]) if numbers else (None, None)
        assert (page.to_dict()["first_id"], page.to_dict()["last_id"]) == ends
        return numbers, bool(page.has_more)


@pytest.fixture
def listed(client: OpenAI) -> Listed:
    purposes: list[Any] = ["vision", "assistants"] * 2 + ["vision"]
    files = [client.files.create(file=("x", b"x"), purpose=purpose) for purpose in purposes]
    return Listed(client, [file.id for file in files])


@pytest.mark.promise("files.list")
def test_files_are_listed_by_purpose_order_and_cursor(listed: Listed) -> None:
    assert listed.numbers() == ([4, 3, 2, 1, 0], False)
    assert listed.numbers(order="asc", limit=2) == ([0, 1], True)
    assert listed.numbers(purpose="vision") == ([4, 2, 0], False)
    assert listed.numbers(purpose="vision", order="asc", limit=2) == ([0, 2], True)
    assert listed.numbers(purpose="vision", after=listed.ids[3]) == ([2, 0], False)
    assert listed.numbers(purpose="batch") == ([], False)
    assert listed.numbers(limit=10_000, after=listed.ids[0]) == ([], False)
    assert [file.id for file in listed.client.files.list(limit=2)] == listed.ids[::-1]


@pytest.mark.promise("paging.deleted-cursor")
def test_a_deleted_file_keeps_its_place_as_a_cursor(listed: Listed) -> None:
    listed.client.files.delete(listed.ids[2])
    assert listed.numbers(after=listed.ids[2]) == ([1, 0], False)
    assert listed.numbers(after=listed.ids[2], order="asc") == ([3, 4], False)


@pytest.mark.promise("paging.unknown-cursor")
@pytest.mark.parametrize("cursor", ["after", "before"])
def test_a_cursor_that_never_was_a_file_here_is_not_found(
    http: httpx.Client, other_key: str, cursor: str
) -> None:
    headers = {"Authorization": f"Bearer {other_key}"}
    form: dict[str, Any] = {"data": {"purpose": "vision"}, "files": {"file": ("x", b"x")}}
    foreign, gone = (http.post("/v1/files", headers=headers, **form).json()["id"] for _ in range(2))
    http.delete(f"/v1/files/{gone}", headers=headers)
    for id in ("file-x", foreign, gone):
        answer = http.get("/v1/files", params={cursor: id})
        assert answered(answer) == refusal(404, f"No file found with id '{id}'.")


@pytest.mark.promise("files.list.default-limit")
def test_all_files_are_on_one_page_unless_asked_otherwise(http: httpx.Client) -> None:
    for _ in range(21):
        http.post("/v1/files", data={"purpose": "vision"}, files={"file": ("x", b"x")})
    page = http.get("/v1/files").json()
    assert (len(page["data"]), page["has_more"]) == (21, False)
