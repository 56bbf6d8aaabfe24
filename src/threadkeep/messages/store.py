"""Rows of messages.

A row is a place in a thread (`position`, the only order there is) and a body: the message's JSON
text. Bodies go in and out unread; `messages.model` opens them for those who must look inside.
"""

from msgspec import Struct

from threadkeep.errors import NotFound, RunActive
from threadkeep.messages.model import id_in
from threadkeep.paging import FIRST, LAST, Page, PageQuery, between, cut
from threadkeep.storage.database import Params, Row, Together, Transaction

TAKE_POSITION = """
    UPDATE threads SET last_position = last_position + 1
    WHERE id = :thread_id AND project_id = :project_id AND active_run_id IS NULL
    RETURNING last_position
"""
INSERT = """
    INSERT INTO messages (thread_id, position, id, run_id, body)
    VALUES (:thread_id, :position, :id, :run_id, :body)
"""
ACTIVE_RUN = "SELECT active_run_id FROM threads WHERE id = :thread_id AND project_id = :project_id"


async def append(transaction: Transaction, project_id: str, thread_id: str, id: str, body: str) -> int:
    """Put a message at the end of a thread; return its position, counted from 1.

    Raises `NotFound` for the thread and `RunActive` while a run of it is not over.
    """
    params: dict[str, str | int | None] = {"thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(TAKE_POSITION, params)
    if row is None:
        raise await refusal(transaction, thread_id, params)
    await insert(transaction, thread_id, row[0], id, body)
    return int(row[0])


# Locks are taken in the order of ids, so that two processes that append to the same threads never
# wait for each other in a circle. `number` keeps the order of arrival within a thread.
APPEND_MANY = """
    WITH items AS (
        SELECT * FROM unnest(:project_ids::text[], :thread_ids::text[], :ids::text[], :bodies::text[])
        WITH ORDINALITY AS i (project_id, thread_id, id, body, number)
    ), wanted AS (
        SELECT project_id, thread_id, count(*) AS messages FROM items GROUP BY project_id, thread_id
    ), locked AS (
        SELECT t.id, w.messages FROM threads t
        JOIN wanted w ON w.thread_id = t.id AND w.project_id = t.project_id
        WHERE t.active_run_id IS NULL
        ORDER BY t.id FOR UPDATE OF t
    ), taken AS (
        UPDATE threads t SET last_position = t.last_position + l.messages
        FROM locked l WHERE t.id = l.id
        RETURNING t.id, t.project_id, t.last_position - l.messages AS before
    )
    INSERT INTO messages (thread_id, position, id, run_id, body)
    SELECT i.thread_id, k.before + row_number() OVER (PARTITION BY i.thread_id ORDER BY i.number),
           i.id, NULL, i.body
    FROM items i JOIN taken k ON k.id = i.thread_id AND k.project_id = i.project_id
    RETURNING id
"""
WHICH_ARE_THERE = """
    SELECT m.id FROM messages m
    JOIN unnest(:project_ids::text[], :thread_ids::text[], :ids::text[], :bodies::text[])
    AS i (project_id, thread_id, id, body) ON m.id = i.id AND m.thread_id = i.thread_id
"""
APPENDED = Together(APPEND_MANY, WHICH_ARE_THERE, ("project_ids", "thread_ids", "ids", "bodies"), key=2)


async def insert(
    transaction: Transaction, thread_id: str, position: int, id: str, body: str, run_id: str | None = None
) -> None:
    """Put a message at a position that the caller has taken."""
    await transaction.run(
        INSERT, {"thread_id": thread_id, "position": position, "id": id, "run_id": run_id, "body": body}
    )


# ---------------------------------------------------------------- messages that wait for a run to end

# Setting a column to itself takes the row's lock. Whoever touches what waits holds the thread's row, so
# that nothing can be added to it, changed or removed while it joins the thread.
HOLD_ACTIVE = """
    UPDATE threads SET active_run_id = active_run_id
    WHERE id = :thread_id AND project_id = :project_id AND active_run_id IS NOT NULL
    RETURNING id
"""
WAIT = """
    INSERT INTO waiting_messages (thread_id, position, id, body)
    SELECT CAST(:thread_id AS TEXT), COALESCE(MAX(position), 0) + 1, CAST(:id AS TEXT), CAST(:body AS TEXT)
    FROM waiting_messages WHERE thread_id = :thread_id
"""


async def append_or_wait(
    transaction: Transaction, project_id: str, thread_id: str, id: str, body: str
) -> int | None:
    """Like `append`, but where a run is not over the message waits for its end, and None is returned."""
    params: Params = {"thread_id": thread_id, "project_id": project_id}
    while (row := await transaction.one(TAKE_POSITION, params)) is None:
        if await transaction.one(HOLD_ACTIVE, params) is not None:
            await transaction.run(WAIT, {"thread_id": thread_id, "id": id, "body": body})
            return None
        await require_thread(transaction, project_id, thread_id)  # the run ended between the two
    await insert(transaction, thread_id, row[0], id, body)
    return int(row[0])


WAITING = "SELECT id, body FROM waiting_messages WHERE thread_id = :thread_id ORDER BY position"
FORGET_WAITING = "DELETE FROM waiting_messages WHERE thread_id = :thread_id"
TAKE_POSITIONS = """
    UPDATE threads SET last_position = last_position + :messages WHERE id = :thread_id
    RETURNING last_position
"""


async def join_waiting(transaction: Transaction, thread_id: str) -> None:
    """Put the messages that waited for a run to end into the thread, whose row this transaction holds."""
    waiting = await transaction.all(WAITING, {"thread_id": thread_id})
    if not waiting:
        return
    row = await transaction.one(TAKE_POSITIONS, {"thread_id": thread_id, "messages": len(waiting)})
    first = (row[0] if row else 0) - len(waiting) + 1
    for position, (id, body) in enumerate(waiting, start=first):
        await insert(transaction, thread_id, position, id, body)
    await transaction.run(FORGET_WAITING, {"thread_id": thread_id})


GET_WAITING = """
    SELECT w.body, w.position FROM waiting_messages w JOIN threads t ON t.id = w.thread_id
    WHERE w.id = :id AND w.thread_id = :thread_id AND t.project_id = :project_id
"""
UPDATE_WAITING = """
    UPDATE waiting_messages SET body = :body WHERE thread_id = :thread_id AND position = :position
"""
DELETE_WAITING = "DELETE FROM waiting_messages WHERE thread_id = :thread_id AND position = :position"


# ---------------------------------------------------------------- what there is


SOME_OF_CLIENTS = """
    SELECT position, body FROM messages
    WHERE thread_id = :thread_id AND position > :position AND run_id IS NULL
    ORDER BY position LIMIT :rows
"""


async def some_of_clients(
    transaction: Transaction, thread_id: str, position: int, rows: int
) -> list[tuple[int, str]]:
    """Positions and bodies of messages that no run wrote, after a position."""
    params: Params = {"thread_id": thread_id, "position": position, "rows": rows}
    return [(row[0], row[1]) for row in await transaction.all(SOME_OF_CLIENTS, params)]


COUNT = """
    SELECT (SELECT COUNT(*) FROM messages WHERE thread_id = :thread_id)
         + (SELECT COUNT(*) FROM waiting_messages WHERE thread_id = :thread_id)
"""


async def count(transaction: Transaction, thread_id: str) -> int:
    """How many messages a thread holds, with those that wait: fewer than its last position says, where some
    were deleted."""
    row = await transaction.one(COUNT, {"thread_id": thread_id})
    return int(row[0]) if row else 0


async def refusal(transaction: Transaction, thread_id: str, params: Params) -> NotFound | RunActive:
    row = await transaction.one(ACTIVE_RUN, params)
    return NotFound("thread", thread_id) if row is None else RunActive(thread_id, row[0])


GET = """
    SELECT m.body FROM messages m JOIN threads t ON t.id = m.thread_id
    WHERE m.id = :id AND m.thread_id = :thread_id AND t.project_id = :project_id
"""
THREAD_IS_THERE = "SELECT 1 FROM threads WHERE id = :thread_id AND project_id = :project_id"


async def get(transaction: Transaction, project_id: str, thread_id: str, id: str) -> str:
    """The body of one message. Raises `NotFound` for the thread or the message."""
    params: Params = {"id": id, "thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(GET, params)
    if row is None:  # it may wait, and it may have joined between the two
        row = await transaction.one(GET_WAITING, params) or await transaction.one(GET, params)
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("message", id)
    return str(row[0])


async def require_thread(transaction: Transaction, project_id: str, thread_id: str) -> None:
    params: Params = {"thread_id": thread_id, "project_id": project_id}
    if await transaction.one(THREAD_IS_THERE, params) is None:
        raise NotFound("thread", thread_id)


# One text for each way through a thread, so that each is prepared once and walks the primary key.
_PAGE = """
    SELECT body FROM messages
    WHERE thread_id = (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    AND position > :low AND position < :high
"""
_OF_RUN = "AND run_id = :run_id\n"
PAGE_UP = _PAGE + "ORDER BY position LIMIT :rows"
PAGE_DOWN = _PAGE + "ORDER BY position DESC LIMIT :rows"
PAGE_OF_RUN_UP = _PAGE + _OF_RUN + "ORDER BY position LIMIT :rows"
PAGE_OF_RUN_DOWN = _PAGE + _OF_RUN + "ORDER BY position DESC LIMIT :rows"


async def page(
    transaction: Transaction, project_id: str, thread_id: str, query: PageQuery, run_id: str | None = None
) -> Page[str]:
    """The bodies of one page. Raises `NotFound` for the thread or a cursor."""
    low, high = FIRST, LAST
    if query.after or query.before:
        after = await place_of(transaction, project_id, thread_id, query.after)
        before = await place_of(transaction, project_id, thread_id, query.before)
        low, high = between(query, after, before, FIRST, LAST)
    params: dict[str, str | int | None] = {
        "thread_id": thread_id,
        "project_id": project_id,
        "low": low,
        "high": high,
        "rows": query.limit + 1,
    }
    if run_id is None:
        sql = PAGE_DOWN if query.walks_down else PAGE_UP
    else:
        params["run_id"] = run_id
        sql = PAGE_OF_RUN_DOWN if query.walks_down else PAGE_OF_RUN_UP
    rows = await transaction.all(sql, params)
    if not rows:
        await require_thread(transaction, project_id, thread_id)
    return cut(query, [row[0] for row in rows], id_in)


PLACE = """
    SELECT position FROM messages WHERE id = :id
    AND thread_id = (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    UNION ALL
    SELECT position FROM tombstones WHERE id = :id
    AND parent_id = (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
"""


async def place_of(
    transaction: Transaction, project_id: str, thread_id: str, cursor: str | None
) -> int | None:
    """The position of a cursor, also of a message that was deleted since; one that waits comes last."""
    if cursor is None:
        return None
    params: Params = {"id": cursor, "thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(PLACE, params)
    if row is None:
        if await transaction.one(GET_WAITING, params):
            return LAST - 1
        row = await transaction.one(PLACE, params)
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("message", cursor)
    return int(row[0])


# Setting a column to itself takes the row's lock before it is read, on engines that lock rows.
LOCK = """
    UPDATE messages SET position = position
    WHERE id = :id AND thread_id = :thread_id
    AND thread_id IN (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    RETURNING position, body
"""


class Locked(Struct, frozen=True):
    """A message's row, held until the transaction ends. Of one that waits, the thread's row is held."""

    thread_id: str
    position: int
    body: str
    waits: bool = False


async def lock(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Locked:
    """One message, to be changed. Raises `NotFound` for the thread or the message."""
    params: Params = {"id": id, "thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(LOCK, params)
    if row is None:
        if waiting := await lock_waiting(transaction, params):
            return waiting
        row = await transaction.one(LOCK, params)
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("message", id)
    return Locked(thread_id, row[0], row[1])


async def lock_waiting(transaction: Transaction, params: Params) -> Locked | None:
    """Likewise a message that waits; None where it does not, or no longer."""
    if await transaction.one(GET_WAITING, params) is None:
        return None
    await transaction.one(HOLD_ACTIVE, params)
    row = await transaction.one(GET_WAITING, params)
    return None if row is None else Locked(str(params["thread_id"]), row[1], row[0], waits=True)


UPDATE = "UPDATE messages SET body = :body WHERE thread_id = :thread_id AND position = :position"


async def update(transaction: Transaction, locked: Locked, body: str) -> None:
    """Replace the body of a locked message."""
    sql = UPDATE_WAITING if locked.waits else UPDATE
    await transaction.run(sql, {"thread_id": locked.thread_id, "position": locked.position, "body": body})


DELETE = "DELETE FROM messages WHERE thread_id = :thread_id AND position = :position"
BURY = "INSERT INTO tombstones (id, parent_id, position) VALUES (:id, :thread_id, :position)"
FORGET_FILES = "DELETE FROM tombstones WHERE parent_id = :id"


async def delete(transaction: Transaction, locked: Locked, id: str) -> None:
    """Remove a locked message, leaving its id and its place for cursors."""
    place: Params = {"thread_id": locked.thread_id, "position": locked.position}
    await transaction.run(DELETE_WAITING if locked.waits else DELETE, place)
    if locked.waits:  # the place it would have now
        row = await transaction.one(TAKE_POSITIONS, {"thread_id": locked.thread_id, "messages": 1})
        place = {"thread_id": locked.thread_id, "position": row[0] if row else 0}
    await transaction.run(BURY, {"id": id, **place})
    await transaction.run(FORGET_FILES, {"id": id})


SHIFT_FILE_PLACES = """
    UPDATE tombstones SET position = position - 1 WHERE parent_id = :message_id AND position > :place
"""
BURY_FILE = "INSERT INTO tombstones (id, parent_id, position) VALUES (:id, :message_id, :place)"


async def bury_file(transaction: Transaction, message_id: str, file_id: str, place: int) -> None:
    """Leave the id of a file that was taken from a message; `place` counts the files before it."""
    params: Params = {"message_id": message_id, "place": place}
    await transaction.run(SHIFT_FILE_PLACES, params)
    await transaction.run(BURY_FILE, {"id": file_id, **params})


FILE_PLACE = "SELECT position FROM tombstones WHERE parent_id = :message_id AND id = :id"


async def place_of_buried_file(transaction: Transaction, message_id: str, file_id: str) -> int | None:
    """How many files of a message come before the place of one that was taken from it."""
    row = await transaction.one(FILE_PLACE, {"message_id": message_id, "id": file_id})
    return None if row is None else int(row[0])


OLDEST = "SELECT position FROM messages WHERE thread_id = :thread_id ORDER BY position LIMIT :rows"
FORGET_FILES_UP_TO = """
    DELETE FROM tombstones WHERE parent_id IN
    (SELECT id FROM messages WHERE thread_id = :thread_id AND position <= :position)
"""
DELETE_UP_TO = "DELETE FROM messages WHERE thread_id = :thread_id AND position <= :position"


async def delete_some(transaction: Transaction, thread_id: str, rows: int) -> bool:
    """Remove the oldest messages of a thread that is gone; whether any were left to remove."""
    oldest: list[Row] = await transaction.all(OLDEST, {"thread_id": thread_id, "rows": rows})
    if oldest:
        params: Params = {"thread_id": thread_id, "position": oldest[-1][0]}
        await transaction.run(FORGET_FILES_UP_TO, params)
        await transaction.run(DELETE_UP_TO, params)
    return bool(oldest)


FORGET_THREAD = "DELETE FROM tombstones WHERE parent_id = :thread_id"


async def forget_thread(transaction: Transaction, thread_id: str) -> None:
    """Remove what the deleted messages of a thread that is gone left behind, and those that waited."""
    await transaction.run(FORGET_THREAD, {"thread_id": thread_id})
    await transaction.run(FORGET_WAITING, {"thread_id": thread_id})
