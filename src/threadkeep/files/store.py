"""Rows of files, and of the places where files are used."""

from collections.abc import Iterable

from threadkeep.errors import NoSuchFile, NotFound
from threadkeep.files.model import File, StoredFile
from threadkeep.paging import Page, PageQuery, by_id, cut, page_text
from threadkeep.portions import WIDTHS, named, names, portions
from threadkeep.storage import tombstones
from threadkeep.storage.database import Params, Row, Transaction


def stored_of(row: Row) -> StoredFile:
    file = File(
        id=row[0], purpose=row[1], filename=row[2], bytes=row[3], created_at=row[4], expires_at=row[5]
    )
    return StoredFile(file, row[6])


INSERT = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, expires_at, sha256)
    VALUES (:id, :project_id, :purpose, :filename, :bytes, :created_at, :expires_at, :sha256)
"""


async def insert(transaction: Transaction, project_id: str, stored: StoredFile) -> None:
    file = stored.file
    await transaction.run(
        INSERT,
        {
            "id": file.id,
            "project_id": project_id,
            "purpose": file.purpose,
            "filename": file.filename,
            "bytes": file.bytes,
            "created_at": file.created_at,
            "expires_at": file.expires_at,
            "sha256": stored.sha256,
        },
    )


_FILES = """
    SELECT id, purpose, filename, bytes, created_at, expires_at, sha256 FROM files
    WHERE project_id = :project_id AND (expires_at IS NULL OR expires_at > :now)
"""
GET = _FILES + "AND id = :id"


async def get(transaction: Transaction, project_id: str, id: str, now: int) -> StoredFile:
    """One file that has not expired. Raises `NoSuchFile`."""
    row = await transaction.one(GET, {"id": id, "project_id": project_id, "now": now})
    if row is None:
        raise NoSuchFile(id)
    return stored_of(row)


# Setting a column to itself takes the row's lock: a deletion waits, and then finds the new use.
REQUIRE = {
    width: f"""
    UPDATE files SET bytes = bytes
    WHERE id IN ({names(width)}) AND project_id = :project_id AND (expires_at IS NULL OR expires_at > :now)
    RETURNING id
"""
    for width in WIDTHS
}
MOST_ALONE = 10
"""So few files are looked up one by one, which keeps their locks in order whatever the engine does."""


async def require(transaction: Transaction, project_id: str, ids: Iterable[str], now: int) -> None:
    """Every id names a file of the project. Raises `NotFound` for one that does not.

    Files are locked in the order of ids, and before the threads that are to use them, as a deletion does.
    """
    asked = sorted(set(ids))
    alone = len(asked) <= MOST_ALONE
    for indices in ([n] for n in range(len(asked))) if alone else portions(len(asked)):
        params: Params = {**named(asked, indices), "project_id": project_id, "now": now}
        there = {row[0] for row in await transaction.all(REQUIRE[len(indices)], params)}
        for index in indices:
            if asked[index] not in there:
                raise NotFound("file", asked[index])


_WITH_PURPOSE = "AND purpose = :purpose"


async def page(
    transaction: Transaction, project_id: str, query: PageQuery, purpose: str | None, now: int
) -> Page[File]:
    """One page of the project's files, in the order of their ids. Raises `NotFound` for a cursor."""
    await tombstones.require_cursors(transaction, "files", "file", project_id, query)
    sql = page_text(_FILES + _WITH_PURPOSE * (purpose is not None), "id", query.walks_down)
    params: Params = {"project_id": project_id, "now": now, "purpose": purpose, **by_id(query)}
    files = [stored_of(row).file for row in await transaction.all(sql, params)]
    return cut(query, files, lambda file: file.id)


DELETE = """
    DELETE FROM files
    WHERE id = :id AND project_id = :project_id AND (expires_at IS NULL OR expires_at > :now)
    RETURNING id
"""


async def delete(transaction: Transaction, project_id: str, id: str, now: int) -> None:
    """Remove the row of a file that has not expired, leaving its id for cursors. Raises `NoSuchFile`."""
    if await transaction.one(DELETE, {"id": id, "project_id": project_id, "now": now}) is None:
        raise NoSuchFile(id)
    await tombstones.bury(transaction, project_id, id)


NOTE_USE = """
    INSERT INTO file_uses (thread_id, message_id, file_id) VALUES (:thread_id, :message_id, :file_id)
    ON CONFLICT DO NOTHING
"""


async def note_uses(
    transaction: Transaction, thread_id: str, message_id: str, file_ids: Iterable[str]
) -> None:
    """Remember that a message (or, with '', the thread's own tools) uses these files."""
    for file_id in file_ids:
        await transaction.run(
            NOTE_USE, {"thread_id": thread_id, "message_id": message_id, "file_id": file_id}
        )


USES = """
    SELECT u.thread_id, u.message_id FROM file_uses u JOIN threads t ON t.id = u.thread_id
    WHERE u.file_id = :file_id AND t.project_id = :project_id
    ORDER BY u.thread_id, u.message_id
"""
FORGET_FILE = "DELETE FROM file_uses WHERE file_id = :file_id"
FORGET_MESSAGE = "DELETE FROM file_uses WHERE thread_id = :thread_id AND message_id = :message_id"
FORGET_THREAD = "DELETE FROM file_uses WHERE thread_id = :thread_id"


async def uses(transaction: Transaction, project_id: str, file_id: str) -> list[tuple[str, str]]:
    """The (thread id, message id or '') of each place that uses a file."""
    rows = await transaction.all(USES, {"file_id": file_id, "project_id": project_id})
    return [(row[0], row[1]) for row in rows]


async def forget_uses_of_file(transaction: Transaction, file_id: str) -> None:
    await transaction.run(FORGET_FILE, {"file_id": file_id})


async def forget_uses_of_message(transaction: Transaction, thread_id: str, message_id: str) -> None:
    await transaction.run(FORGET_MESSAGE, {"thread_id": thread_id, "message_id": message_id})


async def forget_uses_of_thread(transaction: Transaction, thread_id: str) -> None:
    await transaction.run(FORGET_THREAD, {"thread_id": thread_id})
