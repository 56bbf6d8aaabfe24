"""Rows of threads and of their metadata."""

import msgspec

from threadkeep.errors import NotFound
from threadkeep.metadata import Metadata
from threadkeep.paging import Page, PageQuery, by_id, cut, page_text
from threadkeep.storage import tombstones
from threadkeep.storage.database import Row, Transaction
from threadkeep.threads.model import Thread, ToolResources

_metadata = msgspec.json.Decoder(Metadata).decode
_tool_resources = msgspec.json.Decoder(ToolResources).decode


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def thread_of(row: Row) -> Thread:
    return Thread(
        id=row[0], created_at=row[1], metadata=_metadata(row[2]), tool_resources=_tool_resources(row[3])
    )


INSERT = """
    INSERT INTO threads (id, project_id, created_at, last_position, metadata, tool_resources)
    VALUES (:id, :project_id, :created_at, :last_position, :metadata, :tool_resources)
"""


async def insert(transaction: Transaction, project_id: str, thread: Thread, messages: int) -> None:
    """A new thread whose first `messages` positions the caller will fill."""
    await transaction.run(
        INSERT,
        {
            "id": thread.id,
            "project_id": project_id,
            "created_at": thread.created_at,
            "last_position": messages,
            "metadata": text(thread.metadata),
            "tool_resources": text(thread.tool_resources),
        },
    )
    await insert_pairs(transaction, thread)


INSERT_PAIR = "INSERT INTO thread_metadata (thread_id, pair) VALUES (:thread_id, :pair)"
DELETE_PAIRS = "DELETE FROM thread_metadata WHERE thread_id = :thread_id"


async def insert_pairs(transaction: Transaction, thread: Thread) -> None:
    for pair in thread.metadata.items():
        await transaction.run(INSERT_PAIR, {"thread_id": thread.id, "pair": text(pair)})


GET = """
    SELECT id, created_at, metadata, tool_resources FROM threads
    WHERE id = :id AND project_id = :project_id
"""


async def get(transaction: Transaction, project_id: str, id: str) -> Thread:
    """One thread. Raises `NotFound`."""
    row = await transaction.one(GET, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("thread", id)
    return thread_of(row)


# Setting a column to itself takes the row's lock before it is read, on engines that lock rows.
LOCK = """
    UPDATE threads SET created_at = created_at WHERE id = :id AND project_id = :project_id
    RETURNING id, created_at, metadata, tool_resources
"""


async def lock(transaction: Transaction, project_id: str, id: str) -> Thread:
    """One thread, to be changed in this transaction. Raises `NotFound`."""
    row = await transaction.one(LOCK, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound("thread", id)
    return thread_of(row)


UPDATE = """
    UPDATE threads SET metadata = :metadata, tool_resources = :tool_resources WHERE id = :id
"""


async def update(transaction: Transaction, thread: Thread) -> None:
    """Store a changed thread that this transaction has locked."""
    params = {
        "id": thread.id,
        "metadata": text(thread.metadata),
        "tool_resources": text(thread.tool_resources),
    }
    await transaction.run(UPDATE, params)


async def replace_pairs(transaction: Transaction, thread: Thread) -> None:
    """Store what threads are listed by, after a change of metadata."""
    await transaction.run(DELETE_PAIRS, {"thread_id": thread.id})
    await insert_pairs(transaction, thread)


_OF_PROJECT = "SELECT id, created_at, metadata, tool_resources FROM threads WHERE project_id = :project_id"
_WITH_PAIR = """
    AND EXISTS (SELECT 1 FROM thread_metadata m WHERE m.thread_id = threads.id AND m.pair = :pair{})
"""


async def page(transaction: Transaction, project_id: str, query: PageQuery) -> Page[Thread]:
    """One page of the project's threads; ids are in the order of their making.

    `query.filters` are metadata pairs that a thread must have. Raises `NotFound` for a cursor.
    """
    await tombstones.require_cursors(transaction, "threads", "thread", project_id, query)
    pairs = {f"pair{number}": text(pair) for number, pair in enumerate(query.filters)}
    select = _OF_PROJECT + "".join(map(_WITH_PAIR.format, range(len(pairs))))
    sql = page_text(select, "id", query.walks_down)
    rows = await transaction.all(sql, {"project_id": project_id, **pairs, **by_id(query)})
    return cut(query, [thread_of(row) for row in rows], lambda thread: thread.id)


DELETE = "DELETE FROM threads WHERE id = :id AND project_id = :project_id RETURNING id"


async def delete(transaction: Transaction, project_id: str, id: str) -> None:
    """Remove a thread; everything under it answers as gone from then on. Raises `NotFound`."""
    if await transaction.one(DELETE, {"id": id, "project_id": project_id}) is None:
        raise NotFound("thread", id)
    await transaction.run(DELETE_PAIRS, {"thread_id": id})
    await tombstones.bury(transaction, project_id, id)
