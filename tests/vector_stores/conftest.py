"""What tests of files in vector stores share: a server that works none of them, and a worker that does as a
test says."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.house import House
from tests.support.plain import plain
from threadkeep.search import base as search
from threadkeep.search.base import Chunk
from threadkeep.storage.database import Transaction, Work
from threadkeep.vector_stores import progress
from threadkeep.vector_stores.model import Claim, FailureCode, Ingestion

LEASE = 30


class Worker:
    """One process that works files, a step at a time."""

    def __init__(self, house: House, name: str = "worker") -> None:
        self.house, self.name = house, name

    def write(self, work: Work[Any]) -> Any:
        return self.house.call(lambda: self.house.context.database.write(work))

    @property
    def now(self) -> int:
        return self.house.context.now()

    def due(self, store_id: str) -> list[str]:
        """What is to be worked in one store; other tests have theirs."""

        async def work(transaction: Transaction) -> list[str]:
            return await progress.due(transaction, self.now, 1_000_000)

        return [one for one in self.write(work) if one.startswith(f"{store_id}/")]

    def claim(self, key: str) -> Ingestion | None:
        async def work(transaction: Transaction) -> Ingestion | None:
            return await progress.claim(transaction, key, self.name, self.now, self.now + LEASE)

        taken: Ingestion | None = self.write(work)
        return taken

    def claimed(self, store_id: str) -> list[Claim]:
        """Everything that is due in a store, taken."""
        taken = [self.claim(key) for key in self.due(store_id)]
        return [one.claim for one in taken if one]

    def complete(self, claim: Claim, usage_bytes: int = 10, texts: Sequence[str] = ("a text",)) -> None:
        """Make a file searchable. Raises `Lost`."""

        async def work(transaction: Transaction) -> None:
            await progress.hold(transaction, claim)
            chunks = [Chunk(number, text) for number, text in enumerate(texts)]
            await search.put(transaction, claim.store_id, claim.file_id, chunks, None, None)
            await progress.completed(transaction, claim, usage_bytes, self.now)

        self.write(work)

    def fail(self, claim: Claim, code: FailureCode = "invalid_file", message: str = "No text.") -> None:
        async def work(transaction: Transaction) -> None:
            await progress.failed(transaction, claim, code, message, self.now)

        self.write(work)

    def finish(self, store_id: str) -> None:
        """Make everything searchable that is due in a store."""
        for claim in self.claimed(store_id):
            self.complete(claim)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[House]:
    """A running server that leaves files in stores to others."""
    with House(tmp_path_factory.mktemp("house"), database, ingestion_workers=0) as running:
        yield running


@pytest.fixture
def worker(house: House) -> Worker:
    return Worker(house)


@pytest.fixture
def new_files(client: OpenAI) -> Any:
    """Makes so many files."""

    def make(count: int) -> list[str]:
        return [client.files.create(file=("a.txt", b"a"), purpose="assistants").id for _ in range(count)]

    return make


@pytest.fixture
def stranger(house: House, other_key: str) -> Iterator[httpx.Client]:
    with plain(house, other_key) as one:
        yield one
