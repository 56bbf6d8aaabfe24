"""A process that reads files into a vector store is killed: the files are searchable all the same, each chunk
once. On PostgreSQL another process takes them up; on SQLite the one that is started after the kill does."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support.child import Child
from tests.support.house import database_url
from tests.support.waiting import until

KEY = "sk-key-of-the-ingestion-kills"
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
SHORT = 3


class Pair:
    """The process that is going to be killed, and whoever goes on."""

    def __init__(self, directory: Path, database: str, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._variables = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_RUN_LEASE": "1",
            "THREADKEEP_INGESTION_WORKERS": "1",
            "THREADKEEP_FILES_URL": f"file:///{directory / 'files'}",
        }
        self._other: Child | None = None
        if database == "postgres":
            self._variables["THREADKEEP_DATABASE_URL"] = database_url(database, directory)
        self._victim = self._start()
        self._has_heir = database == "postgres"
        self.client = self._client_of(self._victim)

    def _start(self) -> Child:
        return self._stack.enter_context(Child(self._directory, **self._variables))

    def _client_of(self, child: Child) -> OpenAI:
        client = OpenAI(base_url=f"{child.address}/v1", api_key=KEY, max_retries=0, timeout=30)
        return self._stack.enter_context(client)

    def kill(self) -> OpenAI:
        """A client of the process that goes on."""
        heir = self._start() if self._has_heir else None
        self._victim.kill()
        return self._client_of(heir or self._start())


@pytest.fixture
def pair(tmp_path: Path, database: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, database, stack)


def uploaded(client: OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, text.encode()), purpose="assistants").id


@pytest.mark.promise("ingestion.crash")
@pytest.mark.promise("ingestion.progress")
def test_files_whose_server_is_killed_are_read_to_their_end_once(pair):
    long = "".join(f"Line {number} of a text that takes its time to be read.\n" for number in range(40_000))
    texts = [f"Short text {number}.\n" for number in range(SHORT)] + [long]
    ids = [uploaded(pair.client, f"{number}.txt", text) for number, text in enumerate(texts)]
    store = pair.client.vector_stores.create(file_ids=ids, chunking_strategy=CHUNKING)
    assert store.file_counts.in_progress == len(ids)

    def counts(client: OpenAI):
        return client.vector_stores.retrieve(store.id).file_counts

    until(lambda: counts(pair.client).completed == SHORT)
    assert counts(pair.client).in_progress == 1
    other = pair.kill()
    until(lambda: counts(other).completed == len(ids), seconds=60)
    for id, text in zip(ids, texts, strict=True):
        content = other.vector_stores.files.content(id, vector_store_id=store.id)
        assert "".join(part.text or "" for part in content.data) == text
