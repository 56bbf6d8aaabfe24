"""How the work on a run is written down: each function is one transaction, or part of one.

Whoever works a run names its claim. A claim that is lost (`Lost`) means that another process has the
run, that it was deleted with its thread, or that it is over: the worker then stops without a word.
"""

from collections.abc import Sequence

import msgspec

from threadkeep.context import Context
from threadkeep.errors import ThreadkeepError
from threadkeep.messages import store as messages
from threadkeep.messages.model import Message, body_of
from threadkeep.runs import claims, store
from threadkeep.runs import steps as run_steps
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import Claim, Run, RunStep, moved
from threadkeep.runs.store import Locked
from threadkeep.storage.database import Transaction


class Lost(ThreadkeepError):
    """The claim is another's, or there is no such run any more."""


class Cancelled(ThreadkeepError):
    """The run is to be cancelled: `run` is as it stands."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.id)
        self.run = run


async def claim(context: Context, run_id: str, owner: str, until: int) -> Worked | None:
    """Take a run that is due; None where another process was quicker."""

    async def work(transaction: Transaction) -> Worked | None:
        return await claims.claim(transaction, run_id, owner, context.now(), until)

    return await context.database.write(work)


async def release(context: Context, claim: Claim) -> None:
    """Hand a run over to whoever takes it."""

    async def work(transaction: Transaction) -> None:
        await claims.release(transaction, claim, context.now())

    await context.database.write(work)


async def cancel(
    transaction: Transaction, locked: Locked, owner: str | None, now: int, until: int
) -> tuple[Run, Claim | None]:
    """Have a locked run cancelled by whoever works it. One that nobody works is `owner`'s `until` then."""
    run = moved(locked.run, "cancelling", required_action=None)
    claim = None
    if locked.owner is not None:
        await store.update(transaction, run, locked.owner, locked.attempt, locked.due_at)
    elif owner is None:
        await store.update(transaction, run, None, locked.attempt, now)
    else:
        claim = Claim(run.id, owner, locked.attempt + 1)
        await store.update(transaction, run, owner, claim.attempt, until)
    await transaction.wake(claims.CHANNEL)
    return run, claim


async def abandon(transaction: Transaction, project_id: str, thread_id: str, now: int) -> None:
    """Have the active run of a thread that is about to be deleted cancelled, if there is one.

    The run's row is locked before the thread's, as everywhere.
    """
    locked = await store.lock_active(transaction, project_id, thread_id)
    if locked and locked.run.status != "cancelling" and not locked.run.is_over:
        await cancel(transaction, locked, None, now, now)
        await transaction.wake(claims.ABANDONED)


async def record(
    context: Context,
    claim: Claim,
    after: Run,
    *,
    new_messages: Sequence[Message] = (),
    steps: Sequence[RunStep] = (),
    due_at: int | None,
) -> Run:
    """Write down what a worker has done, all of it or nothing, and the run as it is now, which is returned.

    `after` is the run as the worker moved it from what it knew (`runs.model.moved`). `due_at` is the end of
    the lease where the worker goes on, the run's expiry where it waits for its client, None where it is
    over; in the last two cases the claim ends. Raises `Lost`, and `Cancelled` where somebody asked for
    that meanwhile and `after` is no answer to it; nothing is written then.
    """

    async def work(transaction: Transaction) -> Run:
        run = await claims.held(transaction, claim)
        if run is None:
            raise Lost
        if run.status != after.status:
            if run.status == "cancelling" and after.status not in ("cancelled", "expired"):
                raise Cancelled(run)
            moved(run, after.status)
        goes_on = after.status in ("in_progress", "queued", "cancelling")
        for message in new_messages:
            await append(transaction, message)
        for step in steps:
            await run_steps.put(transaction, step)
        kept = msgspec.structs.replace(after, metadata=run.metadata)  # that is the API's to change
        await store.update(transaction, kept, claim.owner if goes_on else None, claim.attempt, due_at)
        if after.is_over:
            await unlock(transaction, after)
        await transaction.wake(claims.CHANNEL)
        return kept

    return await context.database.write(work)


TAKE_POSITION = """
    UPDATE threads SET last_position = last_position + 1 WHERE id = :thread_id RETURNING last_position
"""


async def append(transaction: Transaction, message: Message) -> None:
    """Put a run's message at the end of its thread, which the run has locked."""
    row = await transaction.one(TAKE_POSITION, {"thread_id": message.thread_id})
    if row is not None:  # else the thread was deleted meanwhile
        await messages.insert(
            transaction, message.thread_id, row[0], message.id, body_of(message), message.run_id
        )


UNLOCK_THREAD = """
    UPDATE threads SET active_run_id = NULL WHERE id = :thread_id AND active_run_id = :run_id
    RETURNING project_id
"""


async def unlock(transaction: Transaction, run: Run) -> None:
    """Open the thread again; messages that waited for the run's end join now."""
    row = await transaction.one(UNLOCK_THREAD, {"thread_id": run.thread_id, "run_id": run.id})
    if row is not None:
        await messages.join_waiting(transaction, run.thread_id)
