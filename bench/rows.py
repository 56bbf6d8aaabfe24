"""The rows of the table: which server is asked what."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.load import request
from bench.long_thread import id_at
from bench.servers import Server
from bench.workload import (
    KEY,
    LISTED_THREADS,
    LONG_THREAD,
    MESSAGE,
    METADATA,
    REFERENCE_LISTED,
    REFERENCE_WRITTEN,
    SHORT_THREAD,
    THREADS,
)

ServerName = Literal["threadkeep", "bare", "bare corked", "reference"]
CURSORS = LISTED_THREADS
"""As many places in the long thread as there are short threads: pages differ in depth alone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: these requests, in turn, to that server."""

    name: str
    server: ServerName
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of a running Threadkeep that the rows write to and read from."""

    written: list[str]
    hot: str
    listed: list[str]
    long: str
    messages: list[str]
    """The paths of the messages of the listed threads."""

    @classmethod
    def made_on(cls, server: Server) -> Threads:
        """Create them through the API; the long thread is left empty."""

        def thread() -> str:
            id: str = json.loads(server.ask("POST", "/v1/threads", b"{}").body)["id"]
            return id

        def message(thread_id: str) -> str:
            path = path_of(thread_id)
            id = json.loads(server.ask("POST", path, MESSAGE).body)["id"]
            return f"{path}/{id}"

        listed = [thread() for _ in range(LISTED_THREADS)]
        messages = [message(id) for id in listed for _ in range(SHORT_THREAD)]
        return cls([thread() for _ in range(THREADS)], thread(), listed, thread(), messages)


def path_of(thread_id: str) -> str:
    """Where a thread's messages are."""
    return f"/v1/threads/{thread_id}/messages"


def creates(thread_ids: list[str]) -> tuple[bytes, ...]:
    """The same message to one thread after the other."""
    return tuple(request("POST", path_of(id), KEY, MESSAGE) for id in thread_ids)


def lists(thread_ids: list[str]) -> tuple[bytes, ...]:
    """The first page of one thread after the other."""
    return tuple(request("GET", path_of(id), KEY) for id in thread_ids)


def pages_after(thread_id: str, first: int, last: int) -> tuple[bytes, ...]:
    """Pages of the long thread that follow cursors spread over the positions from `first` to `last`."""
    step = max((last - first) // CURSORS, 1)
    cursors = (id_at(position) for position in range(first, first + CURSORS * step, step))
    return tuple(request("GET", f"{path_of(thread_id)}?after={cursor}", KEY) for cursor in cursors)


def modifies(messages: list[str]) -> tuple[bytes, ...]:
    """Metadata of one message after the other, different in the second round through them."""
    bodies = [json.dumps({"metadata": METADATA | {"seen": seen}}).encode() for seen in ("yes", "not")]
    return tuple(request("POST", path, KEY, body) for body in bodies for path in messages)


def all_rows(threads: Threads) -> list[Row]:
    """Every row, what is compared standing close together. Pages come newest first: position 1 is the end."""
    middle, spread = LONG_THREAD // 2, LONG_THREAD // 50
    retrieves = tuple(request("GET", path, KEY) for path in threads.messages)
    return [
        Row("create", "threadkeep", creates(threads.written)),
        Row("create hot thread", "threadkeep", creates([threads.hot])),
        Row("bare create", "bare", creates(threads.written)),
        Row("reference create", "reference", creates(REFERENCE_WRITTEN)),
        Row("list", "threadkeep", lists(threads.listed)),
        Row("list head in 1M", "threadkeep", lists([threads.long])),
        Row("list middle in 1M", "threadkeep", pages_after(threads.long, middle - spread, middle + spread)),
        Row("list deep in 1M", "threadkeep", pages_after(threads.long, SHORT_THREAD, spread)),
        Row("bare list", "bare", lists(threads.listed)),
        Row("bare list, corked", "bare corked", lists(threads.listed)),
        Row("reference list", "reference", lists(REFERENCE_LISTED)),
        Row("retrieve", "threadkeep", retrieves),
        Row("modify", "threadkeep", modifies(threads.messages)),
    ]


DEPTHS = ("list", "list head in 1M", "list middle in 1M", "list deep in 1M")


def interleaved(rows: Sequence[Row]) -> tuple[bytes, ...]:
    """The requests of the rows in `DEPTHS`, taken one from each in turn."""
    by_name = {row.name: itertools.cycle(row.requests) for row in rows}
    return tuple(next(by_name[name]) for _ in range(CURSORS) for name in DEPTHS)
