"""What deleted objects leave behind: their ids, so that a cursor which names one keeps its place in the list.

A parent is whose list it is: a project, a thread, a message, an assistant, a vector store.
"""

from functools import cache

from threadkeep.errors import NotFound
from threadkeep.paging import PageQuery
from threadkeep.storage.database import Transaction

BURY = """
    INSERT INTO tombstones (id, parent_id, position) VALUES (:id, :parent_id, :position)
    ON CONFLICT (parent_id, id) DO UPDATE SET position = excluded.position
"""


async def bury(transaction: Transaction, parent_id: str, id: str, position: int = 0) -> None:
    """Leave the id of something deleted, and its position unless its list is in the order of ids. What has
    come back since it was buried here is buried at its new position."""
    await transaction.run(BURY, {"id": id, "parent_id": parent_id, "position": position})


PLACE = "SELECT position FROM tombstones WHERE parent_id = :parent_id AND id = :id"


async def place(transaction: Transaction, parent_id: str, id: str) -> int | None:
    """The position of something deleted; None where it never was."""
    row = await transaction.one(PLACE, {"parent_id": parent_id, "id": id})
    return None if row is None else int(row[0])


@cache
def cursor_text(table: str) -> str:
    return f"""
    SELECT 1 FROM {table} WHERE id = :id AND project_id = :project_id
    UNION ALL
    SELECT 1 FROM tombstones WHERE id = :id AND parent_id = :project_id
"""


async def require_cursors(
    transaction: Transaction, table: str, noun: str, project_id: str, query: PageQuery
) -> None:
    """The cursors of a page are objects of the project, or were. Raises `NotFound` for the `noun`."""
    for cursor in (query.after, query.before):
        if cursor is None:
            continue
        if await transaction.one(cursor_text(table), {"id": cursor, "project_id": project_id}) is None:
            raise NotFound(noun, cursor)


FORGET = "DELETE FROM tombstones WHERE parent_id = :parent_id"


async def forget(transaction: Transaction, parent_id: str) -> None:
    """Remove what was left in the list of a parent that is gone."""
    await transaction.run(FORGET, {"parent_id": parent_id})
