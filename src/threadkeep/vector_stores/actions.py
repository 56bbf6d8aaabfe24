"""Writes to vector stores that keep a rule.

Other rooms make stores and put files into them within transactions of their own: `create_within`,
`attach_files`.
Locks are taken in one order: files, then their rows in stores, then stores, then batches.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import msgspec

from threadkeep.context import Context
from threadkeep.errors import ThreadkeepError, Unavailable, VectorStoreExpired
from threadkeep.files import store as file_rows
from threadkeep.ids import in_hexadecimal
from threadkeep.metadata import updated
from threadkeep.search import base as search
from threadkeep.storage import sweeps, tombstones
from threadkeep.storage.database import Transaction
from threadkeep.storage.health import FULL, READ_ONLY
from threadkeep.vector_stores import files, progress, store
from threadkeep.vector_stores.model import (
    Attributes,
    Change,
    ExpiresAfter,
    FileBatch,
    NewFile,
    NewStore,
    StoreChange,
    VectorStore,
    VectorStoreFile,
    expiry,
    moved,
)

# ---------------------------------------------------------------- stores


async def create(context: Context, project_id: str, new: NewStore) -> VectorStore:
    """A new store with its first files, all of it or nothing. Raises `NotFound` for a file."""
    id, now = context.new_id("vs_"), context.now()

    async def work(transaction: Transaction) -> VectorStore:
        return await create_within(transaction, project_id, id, new, now)

    return await context.database.write(work)


async def create_within(
    transaction: Transaction, project_id: str, id: str, new: NewStore, now: int
) -> VectorStore:
    """A new store with its first files, as part of a transaction. Raises `NotFound` for a file."""
    await file_rows.require(transaction, project_id, [file.file_id for file in new.files], now)
    await store.insert(transaction, project_id, id, new, now)
    if new.files:
        await attach_files(transaction, project_id, id, new.files, now)
    return await store.get(transaction, project_id, id, now)


async def modify(context: Context, project_id: str, id: str, change: StoreChange) -> VectorStore:
    """Change a store, which counts as a use of it. Raises `NotFound`."""
    now = context.now()

    async def work(transaction: Transaction) -> VectorStore:
        before = await store.lock(transaction, project_id, id, now)
        await store.update(transaction, changed(before, change, context.settings.metadata_update, now))
        return await store.get(transaction, project_id, id, now)

    return await context.database.write(work)


def changed(before: VectorStore, change: StoreChange, metadata_update: str, now: int) -> VectorStore:
    """A store after a change. One that has expired stays so."""
    name = before.name if change.name is msgspec.UNSET else change.name
    metadata = before.metadata
    if change.metadata is not None:
        metadata = updated(metadata_update, metadata, change.metadata)
    after = msgspec.structs.replace(before, name=name, metadata=metadata)
    if before.status == "expired":
        return after
    expires_after = before.expires_after
    if change.expires_after is not msgspec.UNSET:
        days = change.expires_after
        expires_after = None if days is None else ExpiresAfter(days=days)
    return msgspec.structs.replace(
        after,
        expires_after=expires_after,
        last_active_at=now,
        expires_at=expiry(now, expires_after.days if expires_after else None),
    )


async def delete(context: Context, project_id: str, id: str) -> None:
    """Remove a store at once; what is in it follows in small steps, and the files themselves stay.

    Raises `NotFound`.
    """

    async def work(transaction: Transaction) -> None:
        await store.delete(transaction, project_id, id)
        await sweeps.plan_now(transaction, sweeps.VECTOR_STORE, id, context.now())

    await context.database.write(work)


async def use(context: Context, project_id: str, ids: Sequence[str]) -> None:
    """Note that stores are searched. Raises `NotFound`, and `VectorStoreExpired`."""
    now = context.now()
    async with context.database.read() as transaction:
        stores = [await store.get(transaction, project_id, id, now) for id in ids]
    for one in stores:
        if one.status == "expired":
            raise VectorStoreExpired(one.id)
    await touch(context, stores)


async def touch(context: Context, stores: Sequence[VectorStore]) -> None:
    """Note that stores are in use which were there when they were read. Those that have gone or expired since
    stay as they are. A database that takes no writes can still be searched: there no use is noted."""
    now = context.now()
    stale = [one.id for one in stores if one.last_active_at < now]

    async def work(transaction: Transaction) -> None:
        await store.touch(transaction, stale, now)

    if not stale:
        return
    try:
        await context.database.write(work)
    except Unavailable as problem:
        if problem.reason not in (READ_ONLY, FULL):
            raise


# ---------------------------------------------------------------- files


async def attach(context: Context, project_id: str, store_id: str, file: NewFile) -> VectorStoreFile:
    """Put a file into a store. Raises `NotFound` for the store or the file, `VectorStoreExpired`."""
    now = context.now()

    async def work(transaction: Transaction) -> VectorStoreFile:
        await attach_files(transaction, project_id, store_id, [file], now)
        return await files.get(transaction, project_id, store_id, file.file_id)

    return await context.database.write(work)


async def attach_files(
    transaction: Transaction,
    project_id: str,
    store_id: str,
    new: Sequence[NewFile],
    now: int,
    batch_id: str | None = None,
) -> None:
    """Put files into a store, as part of a transaction, and have them made searchable.

    A file that is there already takes the attributes given; it is worked again where it failed, was
    cancelled, or is to be cut otherwise. With that it leaves the batch it came with, and a batch that is over
    stays over. Raises `NotFound` for the store or a file, `VectorStoreExpired`.
    """
    await store.require(transaction, project_id, store_id)
    once = list({file.file_id: file for file in new}.values())
    ids = [file.file_id for file in once]
    await file_rows.require(transaction, project_id, ids, now)
    known = {one.file_id: one for one in await files.lock(transaction, store_id, ids)}
    fresh = [file for file in once if file.file_id not in known]
    last = await store.take_positions(transaction, project_id, store_id, len(fresh), now)
    where = files.Place(store_id, project_id, batch_id, last, now)
    added = await files.insert(transaction, where, fresh)
    late = [file.file_id for file in fresh if file.file_id not in added]  # another came first just now
    known.update((one.file_id, one) for one in await files.lock(transaction, store_id, late))

    again = [(known[file.file_id], file) for file in once if file.file_id in known]
    await files.rejoin(transaction, where, [file for old, file in again if is_as_asked(old, file)])

    in_store = in_batch = Change(in_progress=len(added))
    of_batches: dict[str, Change] = {}
    for old, file in again:
        step = Change()
        if not is_as_asked(old, file):
            await files.begin_anew(transaction, where, file)
            step = moved(old.status, "in_progress", -old.usage_bytes)
        elif batch_id is None:
            continue  # alone, without work: it stays with the batch that it has
        in_store += step
        in_batch += step + moved(None, old.status)
        if old.batch_id:
            left = moved(old.status, None)
            of_batches[old.batch_id] = of_batches.get(old.batch_id, Change()) + left
    await store.recount(transaction, store_id, "", in_store, now)
    if batch_id:
        of_batches[batch_id] = of_batches.get(batch_id, Change()) + in_batch
    for id, change in sorted(of_batches.items()):
        await store.recount_batch(transaction, id, change)
    await transaction.wake(files.CHANNEL)


def is_as_asked(old: files.Known, file: NewFile) -> bool:
    """Whether a file that is put into a store that has it needs no work for that."""
    return old.status in ("completed", "in_progress") and old.chunking == file.chunking


async def set_attributes(
    context: Context, project_id: str, store_id: str, file_id: str, attributes: Attributes
) -> VectorStoreFile:
    """Give a file in a store these attributes and no others. Raises `NotFound`, `NoSuchStoreFile`."""

    async def work(transaction: Transaction) -> VectorStoreFile:
        return await files.set_attributes(transaction, project_id, store_id, file_id, attributes)

    return await context.database.write(work)


async def detach(context: Context, project_id: str, store_id: str, file_id: str) -> None:
    """Take a file from a store; the file itself stays. Raises `NotFound`, `NoSuchStoreFile`."""
    now = context.now()

    async def work(transaction: Transaction) -> None:
        await store.require(transaction, project_id, store_id)
        await bury(transaction, await files.remove(transaction, store_id, file_id), now)

    await context.database.write(work)


async def detach_everywhere(transaction: Transaction, file_id: str, now: int) -> None:
    """Take a file that is about to be deleted from every store, as part of a transaction."""
    for gone in await files.remove_everywhere(transaction, file_id):
        await bury(transaction, gone, now)


async def bury(transaction: Transaction, gone: files.Gone, now: int) -> None:
    """What a file leaves in a store when its row is gone: a place for cursors, and numbers without it. Its
    chunks, which nobody finds any more, are removed later."""
    await tombstones.bury(transaction, gone.store_id, gone.file_id, gone.position)
    item = f"{gone.store_id}/{gone.file_id}/{gone.position}"  # the file may come back, at another position
    await sweeps.plan_now(transaction, sweeps.VECTOR_STORE_FILE, item, now)
    await store.recount(transaction, gone.store_id, gone.batch_id, gone.change(), now)


# ---------------------------------------------------------------- batches


async def create_batch(context: Context, project_id: str, store_id: str, new: Sequence[NewFile]) -> FileBatch:
    """Put files into a store together. Raises `NotFound` for the store or a file, `VectorStoreExpired`."""
    id, now = in_hexadecimal(context.new_id("vsfb_")), context.now()

    async def work(transaction: Transaction) -> FileBatch:
        await store.require(transaction, project_id, store_id)
        await store.insert_batch(transaction, store_id, id, now)
        await attach_files(transaction, project_id, store_id, new, now, id)
        return await store.get_batch(transaction, project_id, store_id, id)

    return await context.database.write(work)


async def cancel_batch(context: Context, project_id: str, store_id: str, id: str) -> FileBatch:
    """Cancel what is in progress of a batch; one that is over stays as it is. Raises `NotFound`."""
    now = context.now()

    async def work(transaction: Transaction) -> FileBatch:
        await store.get_batch(transaction, project_id, store_id, id)
        number = await files.cancel(transaction, id)
        if number:
            change = Change(in_progress=-number, cancelled=number)
            await store.recount(transaction, store_id, id, change, now)
            await store.mark_cancelled(transaction, id)
            await sweeps.plan_now(transaction, sweeps.VECTOR_STORE_BATCH, id, now)
        return await store.get_batch(transaction, project_id, store_id, id)

    return await context.database.write(work)


# ---------------------------------------------------------------- what is done later

STORES_AT_ONCE = 20
FILES_AT_ONCE = 100
CHUNKS_AT_ONCE = 200
"""Rows removed in one transaction, few enough for other writers not to notice."""


async def sweep_deleted(context: Context, store_id: str) -> bool:
    """Remove some of what is left of a deleted store; whether nothing is left."""

    async def work(transaction: Transaction) -> bool:
        if await files.delete_some(transaction, store_id, FILES_AT_ONCE):
            return False
        if await search.remove_store_some(transaction, store_id, CHUNKS_AT_ONCE):
            return False
        await store.forget(transaction, store_id)
        return True

    return await context.database.write_behind(work)


class IsBack(ThreadkeepError):
    """A file that was taken from a store is in it again."""


async def sweep_detached(context: Context, item: str) -> bool:
    """Remove some of the chunks of a file that was taken from a store; whether nothing is left to do. Where
    the file is back, they are not ours: whoever reads it begins by removing what is there."""
    store_id, file_id, _ = item.split("/")

    async def work(transaction: Transaction) -> bool:
        more = await search.remove_some(transaction, store_id, file_id, CHUNKS_AT_ONCE)
        if await files.is_there(transaction, store_id, file_id):  # asked last: so no chunk of it is removed
            raise IsBack
        return not more

    try:
        return await context.database.write_behind(work)
    except IsBack:
        return True


async def sweep_cancelled(context: Context, batch_id: str) -> bool:
    """Remove some of the chunks that the cancelled files of a batch have left; whether nothing is left. One
    that is put into the store again meanwhile is whoever's who reads it."""
    left = await context.database.scan(partial(progress.cancelled_left, batch_id=batch_id))
    if left is None:
        return True

    async def work(transaction: Transaction) -> None:
        if await progress.hold_cancelled(transaction, *left):
            await search.remove_some(transaction, *left, CHUNKS_AT_ONCE)

    await context.database.write_behind(work)
    return False


async def sweep_expired(context: Context) -> bool:
    """Remove some of what expired stores hold; whether nothing is left. Their files stay listed."""
    now = context.now()
    async with context.database.read() as transaction:
        expired = await store.expired(transaction, now, STORES_AT_ONCE)
    emptied = [await empty_some(context, store_id, now) for store_id in expired]
    return len(expired) < STORES_AT_ONCE and all(emptied)


async def empty_some(context: Context, store_id: str, now: int) -> bool:
    """Remove some of what an expired store holds; whether nothing is left."""

    async def work(transaction: Transaction) -> bool:
        if batches := await files.cancel_some(transaction, store_id, FILES_AT_ONCE):
            number = len(batches)
            change = Change(in_progress=-number, cancelled=number)
            await store.recount(transaction, store_id, "", change, now)
            for batch_id, files_of_it in sorted(Counter(filter(None, batches)).items()):
                change = Change(in_progress=-files_of_it, cancelled=files_of_it)
                await store.recount_batch(transaction, batch_id, change)
                await store.mark_cancelled(transaction, batch_id)
            return False
        if await search.remove_store_some(transaction, store_id, CHUNKS_AT_ONCE):
            return False
        await store.mark_emptied(transaction, store_id)
        return True

    return await context.database.write_behind(work)
