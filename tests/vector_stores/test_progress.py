"""The work on files in stores, as rows: claims, and numbers that stay right whoever works."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from tests.support.house import House
from tests.vector_stores.conftest import LEASE, Worker
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import progress
from threadkeep.vector_stores.model import Claim
from threadkeep.vector_stores.progress import Lost


def counts(client: OpenAI, store_id: str) -> dict[str, int]:
    numbers: dict[str, Any] = client.vector_stores.retrieve(store_id).file_counts.to_dict()
    return {name: number for name, number in numbers.items() if number}


@pytest.mark.promise("vector-stores.work.claims")
def test_a_file_is_claimed_once_and_by_another_when_the_lease_is_over(
    client: OpenAI, house: House, worker: Worker, new_files: Any
) -> None:
    store = client.vector_stores.create(file_ids=new_files(1)).id
    [key] = worker.due(store)
    first = worker.claim(key)
    assert first is not None
    assert worker.claim(key) is None
    other = Worker(house, "other")

    async def over(transaction: Transaction) -> set[Claim]:
        return await progress.renew(transaction, [first.claim], worker.now - LEASE)

    assert worker.write(over) == set()
    second = other.claim(key)
    assert second is not None
    assert second.claim.attempt == first.claim.attempt + 1
    for late in (
        lambda: worker.complete(first.claim),
        lambda: worker.fail(first.claim),
    ):
        with pytest.raises(Lost):
            late()

    async def renew(transaction: Transaction) -> set[Claim]:
        return await progress.renew(transaction, [first.claim, second.claim], worker.now + LEASE)

    assert worker.write(renew) == {first.claim}
    other.complete(second.claim)
    with pytest.raises(Lost):
        other.complete(second.claim)
    assert counts(client, store) == {"completed": 1, "total": 1}


@pytest.mark.promise("vector-stores.work.claims")
def test_a_file_that_was_given_back_is_due_at_once(client: OpenAI, worker: Worker, new_files: Any) -> None:
    store = client.vector_stores.create(file_ids=new_files(1)).id
    [claim] = worker.claimed(store)
    assert worker.due(store) == []

    async def release(transaction: Transaction) -> None:
        await progress.release(transaction, claim, worker.now)

    worker.write(release)
    assert len(worker.due(store)) == 1


@pytest.mark.promise("vector-stores.work.claims")
def test_tries_are_those_that_came_to_no_end_since_the_file_was_put_in(
    client: OpenAI, worker: Worker, new_files: Any
) -> None:
    [file] = new_files(1)
    store = client.vector_stores.create(file_ids=[file]).id
    [key] = worker.due(store)

    def tries(leave: Any) -> int:
        taken = worker.claim(key)
        assert taken is not None
        worker.write(lambda transaction: leave(transaction, taken.claim))
        return taken.tries

    async def release(transaction: Transaction, claim: Claim) -> None:
        await progress.release(transaction, claim, worker.now)

    async def put_off(transaction: Transaction, claim: Claim) -> None:
        await progress.put_off(transaction, claim, worker.now, worker.now)

    async def die(transaction: Transaction, claim: Claim) -> None:
        await progress.renew(transaction, [claim], worker.now)

    assert [tries(leave) for leave in (release, put_off, die, release, die, put_off)] == [1, 1, 1, 2, 2, 3]
    worker.finish(store)
    client.vector_stores.files.create(
        store,
        file_id=file,
        chunking_strategy={
            "type": "static",
            "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0},
        },
    )
    taken = worker.claim(key)
    assert taken is not None
    assert (taken.tries, taken.put_off_since) == (1, None)


@pytest.mark.promise("vector-stores.delete")
def test_a_file_of_a_deleted_store_is_nobodys_work(client: OpenAI, worker: Worker, new_files: Any) -> None:
    store = client.vector_stores.create(file_ids=new_files(2)).id
    one, two = worker.due(store)
    taken = worker.claim(one)
    assert taken is not None
    client.vector_stores.delete(store)
    assert worker.claim(two) is None
    with pytest.raises(Lost):
        worker.complete(taken.claim)


@pytest.mark.promise("vector-stores.counts.concurrent")
def test_numbers_stay_right_while_two_processes_finish_files_and_clients_change_them(
    client: OpenAI, tmp_path_factory: pytest.TempPathFactory, house: House, new_files: Any
) -> None:
    """Two servers on one database: one worker each, and clients who add, remove and cancel."""
    files = new_files(60)
    with House(house.directory, database_of(house), ingestion_workers=0) as second:
        store = client.vector_stores.create(file_ids=files[:20]).id
        batch = client.vector_stores.file_batches.create(store, file_ids=files[20:40]).id
        start = threading.Barrier(4)

        def work(at: House, fails: bool) -> None:
            worker = Worker(at, f"at {at.address}")
            start.wait()
            for key in worker.due(store):
                if taken := worker.claim(key):
                    try:
                        worker.fail(taken.claim) if fails else worker.complete(taken.claim)
                    except Lost:
                        continue

        def add() -> None:
            start.wait()
            for file in files[40:]:
                client.vector_stores.files.create(store, file_id=file)

        def take_away() -> None:
            start.wait()
            for file in files[:10]:
                client.vector_stores.files.delete(file, vector_store_id=store)
            client.vector_stores.file_batches.cancel(batch, vector_store_id=store)

        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(work, house, False),
                pool.submit(work, second, True),
                pool.submit(add),
                pool.submit(take_away),
            ]
            for job in jobs:
                job.result()
        found = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
        of_batch = dict(found)
        used = 0
        for file in client.vector_stores.files.list(store, limit=100):
            used += file.usage_bytes
            for numbers in (found, of_batch) if file.id in files[20:40] else (found,):
                numbers[file.status] += 1
                numbers["total"] += 1
        after = client.vector_stores.retrieve(store)
        assert after.file_counts.to_dict() == found
        assert (found["total"], after.usage_bytes) == (50, used)
        told = client.vector_stores.file_batches.retrieve(batch, vector_store_id=store)
        assert told.file_counts.to_dict() == of_batch


def database_of(house: House) -> str:
    return "sqlite" if house.settings.database_url.startswith("sqlite") else "postgres"
