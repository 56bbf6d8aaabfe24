"""LISTEN on a connection of its own, which is made anew after any trouble."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from threadkeep.storage.postgres.connection import SECONDS_FOR_A_CONNECTION, PostgresOptions
from threadkeep.storage.postgres.hosts import reached

SECONDS_BETWEEN_CHECKS = 30.0
"""A connection whose other end has vanished without a word is found out after so long."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
log = logging.getLogger(__name__)


class Listener:
    """Calls back whoever listens on a channel. Behind a PgBouncer, which cannot pass a NOTIFY on, never."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._callbacks: list[tuple[str, Callable[[], None]]] = []
        self._changed = asyncio.Event()
        """Set when there is a reason to look at the connection: it is lost, or lacks a channel."""
        self._delay = FIRST_DELAY
        self._task: asyncio.Task[None] | None = None

    def add(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Until what this returns is called. A channel is listened on for good, once somebody has."""
        callbacks = channel, callback
        self._callbacks.append(callbacks)
        self._changed.set()
        if self._options.prepared and self._task is None:
            self._task = asyncio.create_task(self._run(), name="listener")
        return partial(self._callbacks.remove, callbacks)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                raw = await self._connect()
                try:
                    await self._listen(raw)
                finally:
                    raw.terminate()
            except Exception as problem:  # whatever it was: the next attempt may fare better
                log.info("event=listener_lost retry_in=%.1f problem=%r", self._delay, problem)
            await asyncio.sleep(self._delay)
            self._delay = min(2 * self._delay, LONGEST_DELAY)

    async def _connect(self) -> Any:
        raw = await reached(self._options.url, "threadkeep listener", SECONDS_FOR_A_CONNECTION)
        raw.add_termination_listener(lambda _: self._changed.set())
        return raw

    async def _listen(self, raw: Any) -> None:
        """Listen on every channel until the connection is lost."""
        heard: set[str] = set()
        while not raw.is_closed():
            self._changed.clear()
            for channel in {channel for channel, _ in self._callbacks} - heard:
                await raw.add_listener(channel, self._hear)
                heard.add(channel)
                self._delay = FIRST_DELAY  # not before: a standby takes connections, but no LISTEN
                self._call(channel)  # for what was said before anybody listened
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_BETWEEN_CHECKS):
                    await self._changed.wait()
                    continue
            await raw.execute("SELECT 1", timeout=SECONDS_FOR_A_CONNECTION)

    def _hear(self, _: object, __: int, channel: str, ___: object) -> None:
        self._call(channel)

    def _call(self, channel: str) -> None:
        for name, callback in list(self._callbacks):
            if name == channel:
                callback()
