"""Writes to assistants that keep a rule.

Locks are taken in one order: files, then the assistant, then the vector store that it searches. So does the
deletion of a file.
"""

from collections.abc import Sequence
from contextlib import suppress

from threadkeep.assistants import store
from threadkeep.assistants.model import (
    MAX_FILES,
    Assistant,
    AssistantChange,
    AssistantFile,
    CodeInterpreterTool,
    FileSearchTool,
    NewAssistant,
    StoredAssistant,
    body_of,
    changed,
    created,
    with_files_of_v1,
    without_file,
)
from threadkeep.context import Context
from threadkeep.errors import Invalid, NoSuchStoreFile, NotFound, Problem
from threadkeep.files import store as files
from threadkeep.messages.actions import with_searched
from threadkeep.metadata import updated
from threadkeep.storage.database import Transaction
from threadkeep.threads.actions import require_stores
from threadkeep.threads.model import ToolResources
from threadkeep.vector_stores import actions as vector_stores
from threadkeep.vector_stores import files as searched_files
from threadkeep.vector_stores import store as vector_store_rows
from threadkeep.vector_stores.model import NewFile, NewStore


async def create(context: Context, project_id: str, new: NewAssistant) -> StoredAssistant:
    """A new assistant, with the vector store that it is to search.

    Raises `NotFound` for a file or a vector store.
    """
    now = context.now()
    first = created(new, context.new_id("asst_"), now)
    file_ids = list(dict.fromkeys(new.file_ids))
    check_count(first.tool_resources.code_files())

    async def work(transaction: Transaction) -> StoredAssistant:
        await files.require(transaction, project_id, new.named_files(), now)
        await require_stores(transaction, project_id, new.tool_resources, now)
        assistant = first
        if new.store:
            id = context.new_id("vs_")
            await vector_stores.create_within(transaction, project_id, id, new.store, now)
            assistant = assistant.with_resources(assistant.tool_resources.with_store(id))
        assistant = await with_search_of_v1(context, transaction, project_id, assistant, file_ids)
        await store.insert(transaction, project_id, assistant)
        await relist(transaction, assistant.id, [], file_ids, now)
        await store.note_uses(transaction, assistant, now)
        return StoredAssistant(assistant.id, body_of(assistant), file_ids)

    return await context.database.write(work)


async def with_search_of_v1(
    context: Context, transaction: Transaction, project_id: str, assistant: Assistant, file_ids: list[str]
) -> Assistant:
    """The assistant with these files searched too, where it searches at all: what v1 lists is searched in a
    vector store, which is made where there is none and does not expire. The files are locked."""
    if not file_ids or not assistant.uses(FileSearchTool):
        return assistant
    new = NewStore(files=[NewFile(id) for id in file_ids])
    resources = assistant.tool_resources
    return assistant.with_resources(await with_searched(context, transaction, project_id, resources, new))


async def modify(context: Context, project_id: str, id: str, change: AssistantChange) -> StoredAssistant:
    """Change an assistant. Raises `NotFound` for the assistant, a file or a vector store."""
    now = context.now()

    async def work(transaction: Transaction) -> StoredAssistant:
        await store.get(transaction, project_id, id)
        resources = change.tool_resources or ToolResources()
        searched = await to_be_searched(transaction, id, change)
        await files.require(transaction, project_id, resources.code_files() + searched, now)
        await require_stores(transaction, project_id, resources, now)
        before = await store.lock(transaction, project_id, id)
        listed = await store.listed(transaction, id)
        old = [one.file.id for one in listed]
        new = old if change.file_ids is None else list(dict.fromkeys(change.file_ids))
        metadata = before.metadata
        if change.metadata is not None:
            metadata = updated(context.settings.metadata_update, metadata, change.metadata)
        after = with_list(before, changed(before, change, metadata), change, old, new)
        check_count(after.tool_resources.code_files())
        has_come = not before.uses(FileSearchTool) and change.tool_resources is None
        came = [one for one in new if one in searched and (has_come or one not in old)]
        after = await with_search_of_v1(context, transaction, project_id, after, came)
        await leave_stores(transaction, after, [one for one in old if one not in new], now)
        await store.update(transaction, after)
        await relist(transaction, id, [one.file for one in listed], new, now)
        await store.note_uses(transaction, after, now)
        return StoredAssistant(id, body_of(after), new)

    return await context.database.write(work)


async def to_be_searched(transaction: Transaction, id: str, change: AssistantChange) -> list[str]:
    """The files of v1's list that a change may bring into a vector store. Files are locked before the
    assistant, so those that are listed already are looked up before."""
    if change.file_ids is not None or change.tools is None:
        return change.file_ids or []
    has_come = any(isinstance(one, FileSearchTool) for one in change.tools)
    return [one.file.id for one in await store.listed(transaction, id)] if has_come else []


async def leave_stores(
    transaction: Transaction, assistant: Assistant, file_ids: Sequence[str], now: int
) -> None:
    """Take files that have left v1's list from what the assistant searches."""
    for store_id in assistant.tool_resources.store_ids():
        for file_id in file_ids:
            with suppress(NoSuchStoreFile):
                gone = await searched_files.remove(transaction, store_id, file_id)
                await vector_stores.bury(transaction, gone, now)


def with_list(
    before: Assistant, after: Assistant, change: AssistantChange, old: list[str], new: list[str]
) -> Assistant:
    """A changed assistant whose code is given what v1's list of files now says: less what left the list, and
    what came to it; all of it where the tool came just now and nobody said what it works with."""
    for gone in old:
        if gone not in new:
            after = without_file(after, gone)
    has_come = after.uses(CodeInterpreterTool) and not before.uses(CodeInterpreterTool)
    if has_come and change.tool_resources is None:
        return with_files_of_v1(after, new)
    return with_files_of_v1(after, [one for one in new if one not in old])


def check_count(file_ids: Sequence[str]) -> None:
    """Raises `Invalid` where an assistant would have more files than it may."""
    if len(file_ids) > MAX_FILES:
        raise Invalid(Problem(("file_ids",), "array_too_long", actual=len(file_ids), limit=MAX_FILES))


async def relist(
    transaction: Transaction, assistant_id: str, old: list[AssistantFile], file_ids: list[str], now: int
) -> None:
    """Make v1's list of a locked assistant read like this. Files that stay keep the time they came at."""
    known = {one.id: one for one in old}
    for id in known:
        if id not in file_ids:
            await store.remove(transaction, assistant_id, id)
    stay = [id for id in known if id in file_ids]
    settled = len(stay) if file_ids[: len(stay)] == stay else 0
    for id in file_ids[settled:]:
        file = known.get(id) or AssistantFile(id=id, created_at=now, assistant_id=assistant_id)
        await store.enlist(transaction, file)


async def delete(context: Context, project_id: str, id: str) -> None:
    """Remove an assistant; threads and runs stay. A vector store that was made of v1's list goes as those of
    threads do, since nobody who speaks v1 can see it. Raises `NotFound`."""
    now = context.now()

    async def work(transaction: Transaction) -> None:
        assistant = await store.lock(transaction, project_id, id)
        listed = {one.file.id for one in await store.listed(transaction, id)}
        await store.delete(transaction, project_id, id)
        for store_id in assistant.tool_resources.store_ids() if listed else ():
            if listed.issuperset(await searched_files.some(transaction, store_id, MAX_FILES + 1)):
                await vector_store_rows.let_go(transaction, project_id, store_id, now)

    await context.database.write(work)


async def attach(context: Context, project_id: str, id: str, file_id: str) -> AssistantFile:
    """Put a file into v1's list, where it may be already. Raises `NotFound` for the assistant or the file,
    `Invalid` where the list is full."""
    now = context.now()

    async def work(transaction: Transaction) -> AssistantFile:
        await store.get(transaction, project_id, id)
        await files.require(transaction, project_id, [file_id], now)
        assistant = await store.lock(transaction, project_id, id)
        listed = {one.file.id: one.file for one in await store.listed(transaction, id)}
        if file_id in listed:
            return listed[file_id]
        after = with_files_of_v1(assistant, [file_id])
        check_count([*listed, file_id])
        check_count(after.tool_resources.code_files())
        after = await with_search_of_v1(context, transaction, project_id, after, [file_id])
        file = AssistantFile(id=file_id, created_at=now, assistant_id=id)
        await store.update(transaction, after)
        await store.enlist(transaction, file)
        return file

    return await context.database.write(work)


async def detach(context: Context, project_id: str, id: str, file_id: str) -> None:
    """Take a file from v1's list, and from what the assistant's tools work with; the file itself stays.

    Raises `NotFound` for the assistant, or where its list has no such file.
    """

    async def work(transaction: Transaction) -> None:
        assistant = await store.lock(transaction, project_id, id)
        if all(one.file.id != file_id for one in await store.listed(transaction, id)):
            raise NotFound("assistant file", file_id)
        await store.update(transaction, without_file(assistant, file_id))
        await store.remove(transaction, id, file_id)
        await leave_stores(transaction, assistant, [file_id], context.now())

    await context.database.write(work)
