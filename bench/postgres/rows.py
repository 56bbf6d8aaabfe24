"""The rows of the table: who is asked what, over how many connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import request
from bench.postgres import pgbench
from bench.postgres.data import thread_id
from bench.workload import KEY, MESSAGE

WRITTEN = range(200)
"""The numbers of the threads that are written to,"""
LISTED = range(200, 250)
"""and of those that are read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a script for pgbench, or requests for Threadkeep with so many workers."""

    what: str
    connections: int
    threads: range
    script: str = ""
    workers: int = 0
    requests: Sequence[bytes] = ()

    @property
    def name(self) -> str:
        who = f"Threadkeep, {self.workers} worker{'s' * (self.workers > 1)}" if self.workers else "pgbench"
        return f"{who}: {self.what}, {self.connections}"


def all_rows(connections: Sequence[int], workers: Sequence[int]) -> list[Row]:
    """Every row, what is compared standing close together."""
    rows = []
    for count in connections:
        rows.append(Row("insert", count, WRITTEN, pgbench.INSERT))
        rows.append(Row("append", count, WRITTEN, pgbench.APPEND))
        rows += [Row("create", count, WRITTEN, workers=n, requests=creates(WRITTEN)) for n in workers]
        rows.append(Row("page", count, LISTED, pgbench.PAGE))
        rows += [Row("list", count, LISTED, workers=n, requests=lists(LISTED)) for n in workers]
    return rows


def creates(threads: Sequence[int]) -> tuple[bytes, ...]:
    """The same message to one thread after the other."""
    return tuple(request("POST", path_of(thread), KEY, MESSAGE) for thread in threads)


def lists(threads: Sequence[int]) -> tuple[bytes, ...]:
    """The first page of one thread after the other."""
    return tuple(request("GET", path_of(thread), KEY) for thread in threads)


def path_of(thread: int) -> str:
    """Where a thread's messages are."""
    return f"/v1/threads/{thread_id(thread)}/messages"
