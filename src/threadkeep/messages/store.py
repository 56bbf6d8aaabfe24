"""Rows of messages.

A row is a place in a thread (`position`, the only order there is) and a body: the message's JSON
text. Bodies go in and out unread; `messages.model` opens them for those who must look inside.
"""

import operator
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from threadkeep.errors import NotFound, RunActive
from threadkeep.messages import waiting
from threadkeep.storage import tombstones
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


# A thread is locked as its turn comes, and the turns are in the order of ids: so two processes that
# append to the same threads never wait for each other in a circle.
TAKE_MANY = """
    WITH taken AS (
        UPDATE threads t SET last_position = t.last_position + w.messages
        FROM unnest(:project_ids::text[], :thread_ids::text[], :counts::bigint[])
        WITH ORDINALITY AS w (project_id, thread_id, messages, number)
        WHERE t.id = w.thread_id AND t.project_id = w.project_id AND t.active_run_id IS NULL
        RETURNING w.number, t.id, t.last_position - w.messages AS before
    )
"""
# Leaves out the threads that others hold. It costs more, since each is locked first and then changed.
TAKE_UNLOCKED = """
    WITH unlocked AS (
        SELECT t.id, w.messages, w.number
        FROM unnest(:project_ids::text[], :thread_ids::text[], :counts::bigint[])
        WITH ORDINALITY AS w (project_id, thread_id, messages, number)
        JOIN threads t ON t.id = w.thread_id AND t.project_id = w.project_id AND t.active_run_id IS NULL
        FOR NO KEY UPDATE OF t SKIP LOCKED
    ), taken AS (
        UPDATE threads t SET last_position = t.last_position + u.messages FROM unlocked u
        WHERE t.id = u.id
        RETURNING u.number, t.id, t.last_position - u.messages AS before
    )
"""
INSERT_MANY = """
    INSERT INTO messages (thread_id, position, id, run_id, body)
    SELECT k.id, k.before + i.place, i.id, NULL, i.body
    FROM unnest(:numbers::bigint[], :places::bigint[], :ids::text[], :bodies::text[])
    AS i (number, place, id, body) JOIN taken k ON k.number = i.number
    RETURNING id
"""
APPEND_MANY, APPEND_UNLOCKED = TAKE_MANY + INSERT_MANY, TAKE_UNLOCKED + INSERT_MANY
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


APPENDED = Together(
    APPEND_MANY, APPEND_UNLOCKED, WHICH_ARE_THERE, by_threads, lock=operator.attrgetter("thread_id")
)


async def insert(
    transaction: Transaction, thread_id: str, position: int, id: str, body: str, run_id: str | None = None
) -> None:
    """Put a message at a position that the caller has taken."""
    await transaction.run(
        INSERT, {"thread_id": thread_id, "position": position, "id": id, "run_id": run_id, "body": body}
    )


async def append_or_wait(
    transaction: Transaction, project_id: str, thread_id: str, id: str, body: str
) -> int | None:
    """Like `append`, but where a run is not over the message waits for its end, and None is returned."""
    params: Params = {"thread_id": thread_id, "project_id": project_id}
    while (row := await transaction.one(TAKE_POSITION, params)) is None:
        if await waiting.hold(transaction, project_id, thread_id):
            await waiting.add(transaction, thread_id, id, body)
            return None
        await require_thread(transaction, project_id, thread_id)  # the run ended between the two
    await insert(transaction, thread_id, row[0], id, body)
    return int(row[0])


TAKE_POSITIONS = """
    UPDATE threads SET last_position = last_position + :messages WHERE id = :thread_id
    RETURNING last_position
"""


async def take_positions(transaction: Transaction, thread_id: str, messages: int) -> int:
    """Positions one after the other, of which the first is returned; 0 where the thread is gone."""
    row = await transaction.one(TAKE_POSITIONS, {"thread_id": thread_id, "messages": messages})
    return 0 if row is None else int(row[0]) - messages + 1


async def join_waiting(transaction: Transaction, thread_id: str) -> None:
    """Put the messages that waited for a run to end into the thread, whose row this transaction holds."""
    joining = await waiting.of_thread(transaction, thread_id)
    if not joining:
        return
    first = await take_positions(transaction, thread_id, len(joining))
    for position, (id, body) in enumerate(joining, start=first):
        await insert(transaction, thread_id, position, id, body)
    await waiting.forget(transaction, thread_id)


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
    if row is None:
        if one := await waiting.get(transaction, project_id, thread_id, id):
            return one.body
        row = await transaction.one(GET, params)  # it may have joined between the two
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("message", id)
    return str(row[0])


async def require_thread(transaction: Transaction, project_id: str, thread_id: str) -> None:
    params: Params = {"thread_id": thread_id, "project_id": project_id}
    if await transaction.one(THREAD_IS_THERE, params) is None:
        raise NotFound("thread", thread_id)


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
        if one := await waiting.lock(transaction, project_id, thread_id, id):
            return Locked(thread_id, one.position, one.body, waits=True)
        row = await transaction.one(LOCK, params)
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("message", id)
    return Locked(thread_id, row[0], row[1])


UPDATE = "UPDATE messages SET body = :body WHERE thread_id = :thread_id AND position = :position"


async def update(transaction: Transaction, locked: Locked, body: str) -> None:
    """Replace the body of a locked message."""
    if locked.waits:
        await waiting.update(transaction, locked.thread_id, locked.position, body)
        return
    await transaction.run(UPDATE, {"thread_id": locked.thread_id, "position": locked.position, "body": body})


DELETE = "DELETE FROM messages WHERE thread_id = :thread_id AND position = :position"


async def delete(transaction: Transaction, locked: Locked, id: str) -> None:
    """Remove a locked message, leaving its id and its place for cursors."""
    thread_id, position = locked.thread_id, locked.position
    if locked.waits:
        await waiting.delete(transaction, thread_id, position)
        position = await take_positions(transaction, thread_id, 1)  # the place it would have now
    else:
        await transaction.run(DELETE, {"thread_id": thread_id, "position": position})
    await tombstones.bury(transaction, thread_id, id, position)
    await tombstones.forget(transaction, id)


SHIFT_FILE_PLACES = """
    UPDATE tombstones SET position = position - 1 WHERE parent_id = :message_id AND position > :place
"""


async def bury_file(transaction: Transaction, message_id: str, file_id: str, place: int) -> None:
    """Leave the id of a file that was taken from a message; `place` counts the files before it."""
    await transaction.run(SHIFT_FILE_PLACES, {"message_id": message_id, "place": place})
    await tombstones.bury(transaction, message_id, file_id, place)


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


async def forget_thread(transaction: Transaction, thread_id: str) -> None:
    """Remove what the deleted messages of a thread that is gone left behind, and those that waited."""
    await tombstones.forget(transaction, thread_id)
    await waiting.forget(transaction, thread_id)
