"""Writes to assistants that keep a rule.

Locks are taken in one order, first those of files, then the assistant's: so does the deletion of a file.
"""

from collections.abc import Sequence

from threadkeep.assistants import store
from threadkeep.assistants.model import (
    MAX_FILES,
    Assistant,
    AssistantChange,
    AssistantFile,
    CodeInterpreterTool,
    NewAssistant,
    StoredAssistant,
    body_of,
    changed,
    created,
    with_files_of_v1,
    without_file,
)
from threadkeep.context import Context
from threadkeep.errors import Invalid, NotFound, Problem
from threadkeep.files import store as files
from threadkeep.metadata import updated
from threadkeep.storage.database import Transaction
from threadkeep.threads.actions import check_resources


async def create(context: Context, project_id: str, new: NewAssistant) -> StoredAssistant:
    """A new assistant. Raises `NotFound` for a file or a vector store."""
    now = context.now()
    assistant = created(new, context.new_id("asst_"), now)
    file_ids = list(dict.fromkeys(new.file_ids))
    check_count(assistant.tool_resources.code_files())

    async def work(transaction: Transaction) -> None:
        await check_resources(transaction, project_id, assistant.tool_resources, now)
        await files.require(transaction, project_id, file_ids, now)
        await store.insert(transaction, project_id, assistant)
        await relist(transaction, assistant.id, [], file_ids, now)
        await store.note_uses(transaction, assistant, now)

    await context.database.write(work)
    return StoredAssistant(assistant.id, body_of(assistant), file_ids)


async def modify(context: Context, project_id: str, id: str, change: AssistantChange) -> StoredAssistant:
    """Change an assistant. Raises `NotFound` for the assistant, a file or a vector store."""
    now = context.now()

    async def work(transaction: Transaction) -> StoredAssistant:
        await store.get(transaction, project_id, id)
        await files.require(transaction, project_id, change.file_ids or [], now)
        if change.tool_resources is not None:
            await check_resources(transaction, project_id, change.tool_resources, now)
        before = await store.lock(transaction, project_id, id)
        listed = await store.listed(transaction, id)
        old = [one.file.id for one in listed]
        new = old if change.file_ids is None else list(dict.fromkeys(change.file_ids))
        metadata = before.metadata
        if change.metadata is not None:
            metadata = updated(context.settings.metadata_update, metadata, change.metadata)
        after = with_list(before, changed(before, change, metadata), change, old, new)
        check_count(after.tool_resources.code_files())
        await store.update(transaction, after)
        await relist(transaction, id, [one.file for one in listed], new, now)
        await store.note_uses(transaction, after, now)
        return StoredAssistant(id, body_of(after), new)

    return await context.database.write(work)


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
    """Remove an assistant; threads and runs stay. Raises `NotFound`."""

    async def work(transaction: Transaction) -> None:
        await store.delete(transaction, project_id, id)

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
        file = AssistantFile(id=file_id, created_at=now, assistant_id=id)
        await store.update(transaction, after)
        await store.enlist(transaction, file)
        return file

    return await context.database.write(work)


async def detach(context: Context, project_id: str, id: str, file_id: str) -> None:
    """Take a file from v1's list, and from the assistant's code; the file itself stays.

    Raises `NotFound` for the assistant, or where its list has no such file.
    """

    async def work(transaction: Transaction) -> None:
        assistant = await store.lock(transaction, project_id, id)
        if all(one.file.id != file_id for one in await store.listed(transaction, id)):
            raise NotFound("assistant file", file_id)
        await store.update(transaction, without_file(assistant, file_id))
        await store.remove(transaction, id, file_id)

    await context.database.write(work)
