"""Calling a task away from what it waits for, as `asyncio.timeout` does when time is over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class Reason(IntEnum):
    """Why work on a run is called off; the greater one counts."""

    EXPIRED = 1
    CANCELLED = 2
    HANDED_OVER = 3
    LOST = 4


class Interrupted(Exception):
    """The task was called away."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Interrupts:
    """Where one task may be interrupted, and whether it was asked to be.

    It is interrupted within `allowed()` alone, at once if it was asked before. So what must not be torn
    in two, such as a write whose outcome has to be known, is simply done outside.
    """

    def __init__(self) -> None:
        self._asked: Reason | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def ask(self, reason: Reason) -> None:
        """Have the task interrupted where it allows that."""
        if self._asked is None or reason > self._asked:
            self._asked = reason
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def _raise(self) -> None:
        if self._asked is not None:
            reason, self._asked = self._asked, None
            raise Interrupted(reason)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raises `Interrupted` out of whatever is awaited inside."""
        self._raise()
        task = asyncio.current_task()
        assert task is not None
        others = task.cancelling()
        around = self._task, self._cancelled
        self._task, self._cancelled = task, False
        try:
            yield
        except asyncio.CancelledError:
            if self._cancelled and task.cancelling() <= others + 1:
                self._raise()
            raise
        finally:
            if self._cancelled:
                task.uncancel()
            self._task, self._cancelled = around

    @contextmanager
    def forbidden(self) -> Iterator[None]:
        """Inside `allowed()`: a stretch where it is not. Raises `Interrupted` after it."""
        task, self._task = self._task, None
        try:
            yield
        finally:
            self._task = task
        self._raise()
