"""Writes to threads that keep a rule."""

from threadkeep.context import Context
from threadkeep.errors import Invalid, Problem
from threadkeep.files import store as files
from threadkeep.messages import store as messages
from threadkeep.messages.actions import attach
from threadkeep.messages.model import body_of, created
from threadkeep.metadata import updated
from threadkeep.runs import progress
from threadkeep.storage import sweeps
from threadkeep.storage.database import Transaction
from threadkeep.threads import store
from threadkeep.threads.model import NewThread, Thread, ThreadChange, ToolResources
from threadkeep.vector_stores import actions as vector_stores
from threadkeep.vector_stores import store as stores


async def create(context: Context, project_id: str, new: NewThread) -> Thread:
    """A new thread with its first messages and the vector store that it is to search, all of it or nothing.

    Raises `NotFound` for a file or a vector store.
    """
    now = context.now()
    thread = Thread(
        id=context.new_id("thread_"),
        created_at=now,
        metadata=new.metadata,
        tool_resources=new.tool_resources,
    )
    limit = context.settings.max_messages_per_thread
    if 0 < limit < len(new.messages):
        raise Invalid(Problem((), "thread_full", limit=limit))
    made = [created(one, context.new_id("msg_"), thread.id, now) for one in new.messages]

    async def work(transaction: Transaction) -> Thread:
        await files.require(transaction, project_id, new.file_ids(), now)
        resources = new.tool_resources
        await require_stores(transaction, project_id, resources, now)
        if new.store:
            store_id = context.new_id("vs_")
            await vector_stores.create_within(transaction, project_id, store_id, new.store, now)
            resources = resources.with_store(store_id)
        await store.insert(transaction, project_id, thread.changed(tool_resources=resources), len(made))
        await files.note_uses(transaction, thread.id, "", resources.code_files())
        for position, message in enumerate(made, start=1):
            await messages.insert(transaction, thread.id, position, message.id, body_of(message))
        await attach(context, transaction, project_id, thread.id, made)
        return await store.get(transaction, project_id, thread.id)

    return await context.database.write(work)


async def check_resources(
    transaction: Transaction, project_id: str, resources: ToolResources, now: int
) -> None:
    """Every file and vector store that tools are given must exist. Raises `NotFound`."""
    await files.require(transaction, project_id, resources.code_files(), now)
    await require_stores(transaction, project_id, resources, now)


async def require_stores(
    transaction: Transaction, project_id: str, resources: ToolResources, now: int
) -> None:
    """Every vector store that tools are given must exist; it may have expired. Raises `NotFound`."""
    for id in resources.store_ids():
        await stores.get(transaction, project_id, id, now)


async def modify(context: Context, project_id: str, id: str, change: ThreadChange) -> Thread:
    """Change a thread's metadata and tool resources. Raises `NotFound` for the thread or a file."""

    async def work(transaction: Transaction) -> Thread:
        if change.tool_resources is not None:
            await store.get(transaction, project_id, id)
            await check_resources(transaction, project_id, change.tool_resources, context.now())
        thread = await store.lock(transaction, project_id, id)
        if change.metadata is not None:
            left = updated(context.settings.metadata_update, thread.metadata, change.metadata)
            thread = thread.changed(metadata=left)
            await store.replace_pairs(transaction, thread)
        if change.tool_resources is not None:
            thread = thread.changed(tool_resources=change.tool_resources)
            await files.forget_uses_of_message(transaction, id, "")
            await files.note_uses(transaction, id, "", change.tool_resources.code_files())
        await store.update(transaction, thread)
        return thread

    return await context.database.write(work)


async def delete(context: Context, project_id: str, id: str) -> None:
    """Remove a thread at once; what is under it follows in small steps. Raises `NotFound`.

    A run that is not over is cancelled.
    """

    async def work(transaction: Transaction) -> None:
        await progress.abandon(transaction, project_id, id, context.now())
        await store.delete(transaction, project_id, id)
        await sweeps.plan_now(transaction, sweeps.THREAD, id, context.now())

    await context.database.write(work)
