"""Rows of runs as jobs: who works them, and until when.

`due_at` says when a process should next look at a run: now for a queued run that nobody works, the end of
the lease for one that is worked, its expiry for one that waits for its client; null once it is over.
`owner` and `attempt` name one claim: whoever writes for a run names the claim, so that a process which has
lost it can write nothing any more.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from threadkeep.runs.model import Claim, Job, Run, job_of, run_of
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


DUE = """
    SELECT id FROM runs WHERE due_at IS NOT NULL AND due_at <= :now
    ORDER BY due_at, id LIMIT :rows
"""


async def due(transaction: Transaction, now: int, rows: int) -> list[str]:
    """Runs that somebody should look at."""
    return [row[0] for row in await transaction.all(DUE, {"now": now, "rows": rows})]


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


CLAIM = """
    UPDATE runs SET owner = :owner, attempt = attempt + 1, due_at = :until
    WHERE id = :id AND due_at <= :now
    RETURNING attempt, project_id, body, job
"""


async def claim(transaction: Transaction, id: str, owner: str, now: int, until: int) -> Worked | None:
    """Take a run that is due; None where another process was quicker."""
    row = await transaction.one(CLAIM, {"id": id, "owner": owner, "now": now, "until": until})
    if row is None:
        return None
    return Worked(Claim(id, owner, row[0]), row[1], run_of(row[2]), job_of(row[3]))


def of_claim(claim: Claim) -> dict[str, Value | list[Value]]:
    return {"id": claim.run_id, "owner": claim.owner, "attempt": claim.attempt}


CLAIMED = """
    SELECT project_id, body, job FROM runs WHERE id = :id AND owner = :owner AND attempt = :attempt
"""


async def claimed(transaction: Transaction, claim: Claim) -> Worked | None:
    """The run of a claim; None where the claim is lost."""
    row = await transaction.one(CLAIMED, of_claim(claim))
    return None if row is None else Worked(claim, row[0], run_of(row[1]), job_of(row[2]))


RELEASE = """
    UPDATE runs SET owner = NULL, due_at = :now WHERE id = :id AND owner = :owner AND attempt = :attempt
"""


async def release(transaction: Transaction, claim: Claim, now: int) -> None:
    """Let any process have a run that is not over, from now on; nothing where the claim is lost."""
    await transaction.run(RELEASE, {**of_claim(claim), "now": now})
    await transaction.wake(CHANNEL)


HELD = """
    UPDATE runs SET attempt = attempt WHERE id = :id AND owner = :owner AND attempt = :attempt
    RETURNING body
"""


async def held(transaction: Transaction, claim: Claim) -> Run | None:
    """The run of a claim, locked; None where the claim is lost."""
    row = await transaction.one(HELD, of_claim(claim))
    return None if row is None else run_of(row[0])


MOST_AT_ONCE = 50
"""Runs that one statement names. Where there are fewer, the last one is named again, so that there is one
text to prepare."""
_NAMED = ", ".join(f":id{number}" for number in range(MOST_AT_ONCE))


def named(ids: Sequence[str]) -> Iterator[dict[str, Value | list[Value]]]:
    """Parameters that name these runs, for as many statements as it takes."""
    for start in range(0, len(ids), MOST_AT_ONCE):
        some = ids[start : start + MOST_AT_ONCE]
        yield {f"id{number}": some[min(number, len(some) - 1)] for number in range(MOST_AT_ONCE)}


RENEW = f"""
    UPDATE runs SET due_at = :until WHERE owner = :owner AND due_at IS NOT NULL AND id IN ({_NAMED})
    RETURNING id, attempt
"""


async def renew(transaction: Transaction, claims: Sequence[Claim], until: int) -> set[Claim]:
    """Prolong claims of one owner; those that are lost."""
    attempts: dict[str, int] = {}
    for params in named([claim.run_id for claim in claims]):
        rows = await transaction.all(RENEW, {**params, "owner": claims[0].owner, "until": until})
        attempts.update((row[0], row[1]) for row in rows)
    return {claim for claim in claims if attempts.get(claim.run_id) != claim.attempt}


class Standing(Struct, frozen=True):
    """How far a run is."""

    status: str
    attempt: int


STANDING = f"SELECT id, status, attempt FROM runs WHERE id IN ({_NAMED})"


async def standing(transaction: Transaction, ids: Sequence[str]) -> dict[str, Standing]:
    """How far runs are, whosever they are; those that are gone are left out."""
    found: dict[str, Standing] = {}
    for params in named(ids):
        found.update((row[0], Standing(row[1], row[2])) for row in await transaction.all(STANDING, params))
    return found


CANCELLING = "SELECT id FROM runs WHERE status = 'cancelling'"


async def cancelling(transaction: Transaction) -> set[str]:
    """Every run that is to be cancelled, whoever works it."""
    return {row[0] for row in await transaction.all(CANCELLING, {})}
