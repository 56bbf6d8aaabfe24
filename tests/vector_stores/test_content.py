"""The text of a file in a vector store, as it is searched. Reference: protocol section 10."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.support.house import House
from tests.support.waiting import SECONDS
from tests.vector_stores.conftest import Worker
from threadkeep.search import base as search
from threadkeep.search.words import words_of
from threadkeep.storage.database import Transaction
from threadkeep.storage.packing import packed
from threadkeep.vector_stores import progress
from threadkeep.vector_stores.model import FileContent, FileContents

EMPTY = b'{"object":"vector_store.file_content.page","data":[],"has_more":false,"next_page":null}'
LARGE_CHUNKS, LARGE_CHUNK = 1000, "x" * 16_384
"""Together more than the buffers of a connection hold."""


@pytest.mark.promise("vector-stores.files.content")
@pytest.mark.parametrize("number", [1, search.PIECES_AT_ONCE, 2 * search.PIECES_AT_ONCE + 1])
def test_the_answer_is_one_object_however_long_the_text_is(
    http: httpx.Client, worker: Worker, new_files: Any, number: int
) -> None:
    [file] = new_files(1)
    store = http.post("/v1/vector_stores", json={"file_ids": [file]}).json()["id"]
    path = f"/v1/vector_stores/{store}/files/{file}/content"
    assert http.get(path).content == EMPTY
    [claim] = worker.claimed(store)
    texts = [f'{place}: "Grüße",\n\\ \U0001f375' for place in range(number)]
    worker.complete(claim, texts=texts)
    answer = http.get(path)
    whole = FileContents(data=[FileContent("text", text) for text in texts])
    assert answer.content == msgspec.json.encode(whole)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["transfer-encoding"] == "chunked"


@pytest.mark.promise("vector-stores.files.content.large")
def test_a_large_text_is_read_as_it_is_sent_and_never_ends_as_if_it_were_whole(
    house: House, key: str, http: httpx.Client, worker: Worker, new_files: Any
) -> None:
    [file] = new_files(1)
    store = http.post("/v1/vector_stores", json={"file_ids": [file]}).json()["id"]
    [claim] = worker.claimed(store)
    take_in_a_large_text(worker, claim)
    path = f"{house.base_url}/vector_stores/{store}/files/{file}"
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("GET", f"{path}/content", headers=headers, timeout=SECONDS, verify=False) as answer:
        arriving = answer.iter_raw()
        assert next(arriving).startswith(EMPTY[:40])
        assert httpx.delete(path, headers=headers, verify=False).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):  # the rest had not been read yet
            list(arriving)


def take_in_a_large_text(worker: Worker, claim: Any) -> None:
    async def work(transaction: Transaction) -> None:
        words = packed(words_of("word"), transaction.chunks.packing)
        for first in range(0, LARGE_CHUNKS, 20):
            chunks = [search.Chunk(number, LARGE_CHUNK, words) for number in range(first, first + 20)]
            await search.add(transaction, claim.store_id, claim.file_id, chunks, None, None)
        await progress.completed(transaction, claim, 1, worker.now)

    worker.write(work)
