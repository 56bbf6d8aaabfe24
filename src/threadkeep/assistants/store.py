"""Rows of assistants, and of the files that they use.

A row of `assistant_files` says that an assistant uses a file: for its code, in v1's list (then it has a
`position` in it), or both. Bodies are the form that v2 serves.
"""

from collections.abc import Iterable

from msgspec import Struct

from threadkeep.assistants.model import (
    Assistant,
    AssistantFile,
    StoredAssistant,
    assistant_of,
    body_of,
)
from threadkeep.errors import NotFound
from threadkeep.paging import Page, PageQuery, by_id, cut, page_at_hand, page_text
from threadkeep.storage import tombstones
from threadkeep.storage.database import Params, Row, Transaction

INSERT = """
    INSERT INTO assistants (id, project_id, created_at, body) VALUES (:id, :project_id, :created_at, :body)
"""


async def insert(transaction: Transaction, project_id: str, assistant: Assistant) -> None:
    await transaction.run(
        INSERT,
        {
            "id": assistant.id,
            "project_id": project_id,
            "created_at": assistant.created_at,
            "body": body_of(assistant),
        },
    )


# One row for each file in v1's list, or one in all.
_WITH_FILES = "LEFT JOIN assistant_files f ON f.assistant_id = a.id AND f.position IS NOT NULL\n"
GET_STORED = f"""
    SELECT a.id, a.body, f.file_id FROM assistants a {_WITH_FILES}
    WHERE a.id = :id AND a.project_id = :project_id
    ORDER BY a.id, f.position, f.file_id
"""


def stored_of(rows: Iterable[Row]) -> list[StoredAssistant]:
    """The assistants of rows that lie side by side, in their order."""
    found: dict[str, StoredAssistant] = {}
    for id, body, file_id in rows:
        one = found.setdefault(id, StoredAssistant(id, body, []))
        if file_id is not None:
            one.file_ids.append(file_id)
    return list(found.values())


async def stored(transaction: Transaction, project_id: str, id: str) -> StoredAssistant:
    """One assistant as it is stored, with v1's files. Raises `NotFound`."""
    found = stored_of(await transaction.all(GET_STORED, {"id": id, "project_id": project_id}))
    if not found:
        raise NotFound("assistant", id)
    return found[0]


GET = "SELECT body FROM assistants WHERE id = :id AND project_id = :project_id"


async def get(transaction: Transaction, project_id: str, id: str) -> Assistant:
    """One assistant. Raises `NotFound`."""
    row = await transaction.one(GET, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("assistant", id)
    return assistant_of(row[0])


# Setting a column to itself takes the row's lock before it is read, on engines that lock rows.
LOCK = """
    UPDATE assistants SET created_at = created_at WHERE id = :id AND project_id = :project_id
    RETURNING body
"""


async def lock(transaction: Transaction, project_id: str, id: str) -> Assistant:
    """One assistant, to be changed in this transaction. Raises `NotFound`."""
    row = await transaction.one(LOCK, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("assistant", id)
    return assistant_of(row[0])


UPDATE = "UPDATE assistants SET body = :body WHERE id = :id"


async def update(transaction: Transaction, assistant: Assistant) -> None:
    """Store a changed assistant that this transaction has locked."""
    await transaction.run(UPDATE, {"id": assistant.id, "body": body_of(assistant)})


_OF_PROJECT = "SELECT id, body FROM assistants WHERE project_id = :project_id"
PAGES = {
    down: f"""
    SELECT a.id, a.body, f.file_id FROM ({page_text(_OF_PROJECT, "id", down)}) a {_WITH_FILES}
    ORDER BY a.id {direction}, f.position, f.file_id
"""
    for down, direction in ((False, "ASC"), (True, "DESC"))
}


async def page(transaction: Transaction, project_id: str, query: PageQuery) -> Page[StoredAssistant]:
    """One page of the project's assistants; ids are in the order of their making.

    Raises `NotFound` for a cursor.
    """
    await tombstones.require_cursors(transaction, "assistants", "assistant", project_id, query)
    rows = await transaction.all(PAGES[query.walks_down], {"project_id": project_id, **by_id(query)})
    return cut(query, stored_of(rows), lambda assistant: assistant.id)


DELETE = "DELETE FROM assistants WHERE id = :id AND project_id = :project_id RETURNING id"
DELETE_FILES = "DELETE FROM assistant_files WHERE assistant_id = :id"


async def delete(transaction: Transaction, project_id: str, id: str) -> None:
    """Remove an assistant, leaving its id for cursors. Raises `NotFound`."""
    if await transaction.one(DELETE, {"id": id, "project_id": project_id}) is None:
        raise NotFound("assistant", id)
    await transaction.run(DELETE_FILES, {"id": id})
    await tombstones.forget(transaction, id)
    await tombstones.bury(transaction, project_id, id)


# ---------------------------------------------------------------- what uses a file

USE = """
    INSERT INTO assistant_files (assistant_id, file_id, created_at) VALUES (:assistant_id, :file_id, :now)
    ON CONFLICT DO NOTHING
"""
FORGET_USES = "DELETE FROM assistant_files WHERE assistant_id = :assistant_id AND position IS NULL"
USERS = """
    SELECT assistant_id FROM assistant_files WHERE file_id = :file_id ORDER BY assistant_id
"""


async def note_uses(transaction: Transaction, assistant: Assistant, now: int) -> None:
    """Remember the files that an assistant's code is given, so that their deletion finds it."""
    await transaction.run(FORGET_USES, {"assistant_id": assistant.id})
    for file_id in assistant.tool_resources.code_files():
        await transaction.run(USE, {"assistant_id": assistant.id, "file_id": file_id, "now": now})


async def lock_users(transaction: Transaction, project_id: str, file_id: str) -> list[Assistant]:
    """The assistants that use a file, to be changed in this transaction; locked in the order of their ids."""
    ids = [row[0] for row in await transaction.all(USERS, {"file_id": file_id})]
    rows = [await transaction.one(LOCK, {"id": id, "project_id": project_id}) for id in ids]
    return [assistant_of(row[0]) for row in rows if row is not None]


# ---------------------------------------------------------------- v1's list of files


class Listed(Struct, frozen=True):
    """A file in v1's list, and its place there: places only grow."""

    file: AssistantFile
    position: int


LISTED = """
    SELECT file_id, created_at, position FROM assistant_files
    WHERE assistant_id = :assistant_id AND position IS NOT NULL ORDER BY position, file_id
"""


async def listed(transaction: Transaction, assistant_id: str) -> list[Listed]:
    """v1's list of an assistant's files, in order. Whoever asks has found the assistant."""
    rows = await transaction.all(LISTED, {"assistant_id": assistant_id})
    return [
        Listed(AssistantFile(id=row[0], created_at=row[1], assistant_id=assistant_id), row[2]) for row in rows
    ]


NEXT = """
    SELECT COALESCE(MAX(position), 0) + 1 FROM (
        SELECT position FROM assistant_files WHERE assistant_id = :assistant_id
        UNION ALL
        SELECT position FROM tombstones WHERE parent_id = :assistant_id
    ) places
"""
LIST = """
    INSERT INTO assistant_files (assistant_id, file_id, position, created_at)
    VALUES (:assistant_id, :file_id, :position, :created_at)
    ON CONFLICT (assistant_id, file_id) DO UPDATE SET position = :position, created_at = :created_at
"""


async def enlist(transaction: Transaction, file: AssistantFile) -> None:
    """Put a file at the end of v1's list of a locked assistant."""
    row = await transaction.one(NEXT, {"assistant_id": file.assistant_id})
    place: Params = {"assistant_id": file.assistant_id, "file_id": file.id}
    await transaction.run(LIST, {**place, "position": row[0] if row else 1, "created_at": file.created_at})


REMOVE = """
    DELETE FROM assistant_files WHERE assistant_id = :assistant_id AND file_id = :file_id RETURNING position
"""


async def remove(transaction: Transaction, assistant_id: str, file_id: str) -> None:
    """Take a file from a locked assistant; one in v1's list leaves its place there for cursors."""
    row = await transaction.one(REMOVE, {"assistant_id": assistant_id, "file_id": file_id})
    if row is not None and row[0] is not None:
        await tombstones.bury(transaction, assistant_id, file_id, row[0])


async def page_of_files(transaction: Transaction, assistant_id: str, query: PageQuery) -> Page[AssistantFile]:
    """One page of v1's list of an assistant's files. Raises `NotFound` for a cursor."""
    entries = await listed(transaction, assistant_id)
    places: dict[str, float] = {one.file.id: one.position for one in entries}
    for cursor in (query.after, query.before):
        if cursor is not None and cursor not in places:
            place = await tombstones.place(transaction, assistant_id, cursor)
            if place is None:
                raise NotFound("assistant file", cursor)
            places[cursor] = place
    return page_at_hand(query, [one.file for one in entries], places, lambda file: file.id)
