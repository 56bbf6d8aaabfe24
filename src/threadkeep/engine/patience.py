"""Doing again what the database, or the files' storage, refuses for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from threadkeep.engine.interrupts import Interrupts
from threadkeep.errors import FilesUnavailable, Unavailable

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds before what was refused is tried again."""
log = logging.getLogger(__name__)


class Patience:
    """That of one piece of work, which may be called off meanwhile; `event` is how the log tells of it."""

    def __init__(self, interrupts: Interrupts, event: str) -> None:
        self._interrupts, self._event = interrupts, event

    async def __call__(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do something, as often as it takes. Raises `Interrupted` between two attempts, and what else `do`
        raises."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await do()
            except (Unavailable, FilesUnavailable) as problem:
                log.warning("%s seconds=%.2f problem=%r", self._event, pause, problem)
            with self._interrupts.allowed():
                await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
