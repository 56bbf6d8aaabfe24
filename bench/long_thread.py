"""A thread of a million messages, put straight into the database by Threadkeep's own SQL.

`python -m bench.long_thread --database FILE --thread ID --messages N` fills an existing empty thread. The
id of the message at a position follows from the position (`id_at`), so that the benchmark can name cursors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from bench.workload import METADATA, TEXT
from threadkeep.messages.model import NewMessage, body_of, created, plain_text
from threadkeep.messages.store import INSERT
from threadkeep.storage.sqlite import connect

BATCH = 50_000
SET_LAST_POSITION = "UPDATE threads SET last_position = :position WHERE id = :thread_id"


def id_at(position: int) -> str:
    """The id of the message at a position of the long thread, in order like any other."""
    return f"msg_{position:024d}"


def rows(thread_id: str, start: int, stop: int) -> Iterator[dict[str, str | int | None]]:
    """What to insert for the positions from `start` up to, not including, `stop`."""
    new = NewMessage("user", plain_text(TEXT), metadata=METADATA)
    now = int(time.time())
    for position in range(start, stop):
        id = id_at(position)
        body = body_of(created(new, id, thread_id, now))
        yield {"thread_id": thread_id, "position": position, "id": id, "run_id": None, "body": body}


def fill(database: Path, thread_id: str, messages: int) -> None:
    """Insert the messages in a few large transactions that need not survive a crash."""
    connection = connect(database, writable=True)
    connection.execute("PRAGMA synchronous = OFF")
    for start in range(1, messages + 1, BATCH):
        with connection:
            connection.executemany(INSERT, rows(thread_id, start, min(start + BATCH, messages + 1)))
    connection.execute(SET_LAST_POSITION, {"position": messages, "thread_id": thread_id})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def main() -> None:
    """Fill the thread that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_thread")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--thread", required=True)
    parser.add_argument("--messages", type=int, required=True)
    options = parser.parse_args()
    fill(options.database, options.thread, options.messages)


if __name__ == "__main__":
    main()
