"""One run as it is written down, in the hands of the process that works it."""

import logging
from collections.abc import Callable, Sequence

from threadkeep.context import Context
from threadkeep.engine.patience import Patience
from threadkeep.engine.turn import Closing, stored
from threadkeep.runs import claims, progress
from threadkeep.runs import steps as run_steps
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import Claim, Run, RunStep, Usage

Changed = Callable[[str, str], None]
"""Called with a run's id and its status when that has changed."""

NOTHING = Closing()
log = logging.getLogger(__name__)


class Record:
    """The run, its steps and what it is worked with, as far as they are known here. Every write names the
    claim, and is tried until the database takes it or the work is called off."""

    def __init__(
        self,
        context: Context,
        claim: Claim,
        patiently: Patience,
        changed: Changed,
        worked: Worked | None = None,
    ) -> None:
        self.claim = claim
        self.current = worked.run if worked else None
        """The run as it stands, None before it is read."""
        self.steps: list[RunStep] = []
        self._context, self._patiently, self._changed = context, patiently, changed
        self._worked = worked

    @property
    def run(self) -> Run:
        assert self.current is not None
        return self.current

    @property
    def worked(self) -> Worked:
        """The run as it was claimed."""
        assert self._worked is not None
        return self._worked

    @property
    def waiting(self) -> list[RunStep]:
        """Steps that are not over: their calls are the client's to carry out."""
        return [step for step in self.steps if step.status == "in_progress"]

    def usage(self, closing: Closing) -> Usage:
        """Of the whole run, once `closing` is written: the sum over its steps, none counted twice."""
        by_step = {step.id: step.usage for step in (*self.steps, *closing.steps)}
        return sum((usage for usage in by_step.values() if usage), Usage())

    # -------------------------------------------------------------- reading

    def doubt(self) -> None:
        """What is known from the claim may have changed since: `read` is to look again."""
        self._worked = None

    async def read(self) -> None:
        """Learn what is to be worked. Raises `Lost`."""

        async def read() -> tuple[Worked | None, list[RunStep]]:
            async with self._context.database.read() as transaction:
                worked = self._worked or await claims.claimed(transaction, self.claim)
                return worked, await run_steps.of_run(transaction, self.claim.run_id) if worked else []

        self._worked, self.steps = await self._patiently(read)
        if self._worked is None:
            raise progress.Lost
        self.current = self._worked.run

    async def is_gone(self) -> bool:
        """Whether the run was deleted, with its thread. Raises `Unavailable`."""
        async with self._context.database.read() as transaction:
            return not await claims.standing(transaction, [self.claim.run_id])

    # -------------------------------------------------------------- writing

    async def keep(self, closing: Closing) -> None:
        """Write down what is over of a run that goes on here. Raises as `write` does."""
        await self.write(self.run, closing, due_at=self._context.runner.lease_until())
        self.steps += closing.steps

    async def write(self, run: Run, closing: Closing = NOTHING, *, due_at: int | None) -> Run:
        """The run as it stands once that is durable. Raises `Lost` and `Cancelled`."""
        steps = [stored(step) for step in closing.steps]
        tried = False

        async def write() -> Run:
            nonlocal tried
            if tried and await self._is_written(run, steps):
                return run
            tried = True
            return await progress.record(
                self._context, self.claim, run, new_messages=closing.messages, steps=steps, due_at=due_at
            )

        self.current = await self._patiently(write)
        self._changed(run.id, run.status)
        log.info("event=run_%s run=%s thread=%s", run.status, run.id, run.thread_id)
        return self.current

    async def _is_written(self, run: Run, steps: Sequence[RunStep]) -> bool:
        """Whether an attempt that seemed to fail did not: a crash may leave that open."""
        async with self._context.database.read() as transaction:
            there = (await claims.standing(transaction, [run.id])).get(run.id)
            kept = {step.id: step.status for step in await run_steps.of_run(transaction, run.id)}
        if there is None or (there.status, there.attempt) != (run.status, self.claim.attempt):
            return False
        return all(kept.get(step.id) == step.status for step in steps)
