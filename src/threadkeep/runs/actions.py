"""Writes to runs that keep a rule. What the work on a run writes is in `runs.progress`.

Where a run is to be worked from then on, `owner` is the process that will (`Runner.owner`), and what is
returned has its claim, to be adopted once the transaction is committed. Without an owner any process
takes the run.
"""

import msgspec
from msgspec import Struct

from threadkeep.assistants import store as assistants
from threadkeep.context import Context
from threadkeep.errors import (
    Invalid,
    NoOutputsExpected,
    NothingToRun,
    Problem,
    RunNotCancellable,
    RunNotModifiable,
    WrongOutputs,
)
from threadkeep.files import store as files
from threadkeep.messages import store as messages
from threadkeep.messages.actions import attach
from threadkeep.messages.model import Message, message_of
from threadkeep.messages.model import created as created_message
from threadkeep.metadata import Metadata, updated
from threadkeep.runs import claims, progress, steps, store
from threadkeep.runs.model import (
    Claim,
    Job,
    NewRun,
    NewThreadAndRun,
    Run,
    RunStep,
    Start,
    ToolOutputs,
    completed_by,
    created,
    moved,
)
from threadkeep.storage.database import Transaction
from threadkeep.storage.within import Within
from threadkeep.threads import actions as threads

ROWS = 50
"""Messages looked into at a time, in search of one by a user."""


class Started(Struct, frozen=True):
    """A run that is queued, and the claim on it if it is this process's."""

    start: Start
    claim: Claim | None

    @property
    def run(self) -> Run:
        return self.start.run


class Cancelled(Struct, frozen=True):
    """A run that is to be cancelled, and the claim on it if this process is to do so."""

    run: Run
    claim: Claim | None


# ---------------------------------------------------------------- create


async def create(
    context: Context, project_id: str, thread_id: str, new: NewRun, job: Job, owner: str | None
) -> Started:
    """A new run on a thread, which it locks, with its additional messages: all of it or nothing.

    Raises `NotFound` for thread, assistant and files, `ThreadHasActiveRun`, `NothingToRun`, and `Invalid`
    past the thread's limit of messages.
    """
    now = context.now()
    id = context.new_id("run_")
    added = [created_message(one, context.new_id("msg_"), thread_id, now) for one in new.additional_messages]
    due_at = now if owner is None else context.runner.lease_until()

    async def work(transaction: Transaction) -> Started:
        await store.require_thread(transaction, project_id, thread_id)
        assistant = await assistants.stored(transaction, project_id, new.assistant_id)
        named = [id for one in new.additional_messages for id in one.file_ids()]
        await files.require(transaction, project_id, named + new.tool_resources.code_files(), now)
        await threads.require_stores(transaction, project_id, new.tool_resources, now)
        run_id = await store.lock_thread(transaction, project_id, thread_id, id)
        run = created(new, assistant, run_id, thread_id, now, now + context.settings.run_expires_after)
        await add(context, transaction, project_id, thread_id, added)
        if new.needs_something_to_say and not (run.instructions or added):
            await require_user_message(transaction, thread_id)
        claim = await store.insert(transaction, project_id, run, job, owner, due_at)
        await transaction.wake(claims.CHANNEL)
        return Started(Start(run, include_search_content=job.include_search_content), claim)

    return await context.database.write(work)


async def add(
    context: Context,
    transaction: Transaction,
    project_id: str,
    thread_id: str,
    made: list[Message],
) -> None:
    """Append a run's additional messages to its thread; the transaction has locked it and their files."""
    if not made:
        return
    for message in made:
        await progress.append(transaction, message)
    await attach(context, transaction, project_id, thread_id, made)
    limit = context.settings.max_messages_per_thread
    if limit and limit < await messages.count(transaction, thread_id):
        raise Invalid(Problem((), "thread_full", limit=limit))


async def require_user_message(transaction: Transaction, thread_id: str) -> None:
    """A thread in which no user has said anything leaves a model nothing to answer."""
    position = 0
    while some := await messages.some_of_clients(transaction, thread_id, position, ROWS):
        if any(message_of(body).role == "user" for _, body in some):
            return
        position = some[-1][0]
    raise NothingToRun(thread_id)


async def create_with_thread(
    context: Context, project_id: str, new: NewThreadAndRun, job: Job, owner: str | None
) -> Started:
    """A new thread, its messages and a run on it, all of it or nothing. Raises as `create` does."""

    async def work(transaction: Transaction) -> Started:
        inner = msgspec.structs.replace(context, database=Within(transaction))
        thread = await threads.create(inner, project_id, new.thread)
        started = await create(inner, project_id, thread.id, new.run, job, owner)
        return Started(Start(started.run, thread=thread), started.claim)

    return await context.database.write(work)


# ---------------------------------------------------------------- change


async def modify(
    context: Context, project_id: str, thread_id: str, id: str, metadata: Metadata | None
) -> Run:
    """Change a run's metadata (None leaves it). Raises `NotFound`, and `RunNotModifiable` while it is
    in progress."""

    async def work(transaction: Transaction) -> Run:
        run = (await store.lock(transaction, project_id, thread_id, id)).run
        if run.status == "in_progress":
            raise RunNotModifiable(run.status)
        if metadata is None:
            return run
        left = updated(context.settings.metadata_update, run.metadata, metadata)
        run = msgspec.structs.replace(run, metadata=left)
        await store.rewrite(transaction, run)
        return run

    return await context.database.write(work)


async def cancel(context: Context, project_id: str, thread_id: str, id: str, owner: str | None) -> Cancelled:
    """Have a run cancelled, by the process that works it or, where none does, by `owner`.

    A run that is being cancelled is left at that. Raises `NotFound` and `RunNotCancellable`.
    """
    now, until = context.now(), context.runner.lease_until()

    async def work(transaction: Transaction) -> Cancelled:
        locked = await store.lock(transaction, project_id, thread_id, id)
        if locked.run.is_over:
            raise RunNotCancellable(locked.run.status)
        if locked.run.status == "cancelling":
            return Cancelled(locked.run, None)
        return Cancelled(*await progress.cancel(transaction, locked, owner, now, until))

    return await context.database.write(work)


async def submit_tool_outputs(
    context: Context, project_id: str, thread_id: str, id: str, given: ToolOutputs, owner: str | None
) -> Started:
    """Complete the step that waits for a client's functions, and queue its run again.

    Raises `NotFound`, `NoOutputsExpected`, and `WrongOutputs` unless there is one for each call.
    """
    now = context.now()
    due_at = now if owner is None else context.runner.lease_until()

    async def work(transaction: Transaction) -> Started:
        locked = await store.lock(transaction, project_id, thread_id, id)
        require_outputs(locked.run, given)
        run = moved(locked.run, "queued", required_action=None)
        step = await complete_open_step(transaction, run, given, now)
        claim = None if owner is None else Claim(run.id, owner, locked.attempt + 1)
        await store.update(transaction, run, owner, locked.attempt + 1, due_at)
        await transaction.wake(claims.CHANNEL)
        start = Start(run, step=step, include_search_content=locked.job.include_search_content)
        return Started(start, claim)

    return await context.database.write(work)


def require_outputs(run: Run, given: ToolOutputs) -> None:
    """Every call that the run waits for has one output, and no other call has any."""
    if run.status != "requires_action" or run.required_action is None:
        raise NoOutputsExpected(run.status)
    expected = [call.id for call in run.required_action.submit_tool_outputs.tool_calls]
    ids = [one.tool_call_id for one in given.outputs]
    if sorted(expected) != sorted(ids):
        raise WrongOutputs(tuple(expected), tuple(ids))


async def complete_open_step(transaction: Transaction, run: Run, given: ToolOutputs, now: int) -> RunStep:
    """Put the outputs into the step that asked for them."""
    (step,) = (one for one in await steps.of_run(transaction, run.id) if one.status == "in_progress")
    step = completed_by(step, given, now)
    await steps.put(transaction, step)
    return step
