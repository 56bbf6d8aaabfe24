"""Rows put straight into the database, with ids that pgbench's integers can name.

The thread and the message of a number have the ids `thread_` and `msg_`, five zeros and nineteen digits:
as long as Threadkeep's own. pgbench knows no text variables that change, but it can count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.workload import METADATA, TEXT
from threadkeep.messages.model import NewMessage, body_of, created, plain_text

T = TypeVar("T")
FIRST_NUMBER = 10**18
"""Numbers of nineteen digits."""
THREAD_COLUMNS = ("id", "project_id", "created_at", "last_position", "metadata", "tool_resources")
MESSAGE_COLUMNS = ("thread_id", "position", "id", "body")
ROWS_AT_ONCE = 2_000
OPEN_TOGETHER = 1_000
"""Threads that grow at the same time, so that the rows of one lie as far apart as in a life of traffic."""

Connection = Any
"""asyncpg's, whose types are not exported whole."""


def thread_id(number: int) -> str:
    """The id of a thread, by its number from 0."""
    return f"thread_00000{FIRST_NUMBER + number}"


def message_id(number: int) -> str:
    """The id of a message, by its number from 0."""
    return f"msg_00000{FIRST_NUMBER + number}"


def body(thread: str, id: str) -> str:
    """The stored form of the message that every server of the benchmarks is asked for."""
    new = NewMessage("user", plain_text(TEXT), metadata=METADATA)
    return body_of(created(new, id, thread, int(time.time())))


def ask(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work` with a connection of its own."""

    async def connected() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def url_of(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{database}"))


def sql(url: str, *statements: str) -> None:
    """Run statements outside any transaction."""

    async def work(connection: Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    ask(url, work)


def value(url: str, query: str) -> Any:
    """The one value that a query gives."""
    return ask(url, lambda connection: connection.fetchval(query))


async def put_threads(connection: Connection, project_id: str, numbers: range, messages: int) -> None:
    """Threads that will hold so many messages each."""
    now = int(time.time())
    await connection.copy_records_to_table(
        "threads",
        records=((thread_id(number), project_id, now, messages, "{}", "{}") for number in numbers),
        columns=THREAD_COLUMNS,
    )


async def put_messages(connection: Connection, threads: range, messages: int, first: int) -> None:
    """So many messages in each of the threads, of numbers from `first`, by one COPY."""
    await connection.copy_to_table(
        "messages", source=copied(threads, messages, first), columns=MESSAGE_COLUMNS, format="text"
    )


async def copied(threads: range, messages: int, number: int) -> AsyncIterator[bytes]:
    """COPY's text: the threads grow `OPEN_TOGETHER` at a time, each by one message in turn."""
    pattern = body("THREAD", "MESSAGE")
    assert "\\" not in pattern, "COPY would read a backslash"
    before, between, after = pattern.replace("MESSAGE", "\t").replace("THREAD", "\t").split("\t")
    lines: list[str] = []
    for start in range(0, len(threads), OPEN_TOGETHER):
        ids = [thread_id(thread) for thread in threads[start : start + OPEN_TOGETHER]]
        for position in range(1, messages + 1):
            for thread in ids:
                id = message_id(number)
                lines.append(f"{thread}\t{position}\t{id}\t{before}{id}{between}{thread}{after}\n")
                number += 1
            if len(lines) >= ROWS_AT_ONCE:
                yield "".join(lines).encode()
                lines.clear()
    yield "".join(lines).encode()
