"""Writes to uploads that keep a rule: no bytes without a row or a plan to remove them, whenever the server
stops, and a file only from the parts that its upload has."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from threadkeep.context import Context
from threadkeep.errors import Invalid, Problem, WrongCompletion
from threadkeep.files import actions as files
from threadkeep.files.actions import Receipt
from threadkeep.files.model import Upload as FileUpload
from threadkeep.files.model import blob_key
from threadkeep.ids import in_hexadecimal
from threadkeep.storage import sweeps
from threadkeep.storage.blobs import Damaged, Stored
from threadkeep.storage.database import Transaction
from threadkeep.uploads import store
from threadkeep.uploads.model import (
    OPEN_FOR,
    Completion,
    NewUpload,
    StoredPart,
    StoredUpload,
    Upload,
    UploadPart,
    chosen,
    sweep_item,
)

PARTS_REMOVED_AT_ONCE = 100


async def create(context: Context, project_id: str, new: NewUpload) -> Upload:
    """Announce a file. Raises `Invalid` where it is too large."""
    most = context.settings.max_upload_bytes
    if new.bytes > most:
        raise Invalid(Problem(("bytes",), "integer_too_big", actual=new.bytes, limit=most))
    now = context.now()
    upload = Upload(
        id=in_hexadecimal(context.new_id("upload_")),
        bytes=new.bytes,
        created_at=now,
        filename=new.filename,
        purpose=new.purpose,
        expires_at=now + OPEN_FOR,
    )

    async def work(transaction: Transaction) -> None:
        await store.insert(transaction, project_id, StoredUpload(upload, new.file_expires_after))
        item = sweep_item(project_id, upload.id)
        await sweeps.plan(transaction, sweeps.UPLOAD, item, upload.expires_at)

    await context.database.write(work)
    return upload


async def require_pending(context: Context, project_id: str, id: str) -> StoredUpload:
    """An upload that can still be added to. Raises `NotFound` and `UploadNotPending`."""
    async with context.database.read() as transaction:
        return await store.pending(transaction, project_id, id, context.now())


async def receive_part(context: Context, project_id: str, chunks: AsyncIterator[bytes]) -> Receipt:
    """Stream a part's bytes to their place. `keep_part` or `files.discard` what is returned."""
    return await files.receive(context, project_id, chunks, in_hexadecimal(context.new_id("part_")))


async def keep_part(context: Context, receipt: Receipt, upload_id: str) -> UploadPart:
    """Give received bytes their row. Raises `NotFound`, `UploadNotPending` and `BadUpload`."""
    now, most = context.now(), context.settings.max_upload_bytes
    part = StoredPart(receipt.id, receipt.stored.bytes, receipt.stored.sha256)

    async def work(transaction: Transaction) -> None:
        await store.add_part(transaction, receipt.project_id, upload_id, part, now, most)
        await sweeps.drop(transaction, sweeps.BLOB, receipt.key)

    await context.database.write(work)
    return UploadPart(id=part.id, created_at=now, upload_id=upload_id)


async def assemble(context: Context, project_id: str, upload_id: str, completion: Completion) -> Receipt:
    """Copy an upload's parts into one blob, a little at a time. `complete` or `files.discard` it.

    Raises `NotFound`, `UploadNotPending` and `WrongCompletion`, each of which leaves nothing behind.
    """
    async with context.database.read() as transaction:
        stored = await store.pending(transaction, project_id, upload_id, context.now())
        parts = await store.parts(transaction, upload_id)
    wanted = chosen(parts, completion.part_ids, stored.upload.bytes)
    digest = hashlib.md5(usedforsecurity=False)
    chunks = bytes_of(context, project_id, wanted, digest if completion.md5 is not None else None)
    try:
        receipt = await files.receive(context, project_id, chunks)
    except Damaged:
        # The parts of an upload that ended meanwhile are on their way out; else this is what it looks like.
        await require_pending(context, project_id, upload_id)
        raise
    if completion.md5 is not None and completion.md5.lower() != digest.hexdigest():
        await files.discard(context, receipt)
        raise WrongCompletion(
            f"Invalid 'md5': the parts in this order have the MD5 {digest.hexdigest()}.", "md5"
        )
    return receipt


async def bytes_of(
    context: Context, project_id: str, parts: Sequence[StoredPart], digest: "hashlib._Hash | None"
) -> AsyncIterator[bytes]:
    """The bytes of one part after the other, which `digest` takes in. Raises `Damaged`."""
    for part in parts:
        key = blob_key(project_id, part.id)
        async with aclosing(await context.blobs.open(key, Stored(part.bytes, part.sha256))) as chunks:
            async for chunk in chunks:
                if digest is not None:
                    digest.update(chunk)
                yield chunk


async def complete(context: Context, receipt: Receipt, upload_id: str) -> Upload:
    """Make the file of assembled bytes. Raises `NotFound` and `UploadNotPending`."""

    async def work(transaction: Transaction) -> Upload:
        now = context.now()
        stored = await store.end(transaction, receipt.project_id, upload_id, "completed", now)
        upload = stored.upload
        wanted = FileUpload(upload.purpose, stored.file_expires_after)
        file = await files.place(transaction, receipt, upload.filename, wanted, now)
        await release_parts(transaction, receipt.project_id, upload_id, now)
        return msgspec.structs.replace(upload, file=file)

    return await context.database.write(work)


async def cancel(context: Context, project_id: str, id: str) -> Upload:
    """Give an upload up. Raises `NotFound` and `UploadNotPending`."""

    async def work(transaction: Transaction) -> Upload:
        now = context.now()
        stored = await store.end(transaction, project_id, id, "cancelled", now)
        await release_parts(transaction, project_id, id, now)
        return stored.upload

    return await context.database.write(work)


async def release_parts(transaction: Transaction, project_id: str, id: str, now: int) -> None:
    """Have the parts of an upload that is over removed."""
    await sweeps.plan_now(transaction, sweeps.UPLOAD, sweep_item(project_id, id), now)


async def clear(context: Context, project_id: str, id: str) -> bool:
    """Remove some parts of an upload that is over, or whose time is; whether none are left."""
    now = context.now()

    async def work(transaction: Transaction) -> bool:
        await store.expire(transaction, project_id, id, now)
        gone = await store.delete_some_parts(transaction, id, PARTS_REMOVED_AT_ONCE)
        for part_id in gone:
            await sweeps.plan(transaction, sweeps.BLOB, blob_key(project_id, part_id), now)
        await transaction.wake(sweeps.CHANNEL)
        return len(gone) < PARTS_REMOVED_AT_ONCE

    return await context.database.write(work)
