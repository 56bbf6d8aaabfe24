"""Writes to messages that keep a rule."""

import msgspec

from threadkeep.context import Context
from threadkeep.errors import Invalid, Problem
from threadkeep.files import store as files
from threadkeep.messages import store
from threadkeep.messages.model import (
    Message,
    NewMessage,
    body_of,
    created,
    message_of,
)
from threadkeep.metadata import Metadata, updated
from threadkeep.storage.database import Transaction
from threadkeep.threads import store as threads


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
            await attach(transaction, project_id, message)

    if file_ids or limit:
        await context.database.write(work)
    else:
        row = store.NewRow(project_id, thread_id, message.id, body)
        await context.database.together(store.APPENDED, row, work)
    return body


async def attach(transaction: Transaction, project_id: str, message: Message) -> None:
    """Note where a message's files are used, and give them to the thread's tools."""
    await files.note_uses(
        transaction, message.thread_id, message.id, [a.file_id for a in message.attachments]
    )
    for_code = [one.file_id for one in message.attachments if one.is_for("code_interpreter")]
    if for_code:
        thread = await threads.lock(transaction, project_id, message.thread_id)
        resources = thread.tool_resources.with_code_files(for_code)
        await threads.update(transaction, thread.changed(tool_resources=resources))
        await files.note_uses(transaction, message.thread_id, "", for_code)


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
