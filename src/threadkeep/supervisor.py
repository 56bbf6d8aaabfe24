"""Several equal processes behind one socket: started, watched, started anew when they die, stopped together.

The parent serves nothing and has neither threads nor an event loop, so that forking is safe at any
time. Children hold one end of a pipe whose other end only the parent has: it closes when the parent
dies, however it dies.
"""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""How long until a worker that died is started anew: twice as long each time, where it dies young."""
SECONDS_OF_YOUTH = 10.0
STOPS = {signal.SIGTERM, signal.SIGINT}
log = logging.getLogger(__name__)


class Line:
    """What a worker has of its parent."""

    def __init__(self, worker: int, report: int, parent: int) -> None:
        self.worker = worker
        """Its number, from 0; who replaces one that died has the same."""
        self._report = report
        self.parent = parent
        """A descriptor that becomes readable when the parent has died."""

    def ready(self, word: str | None) -> None:
        """Say that this worker can work, and what the welcome needs to know."""
        os.write(self._report, (word or "").encode() + b"\n")
        os.close(self._report)


Work = Callable[[Line], int]
"""What a worker does until SIGTERM or SIGINT; its exit status. Says nothing more once its parent has died."""


@dataclass
class Slot:
    """The place of one worker."""

    number: int
    process: int | None = None
    report: int | None = None
    born: float = 0.0
    due: float | None = None
    """When to start the next one in this place."""
    delay: float = FIRST_DELAY


class Supervisor:
    """`greet` is called with the first worker's word once that can work, `let_go` to close the socket."""

    def __init__(
        self,
        count: int,
        work: Work,
        greet: Callable[[str | None], None],
        let_go: Callable[[], None],
        seconds_to_stop: float,
    ) -> None:
        self._slots = [Slot(number) for number in range(1, count + 1)]
        self._work, self._greet, self._let_go = work, greet, let_go
        self._seconds_to_stop = seconds_to_stop
        self._greeted = False
        self._stopping: float | None = None
        """When whoever is left will be killed."""
        self._status = 0

    def run(self) -> int:
        """Work until told to stop, or until the first worker turns out not to start. An exit status."""
        self._lifeline = os.pipe()
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        for one in (*STOPS, signal.SIGCHLD):
            signal.signal(one, lambda *_: None)  # what is to be done stands in the pipe
        self._start(self._slots[0])  # alone: it migrates and makes the first key
        while self._stopping is None or self._alive():
            self._wait()
            self._start_due()
        return self._status

    def _alive(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.process is not None]

    # -------------------------------------------------------------- what happens

    def _wait(self) -> None:
        """Sleep until something happens or is due, and deal with it."""
        reports = {slot.report: slot for slot in self._slots if slot.report is not None}
        times = [slot.due for slot in self._slots if slot.due is not None]
        if self._stopping is not None:
            times.append(self._stopping)
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        readable, _, _ = select.select([self._wake[0], *reports], [], [], timeout)
        if self._wake[0] in readable:
            for one in os.read(self._wake[0], 4096):
                if one in STOPS:
                    self._stop(signal.Signals(one))
        for report, slot in reports.items():
            if report in readable:
                self._hear(slot, report)
        self._reap()
        if self._stopping is not None and time.monotonic() >= self._stopping:
            self._tell(signal.SIGKILL)
            self._stopping += 1.0

    def _hear(self, slot: Slot, report: int) -> None:
        said = os.read(report, 4096)
        os.close(report)
        slot.report = None
        if said and not self._greeted and self._stopping is None:
            self._greeted = True
            self._greet(said.decode().strip() or None)
            for other in self._slots[1:]:
                self._start(other)

    def _reap(self) -> None:
        for slot in self._alive():
            assert slot.process is not None
            process, status = os.waitpid(slot.process, os.WNOHANG)
            if process:
                slot.process = None
                self._bury(slot, process, os.waitstatus_to_exitcode(status))

    def _bury(self, slot: Slot, process: int, status: int) -> None:
        """Have a worker that ended by itself replaced; without a first one there is nothing to replace."""
        if self._stopping is not None:
            return
        if not self._greeted:
            self._status = max(status, 1)
            self._stopping = time.monotonic() + self._seconds_to_stop
            return
        now = time.monotonic()
        slot.delay = FIRST_DELAY if now - slot.born > SECONDS_OF_YOUTH else slot.delay
        slot.due = now + slot.delay
        log.warning(
            "event=worker_ended worker=%d process=%d status=%d restart_in=%.1f",
            slot.number,
            process,
            status,
            slot.delay,
        )
        slot.delay = min(2 * slot.delay, LONGEST_DELAY)

    def _stop(self, by: signal.Signals) -> None:
        """Take no more connections, let the workers finish; the second time, at once."""
        if self._stopping is None:
            self._stopping = time.monotonic() + self._seconds_to_stop
            self._let_go()
            self._tell(signal.SIGTERM)
        else:
            self._tell(by)  # Ctrl-C again

    def _tell(self, what: signal.Signals) -> None:
        for slot in self._alive():
            assert slot.process is not None
            os.kill(slot.process, what)

    # -------------------------------------------------------------- starting one

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.due is not None and slot.due <= time.monotonic() and self._stopping is None:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        hear, report = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the child has no handler of its parent's
        process = os.fork()
        if process == 0:
            self._live(hear, Line(slot.number - 1, report, self._lifeline[0]))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        os.close(report)
        slot.process, slot.report, slot.born, slot.due = process, hear, time.monotonic(), None
        log.info("event=worker_started worker=%d process=%d", slot.number, process)

    def _live(self, hear: int, line: Line) -> NoReturn:
        """A worker's whole life."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for one in (*STOPS, signal.SIGCHLD):
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            others = [slot.report for slot in self._slots if slot.report is not None]
            for end in (hear, self._lifeline[1], *self._wake, *others):
                os.close(end)
            status = self._work(line)
        except BaseException:
            log.exception("event=worker_failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
