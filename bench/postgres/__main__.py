"""`python -m bench.postgres`: measure Threadkeep on PostgreSQL beside pgbench on the same server.

Prints one table and the goals, and writes bench/latest-postgres.json. With --scale N it also loads N
messages and compares what a create and a list take then with what they took at a hundred thousand.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import load
from bench.postgres import data, report, scale
from bench.postgres.measure import Bench
from bench.postgres.rows import LISTED, WRITTEN, all_rows
from bench.postgres.server import Postgres, running
from bench.report import Goal, Line
from bench.servers import Server
from bench.servers import threadkeep as threadkeep_on
from bench.workload import SHORT_THREAD

BENCH = Path(__file__).resolve().parent.parent
CONNECTIONS = (16, 48)
WORKERS = (1, 2)


def threadkeep(postgres: Postgres, folder: Path, name: str, workers: int = 1) -> Server:
    """Threadkeep as anyone would run it."""
    return threadkeep_on(folder, postgres.url, name=f"threadkeep-{name}", workers=workers)


@contextmanager
def serving(postgres: Postgres, folder: Path) -> Iterator[Mapping[int, Server]]:
    """A Threadkeep for each number of workers, by that number."""
    with ExitStack() as stack:
        yield {
            workers: stack.enter_context(threadkeep(postgres, folder, f"of-{workers}", workers))
            for workers in WORKERS
        }


def made_ready(postgres: Postgres, folder: Path) -> str:
    """Have Threadkeep make its tables; return the project's id."""
    with threadkeep(postgres, folder, "first"):
        pass
    project_id: str = data.value(postgres.url, "SELECT id FROM projects")
    return project_id


def prepare(postgres: Postgres, folder: Path) -> str:
    """Put the threads of the table's rows into the database; return the project's id."""
    project_id = made_ready(postgres, folder)

    async def work(connection: data.Connection) -> None:
        await data.put_threads(connection, project_id, WRITTEN, 0)
        await data.put_threads(connection, project_id, LISTED, SHORT_THREAD)
        await data.put_messages(connection, LISTED, SHORT_THREAD, 0)

    data.ask(postgres.url, work)
    data.sql(postgres.url, "VACUUM ANALYZE")
    return project_id


def compared(postgres: Postgres, folder: Path, options: argparse.Namespace) -> tuple[list[Line], list[Goal]]:
    """The table beside pgbench, printed."""
    rows = all_rows(CONNECTIONS, WORKERS)
    project_id = prepare(postgres, folder)
    example = data.body(data.thread_id(0), data.message_id(0))
    with serving(postgres, folder) as servers, load.generator() as generator:
        bench = Bench(postgres, servers, generator, {"project": project_id, "body": example})
        measured = bench.rounds(rows, options.rounds, options.seconds)
    lines, goals = report.numbers(measured, rows), list(report.goals(measured, rows))
    print("", report.table(lines), "", *goals, *report.asides(measured, rows), "", sep="\n", flush=True)
    return lines, goals


def scaled(postgres: Postgres, folder: Path, options: argparse.Namespace) -> tuple[list[Line], list[Goal]]:
    """What becomes of the times with many messages, printed."""
    lines, goals = scale.measure(
        postgres,
        folder,
        options.scale,
        lambda database: made_ready(database, folder),
        threadkeep,
        options.rounds,
        options.seconds,
    )
    print(*(f"{name}: {small} ms, {large} ms" for name, small, large in map(dict.values, lines)), sep="\n")
    print("", *goals, sep="\n")
    return lines, goals


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Both parts, and the file."""
    with running(folder / "postgres") as postgres:
        lines, goals = compared(postgres, folder, options)
        at_scale, more = scaled(postgres, folder, options) if options.scale else ([], [])
    report.write(BENCH / "latest-postgres.json", lines, [*goals, *more], at_scale)


def main() -> None:
    """Read the arguments and measure in a temporary folder on the checkout's own disk."""
    parser = argparse.ArgumentParser(prog="python -m bench.postgres", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of load for each row in a round (2)")
    parser.add_argument("--scale", type=int, default=0, help="messages to load (0: leave that part out)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".work-", dir=BENCH) as folder:
        measure(Path(folder), options)


if __name__ == "__main__":
    main()
