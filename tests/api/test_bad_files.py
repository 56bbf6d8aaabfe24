"""Files that cannot be searched, and files that are not there: each says why, on every database."""

import codecs
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.ingestion.documents import WESTERN
from tests.ingestion.files import docx_of, pdf_of
from tests.support.house import House

SCANNED = "The file has no text. Its pages may be scanned pictures, which are not turned into text."
LOCKED = "The file is protected by a password."
UNREADABLE: dict[str, tuple[bytes, str, str]] = {
    "empty.txt": (b"", "invalid_file", "The file is empty."),
    "blank.txt": (b" \r\n", "invalid_file", "The file has no text."),
    "noise.txt": (bytes(range(256)) * 40, "invalid_file", "The file is not text, though its name says so."),
    "scanned.pdf": (pdf_of("", ""), "invalid_file", SCANNED),
    "locked.pdf": (pdf_of("Hello", password="x"), "invalid_file", LOCKED),
    "damaged.docx": (docx_of("Hello")[:-99], "invalid_file", "The file is damaged: File is not a zip file."),
    "damaged.doc": (WESTERN[:3000], "invalid_file", "The file is damaged: it holds no Word document."),
    "virus.exe": (b"MZ", "unsupported_file", "Files of the type .exe are not supported."),
    "nameless": (b"text", "unsupported_file", "The file's name has no ending that says its type."),
}
GERMAN = "Die Mühle an der Straße mahlt größere Körner für die Bäcker."
READABLE: dict[str, tuple[bytes, str]] = {
    "utf-8.txt": (GERMAN.encode(), GERMAN),
    "utf-16.txt": (GERMAN.encode("utf-16"), GERMAN),
    "utf-16-be.txt": (codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), GERMAN),
    "latin-1.txt": (GERMAN.encode("latin-1"), GERMAN),
    "word.doc": (WESTERN, "The miller’s report"),
}


def uploaded(client: OpenAI, name: str, content: bytes) -> str:
    return client.files.create(file=(name, io.BytesIO(content)), purpose="assistants").id


@pytest.mark.promise("ingestion.bad-files", "ingestion.encodings", "vector-stores.poll")
def test_each_file_of_a_batch_has_its_own_status_and_reason(client: OpenAI) -> None:
    ids = {name: uploaded(client, name, content) for name, (content, *_) in UNREADABLE.items()}
    ids |= {name: uploaded(client, name, content) for name, (content, _) in READABLE.items()}
    store = client.vector_stores.create().id
    batch = client.vector_stores.file_batches.create_and_poll(store, file_ids=list(ids.values()))
    counts = batch.file_counts
    assert (counts.completed, counts.failed, counts.total) == (len(READABLE), len(UNREADABLE), len(ids))
    assert batch.status == "completed"
    for name, (_, code, message) in UNREADABLE.items():
        file = client.vector_stores.files.retrieve(ids[name], vector_store_id=store)
        assert file.last_error is not None, name
        assert (file.status, file.last_error.code, file.last_error.message) == ("failed", code, message), name
        assert file.usage_bytes == 0
        assert client.vector_stores.files.content(ids[name], vector_store_id=store).data == []
    for name, (_, text) in READABLE.items():
        file = client.vector_stores.files.retrieve(ids[name], vector_store_id=store)
        assert (file.status, file.last_error) == ("completed", None), name
        found = client.vector_stores.files.content(ids[name], vector_store_id=store).data
        assert text in "".join(part.text or "" for part in found), name


@pytest.mark.promise("ingestion.encodings")
def test_broken_utf_8_is_read_as_far_as_it_goes(client: OpenAI) -> None:
    broken = GERMAN.encode() * 3 + b"\xc3" + b" mill " + GERMAN.encode()
    store = client.vector_stores.create().id
    file = client.vector_stores.files.create_and_poll(
        uploaded(client, "a.txt", broken), vector_store_id=store
    )
    assert file.status == "completed"
    found = client.vector_stores.search(store, query="mill").data
    assert len(found) == 1
    assert "mahlt" in found[0].content[0].text


# ---------------------------------------------------------------- files that are not there

WAYS: dict[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "store": lambda store, file: ("/vector_stores", {"file_ids": [file]}),
    "file": lambda store, file: (f"/vector_stores/{store}/files", {"file_id": file}),
    "batch": lambda store, file: (f"/vector_stores/{store}/file_batches", {"file_ids": [file]}),
    "thread": lambda store, file: ("/threads", helper(file)),
    "assistant": lambda store, file: ("/assistants", {"model": "echo", **helper(file)}),
    "attachment": lambda store, file: ("/threads", {"messages": [attached(file)]}),
}


def helper(file: str) -> dict[str, Any]:
    return {"tool_resources": {"file_search": {"vector_stores": [{"file_ids": [file]}]}}}


def attached(file: str) -> dict[str, Any]:
    tools = [{"type": "file_search"}]
    return {"role": "user", "content": "x", "attachments": [{"file_id": file, "tools": tools}]}


@pytest.fixture(params=["unknown", "foreign", "deleted"])
def gone(request: pytest.FixtureRequest, client: OpenAI, house: House, other_key: str) -> str:
    """A file that the project does not have."""
    if request.param == "unknown":
        return "file-AAAAAAAAAAAAAAAAAAAAAAAA"
    if request.param == "foreign":
        with OpenAI(base_url=house.base_url, api_key=other_key, max_retries=0) as stranger:
            return uploaded(stranger, "a.txt", b"a")
    id = uploaded(client, "a.txt", b"a")
    client.files.delete(id)
    return id


@pytest.mark.promise("vector-stores.files.unknown", "projects.are-separate")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_not_there_is_named(client: OpenAI, http: httpx.Client, way: str, gone: str) -> None:
    store = client.vector_stores.create().id
    there = uploaded(client, "b.txt", b"b")
    path, body = WAYS[way](store, gone)
    if "file_ids" in body:
        body["file_ids"] = [there, *body["file_ids"]]
    answer = http.post(f"/v1{path}", json=body, headers={"OpenAI-Beta": "assistants=v2"})
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"No file found with id '{gone}'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert client.vector_stores.retrieve(store).file_counts.total == 0
    assert len(client.vector_stores.list().data) == 1


@pytest.mark.promise("vector-stores.batches.validation")
@pytest.mark.parametrize("place", [0, 700, 1999])
def test_of_many_files_the_one_that_is_not_there_is_named(client: OpenAI, place: int) -> None:
    there = uploaded(client, "b.txt", b"b")
    gone = "file-000000000000000000000000" if place == 0 else "file-zzzzzzzzzzzzzzzzzzzzzzzz"
    store = client.vector_stores.create().id
    ids = [there] * 2000
    ids[place] = gone
    with pytest.raises(NotFoundError, match=f"No file found with id '{gone}'"):
        client.vector_stores.file_batches.create(store, file_ids=ids)
    assert client.vector_stores.retrieve(store).file_counts.total == 0


@pytest.mark.promise("vector-stores.validation", "vector-stores.batches.validation")
def test_more_files_than_there_may_be_are_refused(client: OpenAI) -> None:
    there = uploaded(client, "b.txt", b"b")
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.create(file_ids=[there] * 501)
    assert (refused.value.param, refused.value.code) == ("file_ids", "array_above_max_length")
    store = client.vector_stores.create().id
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.file_batches.create(store, file_ids=[there] * 2001)
    assert (refused.value.param, refused.value.code) == ("file_ids", "array_above_max_length")
