"""Writes to messages that keep a rule.

Locks are taken in one order: files, then the thread, then the vector store that it searches.
"""

from collections.abc import Iterable, Sequence

import msgspec

from threadkeep.context import Context
from threadkeep.errors import Invalid, NotFound, Problem, VectorStoreExpired
from threadkeep.files import store as files
from threadkeep.messages import store
from threadkeep.messages.model import (
    Attachment,
    Message,
    NewMessage,
    body_of,
    created,
    message_of,
)
from threadkeep.metadata import Metadata, updated
from threadkeep.storage.database import Transaction
from threadkeep.threads import store as threads
from threadkeep.threads.model import ToolResources
from threadkeep.vector_stores import actions as vector_stores
from threadkeep.vector_stores import files as searched
from threadkeep.vector_stores import store as stores
from threadkeep.vector_stores.model import HELPER_DAYS, NewFile, NewStore


async def create(context: Context, project_id: str, thread_id: str, new: NewMessage) -> str:
    """Append a message to a thread; return its body once it is durable.

    Raises `NotFound` for the thread or a file, `Invalid` past the thread's limit, and `RunActive`, unless
    the settings have messages wait for a run's end.
    """
    message = created(new, context.new_id("msg_"), thread_id, context.now())
    body = body_of(message)
    limit = context.settings.max_messages_per_thread
    file_ids = new.file_ids()
    append = store.append_or_wait if context.settings.messages_during_run == "wait" else store.append

    async def work(transaction: Transaction) -> None:
        if file_ids:
            await store.require_thread(transaction, project_id, thread_id)
            await files.require(transaction, project_id, file_ids, context.now())
        position = await append(transaction, project_id, thread_id, message.id, body)
        may_be_full = limit and (position is None or limit < position)
        if may_be_full and limit < await store.count(transaction, thread_id):
            raise Invalid(Problem((), "thread_full", limit=limit))
        if file_ids:
            await attach(context, transaction, project_id, thread_id, [message])

    if file_ids or limit:
        await context.database.write(work)
    else:
        row = store.NewRow(project_id, thread_id, message.id, body)
        await context.database.together(store.APPENDED, row, work)
    return body


async def attach(
    context: Context, transaction: Transaction, project_id: str, thread_id: str, added: Sequence[Message]
) -> None:
    """Note where messages' files are used, and give them to the thread's tools. The files are locked."""
    attachments = [one for message in added for one in message.attachments]
    for message in added:
        ids = [one.file_id for one in message.attachments]
        await files.note_uses(transaction, thread_id, message.id, ids)
    for_code, for_search = ids_for("code_interpreter", attachments), ids_for("file_search", attachments)
    if not (for_code or for_search):
        return
    thread = await threads.lock(transaction, project_id, thread_id)
    resources = thread.tool_resources
    if for_code:
        resources = resources.with_code_files(for_code)
        await files.note_uses(transaction, thread_id, "", for_code)
    if for_search:
        new = NewStore(files=[NewFile(id) for id in for_search], expires_after=HELPER_DAYS)
        resources = await with_searched(context, transaction, project_id, resources, new)
    if resources != thread.tool_resources:
        await threads.update(transaction, thread.changed(tool_resources=resources))


def ids_for(tool: str, attachments: Iterable[Attachment]) -> list[str]:
    """The files that are for a tool, once each."""
    return list(dict.fromkeys(one.file_id for one in attachments if one.is_for(tool)))


async def with_searched(
    context: Context, transaction: Transaction, project_id: str, resources: ToolResources, new: NewStore
) -> ToolResources:
    """Resources with which the files of `new` are searched too: in the store that they have, or in `new`
    where they have none, or none that can be searched any more. The files are locked."""
    now = context.now()
    for id in resources.store_ids():
        if await extended(transaction, project_id, id, new.files, now):
            return resources
    id = context.new_id("vs_")
    await vector_stores.create_within(transaction, project_id, id, new, now)
    return resources.with_store(id)


async def extended(
    transaction: Transaction, project_id: str, store_id: str, new: Sequence[NewFile], now: int
) -> bool:
    """Put files into a store, except those that it has, which is a use of it too; whether it is there to be
    searched."""
    try:
        if (await stores.get(transaction, project_id, store_id, now)).status == "expired":
            return False
        known = await searched.lock(transaction, store_id, [one.file_id for one in new])
        there = {one.file_id for one in known if one.status in ("completed", "in_progress")}
        missing = [one for one in new if one.file_id not in there]
        if missing:
            await vector_stores.attach_files(transaction, project_id, store_id, missing, now)
        else:
            await stores.touch(transaction, [store_id], now)
    except (NotFound, VectorStoreExpired):  # gone, or expired, just now
        return False
    return True


async def modify(
    context: Context, project_id: str, thread_id: str, id: str, metadata: Metadata | None
) -> str:
    """Change a message's metadata (None leaves it); return its body. Raises `NotFound`."""

    async def work(transaction: Transaction) -> str:
        locked = await store.lock(transaction, project_id, thread_id, id)
        if metadata is None:
            return locked.body
        message = message_of(locked.body)
        left = updated(context.settings.metadata_update, message.metadata, metadata)
        body = body_of(msgspec.structs.replace(message, metadata=left))
        await store.update(transaction, locked, body)
        return body

    return await context.database.write(work)


async def delete(context: Context, project_id: str, thread_id: str, id: str) -> None:
    """Remove a message; a cursor that names it keeps its place. Raises `NotFound`."""

    async def work(transaction: Transaction) -> None:
        locked = await store.lock(transaction, project_id, thread_id, id)
        await store.delete(transaction, locked, id)
        await files.forget_uses_of_message(transaction, thread_id, id)

    await context.database.write(work)
