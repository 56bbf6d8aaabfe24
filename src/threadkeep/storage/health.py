"""Why a database cannot be used, in words for those who run it."""

import logging
import os
import re
import socket
import ssl
import time

from threadkeep.errors import Unavailable

UNREACHABLE, REFUSED, BUSY = "unreachable", "refused", "busy"
READ_ONLY, FULL = "read_only", "full"
SCHEMA_TOO_NEW, SCHEMA_TOO_OLD = "schema_too_new", "schema_too_old"
"""Reasons, as `/readyz` gives them. Anything else is `errors.FAILING`."""
SECONDS_REMEMBERED = 10.0
"""How long a write that failed counts as what the next one would meet with."""
SECONDS_BETWEEN_LINES = 1.0
LONGEST = 200
NAMES = re.compile(r"""\s*\([^)]*\)|\s*"[^"]*"|\s*'[^']*'|\s*\b\d+(\.\d+){3}(:\d+)?""")
"""Addresses, users, files, databases: whoever asks a server how it is has no key."""
log = logging.getLogger(__name__)


def said(problem: BaseException) -> str:
    """What a driver has to say, in one line without names and without a full stop."""
    numbered = not isinstance(problem, socket.gaierror | ssl.SSLError)  # these have numbers of their own
    if isinstance(problem, OSError) and problem.errno and numbered:
        return os.strerror(problem.errno)
    text = NAMES.sub("", str(problem).partition("\n")[0]).strip(" .:")
    return text[:LONGEST] or type(problem).__name__


class Health:
    """Whether what was written last could be written: a database may be read while it takes no writes."""

    def __init__(self) -> None:
        self._problem: Unavailable | None = None
        self._since = 0.0

    def wrote(self) -> None:
        self._problem = None

    def failed(self, problem: Unavailable) -> Unavailable:
        """Remember why a write failed."""
        if problem.reason in (READ_ONLY, FULL):
            self._problem, self._since = problem, time.monotonic()
        return problem

    def check(self) -> None:
        """Raises `Unavailable` where the next write would most likely fail as the last one did."""
        problem = self._problem
        if problem and time.monotonic() - self._since < SECONDS_REMEMBERED:
            raise Unavailable(str(problem), problem.reason)


class Causes:
    """What requests are answered with 503 for, in the log: one line a second for each reason."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}
        """When each reason was logged last."""

    def note(self, problem: Unavailable) -> None:
        now = time.monotonic()
        if now - self._logged.get(problem.reason, -SECONDS_BETWEEN_LINES) >= SECONDS_BETWEEN_LINES:
            self._logged[problem.reason] = now
            log.warning("event=database_unavailable reason=%s problem=%r", problem.reason, str(problem))
