"""How long a provider is asked again, and how often."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from msgspec import Struct


class Patience(Struct, frozen=True, kw_only=True):
    """How attempts follow each other: after a random part of `base * 2 ** attempt` seconds, `most` at the
    highest, and never once `seconds` have passed since the first."""

    base: float = 0.5
    most: float = 20.0
    seconds: float = 600.0
    chance: Callable[[], float] = random.random
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def delay(self, attempt: int, after: float | None) -> float:
        """Seconds before another attempt; `after` is what the provider asked for."""
        return max(self.chance() * min(self.most, self.base * 2.0**attempt), after or 0.0)
