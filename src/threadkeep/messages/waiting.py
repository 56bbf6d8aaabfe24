"""Messages that wait for a run of their thread to end, before they join it.

Whoever touches what waits holds the thread's row (`hold`), so that nothing can be added to it, changed or
removed while it joins the thread.
"""

from msgspec import Struct

from threadkeep.storage.database import Params, Transaction

# Setting a column to itself takes the row's lock.
HOLD = """
    UPDATE threads SET active_run_id = active_run_id
    WHERE id = :thread_id AND project_id = :project_id AND active_run_id IS NOT NULL
    RETURNING id
"""


async def hold(transaction: Transaction, project_id: str, thread_id: str) -> bool:
    """Lock a thread's row; False, where no run of it goes on for which a message could wait."""
    return await transaction.one(HOLD, {"thread_id": thread_id, "project_id": project_id}) is not None


ADD = """
    INSERT INTO waiting_messages (thread_id, position, id, body)
    SELECT CAST(:thread_id AS TEXT), COALESCE(MAX(position), 0) + 1, CAST(:id AS TEXT), CAST(:body AS TEXT)
    FROM waiting_messages WHERE thread_id = :thread_id
"""


async def add(transaction: Transaction, thread_id: str, id: str, body: str) -> None:
    """Have a message wait, behind those that do."""
    await transaction.run(ADD, {"thread_id": thread_id, "id": id, "body": body})


class Waiting(Struct, frozen=True):
    """A message that waits: its place among the thread's waiting ones, and its JSON text."""

    position: int
    body: str


GET = """
    SELECT w.position, w.body FROM waiting_messages w JOIN threads t ON t.id = w.thread_id
    WHERE w.id = :id AND w.thread_id = :thread_id AND t.project_id = :project_id
"""


async def get(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Waiting | None:
    """One that waits, if it does."""
    params: Params = {"id": id, "thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(GET, params)
    return None if row is None else Waiting(row[0], row[1])


async def lock(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Waiting | None:
    """Likewise, to be changed."""
    if await get(transaction, project_id, thread_id, id) is None:
        return None
    await hold(transaction, project_id, thread_id)
    return await get(transaction, project_id, thread_id, id)


UPDATE = "UPDATE waiting_messages SET body = :body WHERE thread_id = :thread_id AND position = :position"


async def update(transaction: Transaction, thread_id: str, position: int, body: str) -> None:
    """Replace the body of one that is locked."""
    await transaction.run(UPDATE, {"thread_id": thread_id, "position": position, "body": body})


DELETE = "DELETE FROM waiting_messages WHERE thread_id = :thread_id AND position = :position"


async def delete(transaction: Transaction, thread_id: str, position: int) -> None:
    """Remove one that is locked."""
    await transaction.run(DELETE, {"thread_id": thread_id, "position": position})


ALL = "SELECT id, body FROM waiting_messages WHERE thread_id = :thread_id ORDER BY position"


async def of_thread(transaction: Transaction, thread_id: str) -> list[tuple[str, str]]:
    """Ids and bodies of those that wait, in their order."""
    return [(row[0], row[1]) for row in await transaction.all(ALL, {"thread_id": thread_id})]


FORGET = "DELETE FROM waiting_messages WHERE thread_id = :thread_id"


async def forget(transaction: Transaction, thread_id: str) -> None:
    """Remove all that wait for a thread."""
    await transaction.run(FORGET, {"thread_id": thread_id})
