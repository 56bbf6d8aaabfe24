"""New connections of a socket that several processes listen on, shared out evenly.

The system wakes whoever is quick, and whoever is woken would take all that wait: one worker might get forty
of fifty connections, and keep them as long as their clients do. So a worker that has more than another
leaves a new one to that other for a moment. Nothing depends on it: who does not know better takes it.
"""

import asyncio
import logging
import mmap
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

INTEGER = 4
"""Bytes of one."""
SECONDS_FOR_OTHERS = 0.005
WAITS = 3
"""In vain, after which others are not waited for until one of them is seen to be awake."""
SECONDS_TO_RECOVER = 1.0
"""Where a connection cannot be taken, as when too many files are open."""


class Counts:
    """Of the connections of several workers, in memory that a parent shares with its children."""

    def __init__(self, workers: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, 2 * workers * INTEGER)).cast("I")
        self.connections, self.looks = self._memory[:workers], self._memory[workers:]
        """How many each has; and how often it has looked for more, which all do whenever one comes in."""


class Share:
    """What one worker, counted from 0, makes of them."""

    def __init__(self, counts: Counts, worker: int) -> None:
        self._counts, self._worker = counts, worker
        self._waits = self._seen = 0

    def is_ahead(self, connections: int) -> bool:
        """Note how many this one has. Whether another has fewer, and is awake."""
        counts, looks = self._counts.connections, self._counts.looks
        counts[self._worker] = connections
        looks[self._worker] = (looks[self._worker] + 1) % (1 << 31)
        seen = sum(looks) - looks[self._worker]
        if seen != self._seen:
            self._seen, self._waits = seen, 0
        return self._waits < WAITS and connections > min(counts)

    def waited(self) -> None:
        """Others had their chance."""
        self._waits += 1


class Acceptor:
    """Takes connections, in the place of an asyncio server. `count` says how many there are by now."""

    def __init__(
        self,
        listener: socket.socket,
        connected: Callable[[], asyncio.Protocol],
        count: Callable[[], int],
        share: Share,
    ) -> None:
        self._listener, self._connected, self._count, self._share = listener, connected, count, share
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[object]] = set()
        listener.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._ready)

    def _ready(self) -> None:
        if self._share.is_ahead(self._count() + len(self._under_way)):
            self._pause(SECONDS_FOR_OTHERS, self._take_after_all)
        else:
            self._take()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._later = self._loop.call_later(seconds, then)

    def _take_after_all(self) -> None:
        self._share.waited()
        self._listen()
        self._take()

    def _take(self) -> None:
        """One connection: the next one may be another's."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another was quicker, or the client gave up
        except OSError as problem:
            log.error("event=accept_failed problem=%r", problem)
            self._pause(SECONDS_TO_RECOVER, self._listen)
            return
        task = self._loop.create_task(self._connect(connection))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connected, connection)
        except OSError as problem:
            log.info("event=connection_lost problem=%r", problem)
            connection.close()

    def close(self) -> None:
        """Take no more."""
        if self._later:
            self._later.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())

    async def wait_closed(self) -> None:
        """Connections that were being made are made."""
        if self._under_way:
            await asyncio.wait(self._under_way)
