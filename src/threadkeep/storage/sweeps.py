"""Deletions that are finished later: planned in the transaction that makes them necessary, so that
no crash forgets them. Each kind's handler is given by `app`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from threadkeep.clock import Clock
from threadkeep.storage.database import Database, Params, Transaction

THREAD, BLOB, FILE = "thread", "blob", "file"
BATCH = 20
SECONDS_BETWEEN = 1.0
SECONDS_TO_RETRY = 60
"""How long something that could not be swept stands aside, so that the others get their turn."""
log = logging.getLogger(__name__)

Handler = Callable[[str], Awaitable[bool]]
"""Called with an item; True when nothing of it is left, False to be called again."""

PLAN = """
    INSERT INTO sweeps (kind, item, due_at) VALUES (:kind, :item, :due_at)
    ON CONFLICT (kind, item) DO UPDATE SET due_at = excluded.due_at
"""
DROP = "DELETE FROM sweeps WHERE kind = :kind AND item = :item"
DUE = "SELECT kind, item FROM sweeps WHERE due_at <= :now ORDER BY due_at, kind, item LIMIT :rows"


async def plan(transaction: Transaction, kind: str, item: str, due_at: int) -> None:
    """Have `item` swept at `due_at`, seconds since 1970."""
    await transaction.run(PLAN, {"kind": kind, "item": item, "due_at": due_at})


async def drop(transaction: Transaction, kind: str, item: str) -> None:
    """Have `item` not swept after all."""
    await transaction.run(DROP, {"kind": kind, "item": item})


class Sweeper:
    """Carries out what is due, a little at a time, while the server runs."""

    def __init__(self, database: Database, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self._database, self._clock, self._handlers = database, clock, handlers
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                more = await self.sweep()
            except Exception:
                log.exception("event=sweep_failed")
                more = False
            await asyncio.sleep(0 if more else SECONDS_BETWEEN)

    async def sweep(self) -> bool:
        """Carry out what is due, once; whether there may be more."""
        params: Params = {"now": int(self._clock()), "rows": BATCH}
        async with self._database.read() as transaction:
            due = await transaction.all(DUE, params)
        finished = [await self._sweep_one(kind, item) for kind, item in due]
        return len(due) == BATCH or not all(finished)

    async def _sweep_one(self, kind: str, item: str) -> bool:
        try:
            if not await self._handlers[kind](item):
                return False
        except Exception:
            log.exception("event=sweep_failed kind=%s item=%s", kind, item)
            await self._put_off(kind, item)
            return True

        async def work(transaction: Transaction) -> None:
            await drop(transaction, kind, item)

        await self._database.write(work)
        return True

    async def _put_off(self, kind: str, item: str) -> None:
        due_at = int(self._clock()) + SECONDS_TO_RETRY

        async def work(transaction: Transaction) -> None:
            await plan(transaction, kind, item, due_at)

        await self._database.write(work)
