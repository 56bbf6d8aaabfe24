"""Rows of runs. Their claims are in `runs.claims`, their steps in `runs.steps`."""

from msgspec import Struct

from threadkeep.errors import NotFound, ThreadHasActiveRun
from threadkeep.ids import above
from threadkeep.paging import Page, PageQuery, by_id, cut, page_text
from threadkeep.runs.model import Claim, Job, Run, job_of, run_of, text_of
from threadkeep.storage.database import Params, Row, Transaction

INSERT = """
    INSERT INTO runs (id, project_id, thread_id, status, owner, attempt, due_at, job, body)
    VALUES (:id, :project_id, :thread_id, :status, :owner, 1, :due_at, :job, :body)
"""


async def insert(
    transaction: Transaction, project_id: str, run: Run, job: Job, owner: str | None, due_at: int
) -> Claim | None:
    """A new run; with `owner` it is that process's from the start, until `due_at`."""
    await transaction.run(
        INSERT,
        {
            "id": run.id,
            "project_id": project_id,
            "thread_id": run.thread_id,
            "status": run.status,
            "owner": owner,
            "due_at": due_at,
            "job": text_of(job),
            "body": text_of(run),
        },
    )
    return None if owner is None else Claim(run.id, owner, 1)


LOCK_THREAD = """
    UPDATE threads SET active_run_id = :run_id
    WHERE id = :thread_id AND project_id = :project_id AND active_run_id IS NULL
    RETURNING id
"""
ACTIVE_RUN = "SELECT active_run_id FROM threads WHERE id = :thread_id AND project_id = :project_id"
NEWEST = "SELECT id FROM runs WHERE thread_id = :thread_id ORDER BY id DESC LIMIT 1"
SET_ACTIVE = "UPDATE threads SET active_run_id = :run_id WHERE id = :thread_id"


async def lock_thread(transaction: Transaction, project_id: str, thread_id: str, run_id: str) -> str:
    """Make a new run the active one of its thread. Returns the id that the run gets: `run_id`, or one above
    those of the runs before it, where their servers' clocks are ahead of ours. Raises `NotFound` for the
    thread, `ThreadHasActiveRun`."""
    params: Params = {"thread_id": thread_id, "project_id": project_id, "run_id": run_id}
    while await transaction.one(LOCK_THREAD, params) is None:
        row = await transaction.one(ACTIVE_RUN, params)
        if row is None:
            raise NotFound("thread", thread_id)
        if row[0] is not None:  # else the other one was over just now
            raise ThreadHasActiveRun(thread_id, row[0])
    newest = await transaction.one(NEWEST, params)
    id = above(run_id, newest[0]) if newest else run_id
    if id != run_id:
        await transaction.run(SET_ACTIVE, {**params, "run_id": id})
    return id


GET = """
    SELECT r.body FROM runs r JOIN threads t ON t.id = r.thread_id
    WHERE r.id = :id AND r.thread_id = :thread_id AND t.project_id = :project_id
"""
THREAD_IS_THERE = "SELECT 1 FROM threads WHERE id = :thread_id AND project_id = :project_id"


async def get(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Run:
    """One run. Raises `NotFound` for the thread or the run."""
    params: Params = {"id": id, "thread_id": thread_id, "project_id": project_id}
    row = await transaction.one(GET, params)
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("run", id)
    return run_of(row[0])


async def require_thread(transaction: Transaction, project_id: str, thread_id: str) -> None:
    if await transaction.one(THREAD_IS_THERE, {"thread_id": thread_id, "project_id": project_id}) is None:
        raise NotFound("thread", thread_id)


# Setting a column to itself takes the row's lock before it is read, on engines that lock rows.
LOCK = """
    UPDATE runs SET attempt = attempt
    WHERE id = :id AND thread_id = :thread_id
    AND thread_id IN (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    RETURNING body, owner, attempt, due_at, job
"""
LOCK_ACTIVE = """
    UPDATE runs SET attempt = attempt
    WHERE id = (SELECT active_run_id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    RETURNING body, owner, attempt, due_at, job
"""


class Locked(Struct, frozen=True):
    """A run's row, held until the transaction ends."""

    run: Run
    owner: str | None
    attempt: int
    due_at: int | None
    job: Job


def locked(row: Row) -> Locked:
    body, owner, attempt, due_at, job = row
    return Locked(run_of(body), owner, attempt, due_at, job_of(job))


async def lock(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Locked:
    """One run, to be changed. Raises `NotFound` for the thread or the run."""
    row = await transaction.one(LOCK, {"id": id, "thread_id": thread_id, "project_id": project_id})
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("run", id)
    return locked(row)


async def lock_active(transaction: Transaction, project_id: str, thread_id: str) -> Locked | None:
    """The run of a thread that is not over, to be changed; None where there is none."""
    row = await transaction.one(LOCK_ACTIVE, {"thread_id": thread_id, "project_id": project_id})
    return None if row is None else locked(row)


UPDATE = """
    UPDATE runs SET status = :status, owner = :owner, attempt = :attempt, due_at = :due_at, body = :body
    WHERE id = :id
"""


async def update(
    transaction: Transaction, run: Run, owner: str | None, attempt: int, due_at: int | None
) -> None:
    """Store a changed run that this transaction has locked."""
    await transaction.run(
        UPDATE,
        {
            "id": run.id,
            "status": run.status,
            "owner": owner,
            "attempt": attempt,
            "due_at": due_at,
            "body": text_of(run),
        },
    )


REWRITE = "UPDATE runs SET body = :body WHERE id = :id"


async def rewrite(transaction: Transaction, run: Run) -> None:
    """Store a run that this transaction has locked, and that did not move."""
    await transaction.run(REWRITE, {"id": run.id, "body": text_of(run)})


_OF_THREAD = """
    SELECT body FROM runs
    WHERE thread_id = (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
"""


async def page(transaction: Transaction, project_id: str, thread_id: str, query: PageQuery) -> Page[Run]:
    """One page of a thread's runs. Raises `NotFound` for the thread or a cursor."""
    for cursor in (query.after, query.before):
        if cursor is not None:
            await get(transaction, project_id, thread_id, cursor)
    sql = page_text(_OF_THREAD, "id", query.walks_down)
    rows = await transaction.all(sql, {"thread_id": thread_id, "project_id": project_id, **by_id(query)})
    if not rows:
        await require_thread(transaction, project_id, thread_id)
    return cut(query, [run_of(row[0]) for row in rows], lambda run: run.id)


SOME = "SELECT id FROM runs WHERE thread_id = :thread_id ORDER BY id LIMIT :rows"
DELETE_STEPS = "DELETE FROM run_steps WHERE run_id = :run_id"
DELETE = "DELETE FROM runs WHERE id = :run_id"


async def delete_some(transaction: Transaction, thread_id: str, rows: int) -> bool:
    """Remove runs of a thread that is gone; whether any were left to remove.

    The run goes before its steps, in the order in which whoever works it locks and writes them: so neither
    waits for the other in a circle, and no step is written after the others were removed.
    """
    some = await transaction.all(SOME, {"thread_id": thread_id, "rows": rows})
    for row in some:
        await transaction.run(DELETE, {"run_id": row[0]})
        await transaction.run(DELETE_STEPS, {"run_id": row[0]})
    return bool(some)
