"""Rows of messages.

A row is a place in a thread (`position`, the only order there is) and a body: the message's JSON
text. Bodies go in and out unread; `messages.model` opens them for those who must look inside.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from msgspec import Struct

from threadkeep.errors import NotFound, RunActive
from threadkeep.messages.model import id_in
from threadkeep.paging import FIRST, LAST, Page, PageQuery, between, cut
from threadkeep.storage.database import Database, Params, Question, Row, Together, Transaction

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


# A thread is locked as its turn comes, and the turns are in the order of ids: so two processes that
# append to the same threads never wait for each other in a circle.
APPEND_MANY = """
    WITH taken AS (
        UPDATE threads t SET last_position = t.last_position + w.messages
        FROM unnest(:project_ids::text[], :thread_ids::text[], :counts::bigint[])
        WITH ORDINALITY AS w (project_id, thread_id, messages, number)
        WHERE t.id = w.thread_id AND t.project_id = w.project_id AND t.active_run_id IS NULL
        RETURNING w.number, t.id, t.last_position - w.messages AS before
    )
    INSERT INTO messages (thread_id, position, id, run_id, body)
    SELECT k.id, k.before + i.place, i.id, NULL, i.body
    FROM unnest(:numbers::bigint[], :places::bigint[], :ids::text[], :bodies::text[])
    AS i (number, place, id, body) JOIN taken k ON k.number = i.number
    RETURNING id
"""
WHICH_ARE_THERE = """
    SELECT id FROM messages WHERE id = ANY (:ids::text[]) AND thread_id = ANY (:thread_ids::text[])
"""


class NewRow(NamedTuple):
    """A message to be appended."""

    project_id: str
    thread_id: str
    id: str
    body: str


def by_threads(rows: Sequence[NewRow]) -> Params:
    """What `APPEND_MANY` takes: the threads in the order of ids, each once, with how many messages it
    gets; and the messages, each with the number of its thread and its place among the thread's new ones."""
    threads: dict[tuple[str, str], list[NewRow]] = {}
    for row in rows:
        threads.setdefault((row.thread_id, row.project_id), []).append(row)
    ordered = sorted(threads.items())
    placed = [
        (number, place, row)
        for number, (_, of_thread) in enumerate(ordered, 1)
        for place, row in enumerate(of_thread, 1)
    ]
    return {
        "thread_ids": [thread_id for (thread_id, _), _ in ordered],
        "project_ids": [project_id for (_, project_id), _ in ordered],
        "counts": [len(of_thread) for _, of_thread in ordered],
        "numbers": [number for number, _, _ in placed],
        "places": [place for _, place, _ in placed],
        "ids": [row.id for _, _, row in placed],
        "bodies": [row.body for _, _, row in placed],
    }


APPENDED = Together(APPEND_MANY, WHICH_ARE_THERE, by_threads)


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


# Where a cursor stands, also that of a message that was deleted since; one that waits comes last. One that
# never was stands nowhere: no position compares with NULL, so the page is empty, and then it is asked why.
_PLACE = """CASE WHEN {cursor} IS NULL THEN {outside} ELSE COALESCE(
        (SELECT position FROM messages WHERE id = {cursor} AND thread_id = {thread_id}),
        (SELECT position FROM tombstones WHERE id = {cursor} AND parent_id = {thread_id}),
        (SELECT {last} FROM waiting_messages WHERE id = {cursor} AND thread_id = {thread_id})) END"""
_BETWEEN = f"""
    AND position > {_PLACE.format(cursor="{low}", outside=FIRST, last=LAST - 1, thread_id="{thread_id}")}
    AND position < {_PLACE.format(cursor="{high}", outside=LAST, last=LAST - 1, thread_id="{thread_id}")}
"""
_OF_RUN = """
    AND run_id = :run_id
"""
_PAGE = """
    SELECT body FROM messages
    WHERE thread_id = (SELECT id FROM threads WHERE id = {thread_id} AND project_id = {project_id})
    {conditions} ORDER BY position {direction} LIMIT {rows}
"""
_PARAMETERS = {
    "thread_id": ":thread_id",
    "project_id": ":project_id",
    "low": "CAST(:low AS TEXT)",
    "high": "CAST(:high AS TEXT)",
    "rows": ":rows",
}
_COLUMNS = {name: f"i.{name}" for name in _PARAMETERS}
_MANY = """
    SELECT NULLIF(ARRAY({page}), '{{}}') FROM unnest(
        :thread_ids::text[], :project_ids::text[], :lows::text[], :highs::text[], :limits::bigint[]
    ) WITH ORDINALITY AS i (thread_id, project_id, low, high, rows, number) ORDER BY i.number
"""


def page_text(names: Mapping[str, str], down: bool, cursors: bool, of_run: bool) -> str:
    conditions = _BETWEEN.format(**names) * cursors + _OF_RUN * of_run
    return _PAGE.format(conditions=conditions, direction="DESC" if down else "ASC", **names)


# One text for each way through a thread, so that each is prepared once and walks the primary key.
@cache
def page_of(down: bool, cursors: bool, of_run: bool) -> str:
    """The statement that reads a page."""
    return page_text(_PARAMETERS, down, cursors, of_run)


@cache
def pages_of(down: bool, cursors: bool) -> Question:
    """The statement that reads many."""
    text = _MANY.format(page=page_text(_COLUMNS, down, cursors, of_run=False))
    return Question(text, ("thread_ids", "project_ids", "lows", "highs", "limits"))


async def page(
    transaction: Transaction, project_id: str, thread_id: str, query: PageQuery, run_id: str | None = None
) -> Page[str]:
    """The bodies of one page. Raises `NotFound` for the thread or a cursor."""
    return cut(query, await bodies(transaction, project_id, thread_id, query, run_id), id_in)


async def page_beside_others(
    database: Database, project_id: str, thread_id: str, query: PageQuery
) -> Page[str]:
    """As `page`, read together with other pages that are asked for at the same time."""
    low, high = between(query, query.after, query.before, None, None)
    question = pages_of(query.walks_down, bool(low or high))
    row = (thread_id, project_id, low, high, query.limit + 1)

    async def alone(transaction: Transaction) -> list[str]:
        return await bodies(transaction, project_id, thread_id, query, None)

    return cut(query, await database.ask(question, row, alone), id_in)


async def bodies(
    transaction: Transaction, project_id: str, thread_id: str, query: PageQuery, run_id: str | None
) -> list[str]:
    """One more than the page has, where more follow."""
    low, high = between(query, query.after, query.before, None, None)
    params: Params = {
        "thread_id": thread_id,
        "project_id": project_id,
        "low": low,
        "high": high,
        "run_id": run_id,
        "rows": query.limit + 1,
    }
    sql = page_of(query.walks_down, bool(low or high), run_id is not None)
    rows = await transaction.all(sql, params)
    if not rows:
        await require_thread(transaction, project_id, thread_id)
        await require_cursor(transaction, thread_id, query.after)
        await require_cursor(transaction, thread_id, query.before)
    return [row[0] for row in rows]


CURSOR = """
    SELECT 1 FROM messages WHERE id = :id AND thread_id = :thread_id
    UNION ALL
    SELECT 1 FROM tombstones WHERE id = :id AND parent_id = :thread_id
    UNION ALL
    SELECT 1 FROM waiting_messages WHERE id = :id AND thread_id = :thread_id
"""


async def require_cursor(transaction: Transaction, thread_id: str, cursor: str | None) -> None:
    """A cursor is a message of the thread, or was one."""
    if cursor is None:
        return
    if await transaction.one(CURSOR, {"id": cursor, "thread_id": thread_id}) is None:
        raise NotFound("message", cursor)


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
