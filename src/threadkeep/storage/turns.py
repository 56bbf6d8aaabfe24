"""Writes that nobody waits for take turns with those that somebody does.

They go one at a time, and after each there is a rest, during which requests have the database, and the
processor, to themselves: longer, the longer the write took and the more of the time others have been writing.
Where nobody else writes there is none, and each may take longer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

REST = 3.0
"""How long a rest is, in times of how long others were writing beside the write before it."""
SHORTEST_REST, LONGEST_REST = 0.001, 0.5
"""Seconds: what is worth a timer; and a lock or a slow disk is no reason to rest for long."""


class Turns:
    """`with` around each write that somebody waits for.

    A write that nobody waits for should take `alone` seconds; `beside` where others are writing.
    """

    def __init__(self, alone: float, beside: float) -> None:
        self._alone, self._beside = alone, beside
        self.seconds = alone
        """How many the next one should take."""
        self._lock = asyncio.Lock()
        self._writing = 0
        self._since = 0.0
        """Since when somebody has been writing, where somebody is..."""
        self._busy = 0.0
        """...and for how many seconds in all somebody was before."""

    def __enter__(self) -> None:
        if not self._writing:
            self._since = time.monotonic()
        self._writing += 1

    def __exit__(self, *_: object) -> None:
        self._writing -= 1
        if not self._writing:
            self._busy += time.monotonic() - self._since

    def _busy_until(self, now: float) -> float:
        return self._busy + (now - self._since if self._writing else 0.0)

    async def behind(self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` returns, when its turn has come and a rest was taken after it."""
        async with self._lock:
            busy = self._busy_until(time.monotonic())
            result = await write()
            rest = REST * (self._busy_until(time.monotonic()) - busy)
            is_alone = rest <= SHORTEST_REST
            self.seconds = self._alone if is_alone else self._beside
            if not is_alone:
                await asyncio.sleep(min(rest, LONGEST_REST))
            return result
