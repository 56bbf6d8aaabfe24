"""Rows of vector stores and of batches.

Locks are taken in one order: files, then their rows in stores (`vector_stores.files`), then stores, then
batches. The numbers of files stand in the rows of stores and batches, and change in the transaction that
moves a file.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import asdict

from threadkeep.errors import NotFound, VectorStoreExpired
from threadkeep.paging import Page, PageQuery, by_id, cut, page_text
from threadkeep.storage import tombstones
from threadkeep.storage.database import Params, Row, Transaction
from threadkeep.vector_stores.model import (
    HELPER_DAYS,
    SECONDS_A_DAY,
    Change,
    ExpiresAfter,
    FileBatch,
    FileCounts,
    NewStore,
    VectorStore,
    expiry,
    metadata_of,
    status_of_batch,
    status_of_store,
    text_of,
)

# ---------------------------------------------------------------- stores

_COLUMNS = """
    id, created_at, name, description, metadata, last_active_at, expires_days, expires_at,
    in_progress, completed, failed, cancelled, usage_bytes
"""


def store_of(row: Row, now: int) -> VectorStore:
    """A store as it stands at `now`."""
    counts = counts_of(row[8:12])
    return VectorStore(
        id=row[0],
        created_at=row[1],
        name=row[2],
        description=row[3],
        usage_bytes=row[12],
        file_counts=counts,
        status=status_of_store(counts, row[7], now),
        expires_after=None if row[6] is None else ExpiresAfter(days=row[6]),
        expires_at=row[7],
        last_active_at=row[5],
        metadata=metadata_of(row[4]),
    )


def counts_of(numbers: Sequence[int]) -> FileCounts:
    """From the numbers in the order of the columns."""
    in_progress, completed, failed, cancelled = numbers
    return FileCounts(
        in_progress=in_progress,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        total=sum(numbers),
    )


INSERT = """
    INSERT INTO vector_stores (
        id, project_id, created_at, name, description, metadata, last_active_at, expires_days, expires_at,
        is_emptied, last_position, in_progress, completed, failed, cancelled, usage_bytes
    ) VALUES (
        :id, :project_id, :now, :name, :description, :metadata, :now, :days, :expires_at,
        0, 0, 0, 0, 0, 0, 0
    )
"""


async def insert(transaction: Transaction, project_id: str, id: str, new: NewStore, now: int) -> None:
    """A new store, without its files."""
    await transaction.run(
        INSERT,
        {
            "id": id,
            "project_id": project_id,
            "now": now,
            "name": new.name,
            "description": new.description,
            "metadata": text_of(new.metadata),
            "days": new.expires_after,
            "expires_at": expiry(now, new.expires_after),
        },
    )


GET = f"SELECT {_COLUMNS} FROM vector_stores WHERE id = :id AND project_id = :project_id"


async def get(transaction: Transaction, project_id: str, id: str, now: int) -> VectorStore:
    """One store. Raises `NotFound`."""
    row = await transaction.one(GET, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("vector store", id)
    return store_of(row, now)


IS_THERE = "SELECT 1 FROM vector_stores WHERE id = :id AND project_id = :project_id"


async def require(transaction: Transaction, project_id: str, id: str) -> None:
    """Raises `NotFound` where the project has no such store."""
    if await transaction.one(IS_THERE, {"id": id, "project_id": project_id}) is None:
        raise NotFound("vector store", id)


# Setting a column to itself takes the row's lock before it is read, on engines that lock rows.
LOCK = f"""
    UPDATE vector_stores SET created_at = created_at WHERE id = :id AND project_id = :project_id
    RETURNING {_COLUMNS}
"""


async def lock(transaction: Transaction, project_id: str, id: str, now: int) -> VectorStore:
    """One store, to be changed in this transaction. Raises `NotFound`."""
    row = await transaction.one(LOCK, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("vector store", id)
    return store_of(row, now)


UPDATE = """
    UPDATE vector_stores
    SET name = :name, metadata = :metadata, last_active_at = :last_active_at, expires_days = :days,
        expires_at = :expires_at
    WHERE id = :id
"""


async def update(transaction: Transaction, store: VectorStore) -> None:
    """Store what a client may change of a store that this transaction has locked, and when it goes."""
    await transaction.run(
        UPDATE,
        {
            "id": store.id,
            "name": store.name,
            "metadata": text_of(store.metadata),
            "last_active_at": store.last_active_at,
            "days": store.expires_after.days if store.expires_after else None,
            "expires_at": store.expires_at,
        },
    )


TOUCH = f"""
    UPDATE vector_stores
    SET last_active_at = :now,
        expires_at = CASE WHEN expires_days IS NULL THEN NULL ELSE :now + expires_days * {SECONDS_A_DAY} END
    WHERE id = :id AND last_active_at < :now AND (expires_at IS NULL OR expires_at > :now)
"""


async def touch(transaction: Transaction, ids: Iterable[str], now: int) -> None:
    """Stores are used; those that have expired stay so."""
    for id in sorted(ids):
        await transaction.run(TOUCH, {"id": id, "now": now})


# What has a name, or goes by a rule already, somebody has made or changed on purpose.
LET_GO = """
    UPDATE vector_stores SET expires_days = :days, last_active_at = :now, expires_at = :expires_at
    WHERE id = :id AND project_id = :project_id AND expires_days IS NULL
        AND name IS NULL AND description IS NULL AND metadata = '{}'
"""


async def let_go(transaction: Transaction, project_id: str, id: str, now: int) -> None:
    """A store that the server has made for something that is gone expires, unless it is used all the same."""
    params: Params = {
        "id": id,
        "project_id": project_id,
        "now": now,
        "days": HELPER_DAYS,
        "expires_at": expiry(now, HELPER_DAYS),
    }
    await transaction.run(LET_GO, params)


_OF_PROJECT = f"SELECT {_COLUMNS} FROM vector_stores WHERE project_id = :project_id"


async def page(transaction: Transaction, project_id: str, query: PageQuery, now: int) -> Page[VectorStore]:
    """One page of the project's stores; ids are in the order of their making.

    Raises `NotFound` for a cursor.
    """
    await tombstones.require_cursors(transaction, "vector_stores", "vector store", project_id, query)
    sql = page_text(_OF_PROJECT, "id", query.walks_down)
    rows = await transaction.all(sql, {"project_id": project_id, **by_id(query)})
    return cut(query, [store_of(row, now) for row in rows], lambda store: store.id)


DELETE = "DELETE FROM vector_stores WHERE id = :id AND project_id = :project_id RETURNING id"


async def delete(transaction: Transaction, project_id: str, id: str) -> None:
    """Remove a store's own row, leaving its id for cursors. Raises `NotFound`."""
    if await transaction.one(DELETE, {"id": id, "project_id": project_id}) is None:
        raise NotFound("vector store", id)
    await tombstones.bury(transaction, project_id, id)
    await transaction.wake(READY)  # nobody needs to wait for its files


TAKE_POSITIONS = """
    UPDATE vector_stores SET last_position = last_position + :number
    WHERE id = :id AND project_id = :project_id
    RETURNING last_position, expires_at
"""


async def take_positions(transaction: Transaction, project_id: str, id: str, number: int, now: int) -> int:
    """The position before the first of so many consecutive ones. Raises `NotFound`, `VectorStoreExpired`."""
    params: Params = {"id": id, "project_id": project_id, "number": number}
    row = await transaction.one(TAKE_POSITIONS, params)
    if row is None:
        raise NotFound("vector store", id)
    last, expires_at = row
    if expires_at is not None and expires_at <= now:
        raise VectorStoreExpired(id)
    before: int = last - number
    return before


# ---------------------------------------------------------------- counting


READY = "threadkeep_store_ready"
"""Woken when no file of a store is in progress any more."""

# An expired store does not come back by what happens to its files.
RECOUNT = f"""
    UPDATE vector_stores
    SET in_progress = in_progress + :in_progress, completed = completed + :completed,
        failed = failed + :failed, cancelled = cancelled + :cancelled,
        usage_bytes = usage_bytes + :usage_bytes,
        last_active_at = CASE WHEN expires_at <= :now THEN last_active_at ELSE :now END,
        expires_at =
            CASE WHEN expires_at > :now THEN :now + expires_days * {SECONDS_A_DAY} ELSE expires_at END
    WHERE id = :id
    RETURNING in_progress
"""
RECOUNT_BATCH = """
    UPDATE vector_store_batches
    SET in_progress = in_progress + :in_progress, completed = completed + :completed,
        failed = failed + :failed, cancelled = cancelled + :cancelled
    WHERE id = :id
"""


async def recount(transaction: Transaction, store_id: str, batch_id: str, change: Change, now: int) -> bool:
    """Change the numbers of a store, and of a batch ('' for none); whether the store is still there."""
    left = await transaction.one(RECOUNT, {**asdict(change), "id": store_id, "now": now})
    if batch_id:
        await recount_batch(transaction, batch_id, change)
    if change.in_progress < 0 and left == (0,):
        await transaction.wake(READY)
    return left is not None


async def recount_batch(transaction: Transaction, batch_id: str, change: Change) -> None:
    await transaction.run(RECOUNT_BATCH, {**asdict(change), "id": batch_id})


# ---------------------------------------------------------------- batches

IN_STORE = """
    store_id = (SELECT id FROM vector_stores WHERE id = :store_id AND project_id = :project_id)
"""
_BATCH = "id, store_id, created_at, is_cancelled, in_progress, completed, failed, cancelled"


def batch_of(row: Row) -> FileBatch:
    counts = counts_of(row[4:8])
    return FileBatch(
        id=row[0],
        created_at=row[2],
        status=status_of_batch(counts, bool(row[3])),
        vector_store_id=row[1],
        file_counts=counts,
    )


INSERT_BATCH = """
    INSERT INTO vector_store_batches (
        id, store_id, created_at, is_cancelled, in_progress, completed, failed, cancelled
    ) VALUES (:id, :store_id, :now, 0, 0, 0, 0, 0)
"""
GET_BATCH = f"SELECT {_BATCH} FROM vector_store_batches WHERE {IN_STORE} AND id = :id"


async def insert_batch(transaction: Transaction, store_id: str, id: str, now: int) -> None:
    """A new batch, without its files."""
    await transaction.run(INSERT_BATCH, {"id": id, "store_id": store_id, "now": now})


async def get_batch(transaction: Transaction, project_id: str, store_id: str, id: str) -> FileBatch:
    """One batch. Raises `NotFound` for the store or the batch."""
    row = await transaction.one(GET_BATCH, {"id": id, "store_id": store_id, "project_id": project_id})
    if row is None:
        await require(transaction, project_id, store_id)
        raise NotFound("vector store file batch", id)
    return batch_of(row)


MARK_CANCELLED = "UPDATE vector_store_batches SET is_cancelled = 1 WHERE id = :id"


async def mark_cancelled(transaction: Transaction, batch_id: str) -> None:
    await transaction.run(MARK_CANCELLED, {"id": batch_id})


# ---------------------------------------------------------------- what expired and deleted stores leave

EXPIRED = """
    SELECT id, project_id FROM vector_stores
    WHERE expires_at IS NOT NULL AND is_emptied = 0 AND expires_at <= :now
    ORDER BY expires_at, id LIMIT :rows
"""
MARK_EMPTIED = "UPDATE vector_stores SET is_emptied = 1 WHERE id = :id"


async def expired(transaction: Transaction, now: int, rows: int) -> list[str]:
    """Stores that have expired and still hold something, the longest ago first."""
    return [row[0] for row in await transaction.all(EXPIRED, {"now": now, "rows": rows})]


async def mark_emptied(transaction: Transaction, store_id: str) -> None:
    await transaction.run(MARK_EMPTIED, {"id": store_id})


FORGET_BATCHES = "DELETE FROM vector_store_batches WHERE store_id = :store_id"


async def forget(transaction: Transaction, store_id: str) -> None:
    """Remove what else a store that is gone has left."""
    await transaction.run(FORGET_BATCHES, {"store_id": store_id})
    await tombstones.forget(transaction, store_id)
