"""Vector stores that were not used for longer than they are kept. Reference: protocol section 10."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.plain import plain
from tests.support.waiting import until
from tests.vector_stores.conftest import Worker
from threadkeep.errors import VectorStoreExpired
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import actions
from threadkeep.vector_stores import store as rows
from threadkeep.vector_stores.model import VectorStore

A_DAY = 24 * 3600
NOW = 1_800_000_000


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def house(tmp_path: Any, database: str, clock: SetClock) -> Iterator[House]:
    """A server of the test's own, whose time it sets."""
    with House(tmp_path, database, clock=clock, ingestion_workers=0) as running:
        yield running


@pytest.fixture
def http(house: House, key: str) -> Iterator[httpx.Client]:
    with plain(house, key) as one:
        yield one


def expiring(client: OpenAI, files: list[str], days: int = 1) -> str:
    after: Any = {"anchor": "last_active_at", "days": days}
    return client.vector_stores.create(file_ids=files, expires_after=after).id


@pytest.mark.promise("vector-stores.expiry")
def test_a_store_expires_after_days_without_use_and_each_use_puts_it_off(
    client: OpenAI, house: House, worker: Worker, clock: SetClock, new_files: Any
) -> None:
    store = expiring(client, new_files(1))
    project = house.call(lambda: project_of(house, store))
    uses = [
        lambda: worker.finish(store),
        lambda: client.vector_stores.update(store, name="a"),
        lambda: client.vector_stores.files.create(store, file_id=new_files(1)[0]),
        lambda: house.call(lambda: actions.use(house.context, project, [store])),
    ]
    for number, use in enumerate(uses, start=1):
        clock.now = NOW + number * A_DAY - number
        use()
        found = client.vector_stores.retrieve(store)
        assert (found.last_active_at, found.expires_at) == (clock.now, clock.now + A_DAY)
    clock.advance(A_DAY - 1)
    assert client.vector_stores.retrieve(store).status == "in_progress"
    clock.advance(1)
    assert client.vector_stores.retrieve(store).status == "expired"
    assert [one.status for one in client.vector_stores.list()] == ["expired"]


@pytest.mark.promise("vector-stores.expiry")
def test_what_became_of_a_store_keeps_no_other_from_being_used(
    client: OpenAI, house: House, clock: SetClock
) -> None:
    gone, late, there = (expiring(client, [], days) for days in (1, 1, 2))
    project = house.call(lambda: project_of(house, there))
    found = [house.call(partial(read, house, project, id)) for id in (gone, late, there)]
    client.vector_stores.delete(gone)
    clock.advance(A_DAY)
    house.call(lambda: actions.touch(house.context, found))
    assert client.vector_stores.retrieve(there).last_active_at == clock.now
    assert client.vector_stores.retrieve(late).status == "expired"


async def read(house: House, project_id: str, id: str) -> VectorStore:
    async with house.context.database.read() as transaction:
        return await rows.get(transaction, project_id, id, house.context.now())


async def project_of(house: House, store_id: str) -> str:
    async with house.context.database.read() as transaction:
        row = await transaction.one("SELECT project_id FROM vector_stores WHERE id = :id", {"id": store_id})
    assert row is not None
    return str(row[0])


@pytest.mark.promise("vector-stores.expired")
def test_an_expired_store_takes_no_files_and_stays_expired(
    client: OpenAI, http: httpx.Client, house: House, clock: SetClock, new_files: Any
) -> None:
    one, two = new_files(2)
    store = expiring(client, [one])
    clock.advance(A_DAY)
    refused = refusal(400, f"Vector store {store} has expired.", None, "vector_store_expired")
    path = f"/v1/vector_stores/{store}"
    assert answered(http.post(f"{path}/files", json={"file_id": two})) == refused
    assert answered(http.post(f"{path}/file_batches", json={"file_ids": [two]})) == refused
    project = house.call(lambda: project_of(house, store))
    with pytest.raises(VectorStoreExpired):
        house.call(lambda: actions.use(house.context, project, [store]))
    renamed = http.post(path, json={"name": "b", "expires_after": {"anchor": "last_active_at", "days": 9}})
    assert (renamed.json()["name"], renamed.json()["status"]) == ("b", "expired")
    client.vector_stores.files.delete(one, vector_store_id=store)
    assert client.vector_stores.retrieve(store).status == "expired"


@pytest.mark.promise("vector-stores.expired.swept")
def test_what_an_expired_store_held_goes_and_its_files_stay_listed(
    client: OpenAI, house: House, worker: Worker, clock: SetClock, new_files: Any
) -> None:
    files = new_files(2)
    store = expiring(client, files)
    done, _ = worker.claimed(store)
    worker.complete(done, texts=["a"] * 3)
    clock.advance(2 * A_DAY)
    until(lambda: client.vector_stores.retrieve(store).file_counts.in_progress == 0)
    until(lambda: not texts_of(worker, store, done.file_id))
    listed = {file.id: file.status for file in client.vector_stores.files.list(store)}
    assert listed == {**dict.fromkeys(files, "cancelled"), done.file_id: "completed"}


@pytest.mark.promise("vector-stores.batches.cancel")
def test_a_batch_that_its_stores_expiry_keeps_from_its_end_is_cancelled(
    client: OpenAI, worker: Worker, clock: SetClock, new_files: Any
) -> None:
    store = expiring(client, [])
    done, kept = new_files(2)
    over = client.vector_stores.file_batches.create(store, file_ids=[done]).id
    worker.finish(store)
    batch = client.vector_stores.file_batches.create(store, file_ids=[kept]).id
    clock.advance(2 * A_DAY)
    until(lambda: client.vector_stores.retrieve(store).file_counts.in_progress == 0)
    found = [client.vector_stores.file_batches.retrieve(id, vector_store_id=store) for id in (over, batch)]
    assert [one.status for one in found] == ["completed", "cancelled"]
    assert (found[1].file_counts.cancelled, found[1].file_counts.total) == (1, 1)


@pytest.mark.promise("vector-stores.deleted.swept")
def test_nothing_is_left_of_a_deleted_store(client: OpenAI, worker: Worker, new_files: Any) -> None:
    files = new_files(3)
    store = client.vector_stores.create(file_ids=files[:1]).id
    client.vector_stores.file_batches.create(store, file_ids=files[1:])
    worker.finish(store)
    client.vector_stores.files.delete(files[0], vector_store_id=store)
    assert left_of(worker, store) == 4  # two files, their batch, one place
    client.vector_stores.delete(store)
    until(lambda: left_of(worker, store) == 0)
    until(lambda: not texts_of(worker, store, files[1]))


def texts_of(worker: Worker, store_id: str, file_id: str) -> list[str]:
    """The chunks of a file, whatever became of its store."""

    async def work(transaction: Transaction) -> list[str]:
        sql = "SELECT text FROM chunks WHERE store_id = :store_id AND file_id = :file_id"
        rows = await transaction.all(sql, {"store_id": store_id, "file_id": file_id})
        return [row[0] for row in rows]

    found: list[str] = worker.write(work)
    return found


def left_of(worker: Worker, store_id: str) -> int:
    """How many rows there are of what was in a store."""

    async def work(transaction: Transaction) -> int:
        tables = {
            "vector_store_files": "store_id",
            "vector_store_batches": "store_id",
            "tombstones": "parent_id",
        }
        number = 0
        for table, column in tables.items():
            rows = await transaction.all(f"SELECT 1 FROM {table} WHERE {column} = :id", {"id": store_id})
            number += len(rows)
        return number

    found: int = worker.write(work)
    return found
