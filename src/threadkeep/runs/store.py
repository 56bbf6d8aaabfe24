"""Rows of runs, of their steps, and of the messages that wait for a run to end.

A run's row is also the job of working it. `due_at` says when a process should next look at it: now for
a queued run that nobody works, the end of the lease for one that is worked, its expiry for one that
waits for its client; null once it is over. `owner` and `attempt` name one claim: whoever writes for a
run names the claim, so that a process which has lost it can write nothing any more.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from threadkeep.errors import NotFound, ThreadHasActiveRun
from threadkeep.paging import FIRST, LAST, Page, PageQuery, between, cut
from threadkeep.runs.model import Claim, Job, Run, RunStep, job_of, run_of, step_of, text_of
from threadkeep.storage.database import Params, Transaction, Value

CHANNEL = "threadkeep_runs"
"""Woken whenever a run was made, moved or handed over."""
ABANDONED = "threadkeep_runs_abandoned"
"""Woken too when a run is cancelled since its thread was deleted: its row may be gone before whoever works it
has looked."""


class Worked(Struct, frozen=True):
    """A run as it was claimed."""

    claim: Claim
    project_id: str
    run: Run
    job: Job


# ---------------------------------------------------------------- runs

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
UNLOCK_THREAD = """
    UPDATE threads SET active_run_id = NULL WHERE id = :thread_id AND active_run_id = :run_id
    RETURNING project_id
"""
ACTIVE_RUN = "SELECT active_run_id FROM threads WHERE id = :thread_id AND project_id = :project_id"


async def lock_thread(transaction: Transaction, project_id: str, thread_id: str, run_id: str) -> None:
    """Make a run the active one of its thread. Raises `NotFound` for the thread, `ThreadHasActiveRun`."""
    params: Params = {"thread_id": thread_id, "project_id": project_id, "run_id": run_id}
    while await transaction.one(LOCK_THREAD, params) is None:
        row = await transaction.one(ACTIVE_RUN, params)
        if row is None:
            raise NotFound("thread", thread_id)
        if row[0] is not None:  # else the other one was over just now
            raise ThreadHasActiveRun(thread_id, row[0])


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
    RETURNING body, owner, attempt, due_at
"""
LOCK_ACTIVE = """
    UPDATE runs SET attempt = attempt
    WHERE id = (SELECT active_run_id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    RETURNING body, owner, attempt, due_at
"""


class Locked(Struct, frozen=True):
    """A run's row, held until the transaction ends."""

    run: Run
    owner: str | None
    attempt: int
    due_at: int | None


async def lock(transaction: Transaction, project_id: str, thread_id: str, id: str) -> Locked:
    """One run, to be changed. Raises `NotFound` for the thread or the run."""
    row = await transaction.one(LOCK, {"id": id, "thread_id": thread_id, "project_id": project_id})
    if row is None:
        await require_thread(transaction, project_id, thread_id)
        raise NotFound("run", id)
    return Locked(run_of(row[0]), *row[1:])


async def lock_active(transaction: Transaction, project_id: str, thread_id: str) -> Locked | None:
    """The run of a thread that is not over, to be changed; None where there is none."""
    row = await transaction.one(LOCK_ACTIVE, {"thread_id": thread_id, "project_id": project_id})
    return None if row is None else Locked(run_of(row[0]), *row[1:])


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


# ---------------------------------------------------------------- claims

DUE = """
    SELECT id FROM runs WHERE due_at IS NOT NULL AND due_at <= :now
    ORDER BY due_at, id LIMIT :rows
"""
CLAIM = """
    UPDATE runs SET owner = :owner, attempt = attempt + 1, due_at = :until
    WHERE id = :id AND due_at <= :now
    RETURNING attempt, project_id, body, job
"""
RENEW = """
    UPDATE runs SET due_at = :until WHERE id = :id AND owner = :owner AND attempt = :attempt
    RETURNING status
"""
RELEASE = """
    UPDATE runs SET owner = NULL, due_at = :now WHERE id = :id AND owner = :owner AND attempt = :attempt
"""
HELD = """
    UPDATE runs SET attempt = attempt WHERE id = :id AND owner = :owner AND attempt = :attempt
    RETURNING body
"""


async def due(transaction: Transaction, now: int, rows: int) -> list[str]:
    """Runs that somebody should look at."""
    return [row[0] for row in await transaction.all(DUE, {"now": now, "rows": rows})]


async def claim(transaction: Transaction, id: str, owner: str, now: int, until: int) -> Worked | None:
    """Take a run that is due; None where another process was quicker."""
    row = await transaction.one(CLAIM, {"id": id, "owner": owner, "now": now, "until": until})
    if row is None:
        return None
    return Worked(Claim(id, owner, row[0]), row[1], run_of(row[2]), job_of(row[3]))


def of_claim(claim: Claim) -> dict[str, Value | list[Value]]:
    return {"id": claim.run_id, "owner": claim.owner, "attempt": claim.attempt}


async def renew(transaction: Transaction, claim: Claim, until: int) -> str | None:
    """Prolong a claim; the run's status, or None where the claim is lost."""
    row = await transaction.one(RENEW, {**of_claim(claim), "until": until})
    return None if row is None else str(row[0])


async def release(transaction: Transaction, claim: Claim, now: int) -> None:
    """Let any process have a run that is not over, from now on; nothing where the claim is lost."""
    await transaction.run(RELEASE, {**of_claim(claim), "now": now})
    await transaction.wake(CHANNEL)


async def held(transaction: Transaction, claim: Claim) -> Run | None:
    """The run of a claim, locked; None where the claim is lost."""
    row = await transaction.one(HELD, of_claim(claim))
    return None if row is None else run_of(row[0])


CANCELLING = "SELECT id FROM runs WHERE status = 'cancelling'"


async def cancelling(transaction: Transaction) -> set[str]:
    """Every run that is to be cancelled, whoever works it."""
    return {row[0] for row in await transaction.all(CANCELLING, {})}


CLAIMED = """
    SELECT project_id, body, job FROM runs WHERE id = :id AND owner = :owner AND attempt = :attempt
"""


async def claimed(transaction: Transaction, claim: Claim) -> Worked | None:
    """The run of a claim; None where the claim is lost."""
    row = await transaction.one(CLAIMED, of_claim(claim))
    return None if row is None else Worked(claim, row[0], run_of(row[1]), job_of(row[2]))


DUE_TO_END = """
    SELECT id FROM runs
    WHERE due_at IS NOT NULL AND due_at <= :now
    AND (status IN ('requires_action', 'cancelling') OR due_at <= :long_ago)
    ORDER BY due_at, id LIMIT :rows
"""


async def due_to_end(transaction: Transaction, now: int, long_ago: int, rows: int) -> list[str]:
    """Those of the due runs that need no model: they are to be cancelled, or have expired, as all have that
    were due so long ago."""
    params: Params = {"now": now, "long_ago": long_ago, "rows": rows}
    return [row[0] for row in await transaction.all(DUE_TO_END, params)]


MOST_AT_ONCE = 50
"""Runs that one statement names. Where there are fewer, the last one is named again, so that there is one
text to prepare."""
_NAMED = ", ".join(f":id{number}" for number in range(MOST_AT_ONCE))
RENEW_MANY = f"""
    UPDATE runs SET due_at = :until WHERE owner = :owner AND due_at IS NOT NULL AND id IN ({_NAMED})
    RETURNING id, attempt
"""
STANDING = f"SELECT id, status, attempt FROM runs WHERE id IN ({_NAMED})"


def named(ids: Sequence[str]) -> Iterator[dict[str, Value | list[Value]]]:
    """Parameters that name these runs, for as many statements as it takes."""
    for start in range(0, len(ids), MOST_AT_ONCE):
        some = ids[start : start + MOST_AT_ONCE]
        yield {f"id{number}": some[min(number, len(some) - 1)] for number in range(MOST_AT_ONCE)}


async def renew_many(transaction: Transaction, claims: Sequence[Claim], until: int) -> set[Claim]:
    """Prolong claims of one owner; those that are lost."""
    attempts: dict[str, int] = {}
    for params in named([claim.run_id for claim in claims]):
        rows = await transaction.all(RENEW_MANY, {**params, "owner": claims[0].owner, "until": until})
        attempts.update((row[0], row[1]) for row in rows)
    return {claim for claim in claims if attempts.get(claim.run_id) != claim.attempt}


class Standing(Struct, frozen=True):
    """How far a run is."""

    status: str
    attempt: int


async def standing(transaction: Transaction, ids: Sequence[str]) -> dict[str, Standing]:
    """How far runs are, whosever they are; those that are gone are left out."""
    found: dict[str, Standing] = {}
    for params in named(ids):
        found.update((row[0], Standing(row[1], row[2])) for row in await transaction.all(STANDING, params))
    return found


# ---------------------------------------------------------------- lists

_PAGE = """
    SELECT r.body, r.id FROM runs r
    WHERE r.thread_id = (SELECT id FROM threads WHERE id = :thread_id AND project_id = :project_id)
    AND r.id > :low AND r.id < :high
"""
PAGE_UP = _PAGE + "ORDER BY r.id LIMIT :rows"
PAGE_DOWN = _PAGE + "ORDER BY r.id DESC LIMIT :rows"
BEFORE_ALL, AFTER_ALL = "", "~"


async def page(transaction: Transaction, project_id: str, thread_id: str, query: PageQuery) -> Page[Run]:
    """One page of a thread's runs. Raises `NotFound` for the thread or a cursor."""
    for cursor in (query.after, query.before):
        if cursor is not None:
            await get(transaction, project_id, thread_id, cursor)
    low, high = between(query, query.after, query.before, BEFORE_ALL, AFTER_ALL)
    params: Params = {
        "thread_id": thread_id,
        "project_id": project_id,
        "low": low,
        "high": high,
        "rows": query.limit + 1,
    }
    rows = await transaction.all(PAGE_DOWN if query.walks_down else PAGE_UP, params)
    if not rows:
        await require_thread(transaction, project_id, thread_id)
    return cut(query, [run_of(row[0]) for row in rows], lambda run: run.id)


# ---------------------------------------------------------------- steps

ADD_STEP = """
    INSERT INTO run_steps (run_id, position, id, body)
    SELECT CAST(:run_id AS TEXT), COALESCE(MAX(position), 0) + 1, CAST(:id AS TEXT), CAST(:body AS TEXT)
    FROM run_steps WHERE run_id = :run_id
"""
UPDATE_STEP = "UPDATE run_steps SET body = :body WHERE run_id = :run_id AND id = :id RETURNING id"


async def put_step(transaction: Transaction, step: RunStep) -> None:
    """Store a step, new or changed, of a run that this transaction has locked."""
    params: Params = {"run_id": step.run_id, "id": step.id, "body": text_of(step)}
    if await transaction.one(UPDATE_STEP, params) is None:
        await transaction.run(ADD_STEP, params)


STEPS = "SELECT body FROM run_steps WHERE run_id = :run_id ORDER BY position"


async def steps(transaction: Transaction, run_id: str) -> list[RunStep]:
    """Every step of a run, the first one first."""
    return [step_of(row[0]) for row in await transaction.all(STEPS, {"run_id": run_id})]


GET_STEP = "SELECT body, position FROM run_steps WHERE run_id = :run_id AND id = :id"
_STEP_PAGE = "SELECT body FROM run_steps WHERE run_id = :run_id AND position > :low AND position < :high\n"
STEP_PAGE_UP = _STEP_PAGE + "ORDER BY position LIMIT :rows"
STEP_PAGE_DOWN = _STEP_PAGE + "ORDER BY position DESC LIMIT :rows"


async def get_step(transaction: Transaction, run_id: str, id: str) -> RunStep:
    """One step of a run that is the caller's. Raises `NotFound`."""
    return (await step_at(transaction, run_id, id))[0]


async def step_at(transaction: Transaction, run_id: str, id: str) -> tuple[RunStep, int]:
    """One step and its place among the run's. Raises `NotFound`."""
    row = await transaction.one(GET_STEP, {"run_id": run_id, "id": id})
    if row is None:
        raise NotFound("run step", id)
    return step_of(row[0]), row[1]


async def place_of_step(transaction: Transaction, run_id: str, cursor: str | None) -> int | None:
    return None if cursor is None else (await step_at(transaction, run_id, cursor))[1]


async def page_of_steps(transaction: Transaction, run_id: str, query: PageQuery) -> Page[RunStep]:
    """One page of the steps of a run that is the caller's. Raises `NotFound` for a cursor."""
    after = await place_of_step(transaction, run_id, query.after)
    before = await place_of_step(transaction, run_id, query.before)
    low, high = between(query, after, before, FIRST, LAST)
    params: Params = {"run_id": run_id, "low": low, "high": high, "rows": query.limit + 1}
    rows = await transaction.all(STEP_PAGE_DOWN if query.walks_down else STEP_PAGE_UP, params)
    return cut(query, [step_of(row[0]) for row in rows], lambda step: step.id)


# ---------------------------------------------------------------- what a thread that is gone leaves

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
