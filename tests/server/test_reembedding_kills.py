"""A server that embeds files again, since its model was changed, is killed: whoever goes on finishes, and
asks the model for nothing that is stored. On PostgreSQL another process goes on; on SQLite the next one."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support import postgres
from tests.support.child import Child
from tests.support.upstream import Asked, Gate, Turn, Upstream, Vectors
from tests.support.waiting import until

KEY = "sk-key-of-the-reembedding-kills"
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
TEXT = "".join(f"Line {number} of a text that has its vectors twice.\n" for number in range(2000))
OLD, NEW = 8, 16
"""How many numbers a vector has."""
BATCH = 32
CALLS = 3
"""That are answered before the kill."""
_numbers = itertools.count()


class Scene:
    """Servers on one database, one after the other or at once, and their model."""

    def __init__(self, directory: Path, database: str, up: Upstream, stack: ExitStack) -> None:
        self._directory, self._stack, self.up = directory, stack, up
        self.starts_before_the_kill = database == "postgres"
        self.gate = Gate()
        self._variables = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_RUN_LEASE": "1",
            "THREADKEEP_UPSTREAM_BASE_URL": up.url,
            "THREADKEEP_FILES_URL": f"file:///{directory / 'files'}",
        }
        if database == "postgres":
            url = postgres.server().empty(f"reembedding_kills_{os.getpid()}_{next(_numbers)}")
            self._variables["THREADKEEP_DATABASE_URL"] = url
        up.always(self._turn)

    def _turn(self, asked: Asked) -> Turn:
        if asked.model == "old":
            return Vectors(dimensions=OLD)
        calls = [one for one in self.up.requests if one.model == "new" and len(one.json["input"]) > 1]
        is_held = len(asked.json["input"]) > 1 and len(calls) > CALLS
        return Vectors(dimensions=NEW, before=self.gate if is_held else None)

    def start(self, model: str) -> Child:
        variables = {**self._variables, "THREADKEEP_EMBEDDING_MODEL": model}
        return self._stack.enter_context(Child(self._directory, **variables))

    def client_of(self, child: Child) -> OpenAI:
        client = OpenAI(base_url=f"{child.address}/v1", api_key=KEY, max_retries=0, timeout=30)
        return self._stack.enter_context(client)

    def asked_for(self, model: str) -> list[str]:
        """The texts that the model was asked for, what tells their length apart."""
        inputs = [one.json["input"] for one in self.up.requests if one.model == model]
        return [text for texts in inputs for text in texts if text != "length"]


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        up = stack.enter_context(Upstream())
        yield Scene(tmp_path, database, up, stack)


@pytest.mark.promise("reembedding.crash")
@pytest.mark.promise("reembedding.change")
def test_a_changed_model_comes_into_its_own_though_its_server_is_killed(scene):
    first = scene.start("old")
    client = scene.client_of(first)
    file = client.files.create(file=("a.txt", TEXT.encode()), purpose="assistants")
    store = client.vector_stores.create(file_ids=[file.id], chunking_strategy=CHUNKING)
    until(lambda: client.vector_stores.retrieve(store.id).status == "completed")
    chunks = len(scene.asked_for("old"))
    assert chunks > BATCH * (CALLS + 2)
    assert client.vector_stores.retrieve(store.id).usage_bytes == len(TEXT) + 4 * OLD * chunks
    first.kill()

    victim = scene.start("new")
    heir = scene.start("new") if scene.starts_before_the_kill else None
    scene.gate.wait()
    (hit, *_) = scene.client_of(victim).vector_stores.search(store.id, query="Line 1999").data
    assert "Line 1999 " in hit.content[0].text
    victim.kill()
    scene.gate.open()
    other = scene.client_of(heir or scene.start("new"))

    until(lambda: other.vector_stores.retrieve(store.id).usage_bytes == len(TEXT) + 4 * NEW * chunks)
    found = other.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert (found.status, found.usage_bytes) == ("completed", len(TEXT) + 4 * NEW * chunks)
    asked = [text for text in scene.asked_for("new") if text != "Line 1999"]
    assert set(asked) == set(scene.asked_for("old"))
    assert len(asked) <= chunks + 2 * BATCH  # those that were under way at the kill
