"""Writes to files that keep a rule: bytes and rows come and go together, whenever the server stops."""

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from threadkeep.assistants import store as assistants
from threadkeep.assistants.model import without_file
from threadkeep.context import Context
from threadkeep.errors import FilesUnavailable, NotDownloadable
from threadkeep.files import store
from threadkeep.files.model import KEPT, File, StoredFile, Upload, blob_key
from threadkeep.messages import store as messages
from threadkeep.messages.model import body_of, file_ids_of, message_of
from threadkeep.span import Span
from threadkeep.storage import sweeps
from threadkeep.storage.blobs import Stored
from threadkeep.storage.database import Transaction
from threadkeep.threads import store as threads
from threadkeep.vector_stores import actions as vector_stores

ABANDONED_AFTER = 24 * 3600
"""Seconds after which bytes that no row ever named are removed."""


class Receipt(msgspec.Struct, frozen=True):
    """Bytes that have arrived and wait for their row, which will have this id."""

    id: str
    project_id: str
    stored: Stored

    @property
    def key(self) -> str:
        return blob_key(self.project_id, self.id)


async def receive(
    context: Context, project_id: str, chunks: AsyncIterator[bytes], id: str | None = None
) -> Receipt:
    """Stream an upload's bytes to their place, under the id of a new file or the one that is given.
    `keep` or `discard` what is returned."""
    id = id or context.new_id("file-")
    key = blob_key(project_id, id)

    async def intend(transaction: Transaction) -> None:
        await sweeps.plan(transaction, sweeps.BLOB, key, context.now() + ABANDONED_AFTER)

    await context.database.write(intend)
    return Receipt(id, project_id, await context.blobs.put(key, chunks))


async def keep(context: Context, receipt: Receipt, filename: str, upload: Upload) -> File:
    """Give received bytes their row."""
    now = context.now()

    async def work(transaction: Transaction) -> File:
        return await place(transaction, receipt, filename, upload, now)

    return await context.database.write(work)


async def place(transaction: Transaction, receipt: Receipt, filename: str, upload: Upload, now: int) -> File:
    """Give received bytes their row, as a part of a transaction."""
    expires_at = None if upload.expires_after is None else now + upload.expires_after
    file = File(
        id=receipt.id,
        purpose=upload.purpose,
        filename=filename,
        bytes=receipt.stored.bytes,
        created_at=now,
        expires_at=expires_at,
    )
    await store.insert(transaction, receipt.project_id, StoredFile(file, receipt.stored.sha256))
    await sweeps.drop(transaction, sweeps.BLOB, receipt.key)
    if expires_at is not None:
        await sweeps.plan(transaction, sweeps.FILE, receipt.key, expires_at)
    return file


async def discard(context: Context, receipt: Receipt) -> None:
    """Remove bytes that turned out unwanted."""
    try:
        await context.blobs.delete(receipt.key)
    except FilesUnavailable:
        return  # they go when they count as abandoned: see `receive`

    async def work(transaction: Transaction) -> None:
        await sweeps.drop(transaction, sweeps.BLOB, receipt.key)

    await context.database.write(work)


ALWAYS = 0
"""The time before every expiry."""


async def delete(context: Context, project_id: str, id: str) -> None:
    """Remove a file: from all messages, threads, assistants and vector stores that use it, and its bytes.

    Raises `NoSuchFile`.
    """
    await remove(context, project_id, id, context.now())


async def expire(context: Context, project_id: str, id: str) -> None:
    """Remove a file whose time has come. Raises `NoSuchFile` where it is gone already."""
    await remove(context, project_id, id, ALWAYS)


async def remove(context: Context, project_id: str, id: str, now: int) -> None:
    """Remove a file that has not expired at `now`."""
    key = blob_key(project_id, id)

    async def work(transaction: Transaction) -> None:
        await store.delete(transaction, project_id, id, now)
        await detach(transaction, project_id, id)
        await vector_stores.detach_everywhere(transaction, id, context.now())
        await sweeps.drop(transaction, sweeps.FILE, key)
        await sweeps.plan_now(transaction, sweeps.BLOB, key, context.now())

    await context.database.write(work)


async def detach(transaction: Transaction, project_id: str, file_id: str) -> None:
    """Take a file away from everything that it was attached to."""
    for thread_id, message_id in await store.uses(transaction, project_id, file_id):
        if message_id:
            locked = await messages.lock(transaction, project_id, thread_id, message_id)
            message = message_of(locked.body)
            place = file_ids_of(message).index(file_id)
            await messages.bury_file(transaction, message_id, file_id, place)
            left = [one for one in message.attachments if one.file_id != file_id]
            body = body_of(msgspec.structs.replace(message, attachments=left))
            await messages.update(transaction, locked, body)
        else:
            thread = await threads.lock(transaction, project_id, thread_id)
            resources = thread.tool_resources.without_file(file_id)
            await threads.update(transaction, thread.changed(tool_resources=resources))
    await store.forget_uses_of_file(transaction, file_id)
    for assistant in await assistants.lock_users(transaction, project_id, file_id):
        await assistants.update(transaction, without_file(assistant, file_id))
        await assistants.remove(transaction, assistant.id, file_id)


async def downloadable(context: Context, project_id: str, id: str) -> StoredFile:
    """A file to give out. Raises `NoSuchFile`, and `NotDownloadable` for purposes that are kept."""
    async with context.database.read() as transaction:
        stored = await store.get(transaction, project_id, id, context.now())
    if stored.file.purpose in KEPT:
        raise NotDownloadable(stored.file.purpose)
    return stored


async def content(
    context: Context, project_id: str, stored: StoredFile, span: Span | None
) -> AsyncGenerator[bytes, None]:
    """A file's bytes, or a part of them. Raises `FilesUnavailable`."""
    whole = Stored(stored.file.bytes, stored.sha256)
    return await context.blobs.open(blob_key(project_id, stored.file.id), whole, span)
