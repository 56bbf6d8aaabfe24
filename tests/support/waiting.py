"""Waiting for what another thread or process does: on a condition, with a bound."""

import threading
from collections.abc import Callable

SECONDS = 20.0
BETWEEN_LOOKS = 0.01


def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return as soon as `condition()` holds; fail after `seconds`."""
    never = threading.Event()
    for _ in range(int(seconds / BETWEEN_LOOKS)):
        if condition():
            return
        never.wait(BETWEEN_LOOKS)
    raise AssertionError(f"{condition} did not come true within {seconds} seconds")
