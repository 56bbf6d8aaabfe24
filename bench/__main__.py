"""`python -m bench`: measure Threadkeep beside a bare ASGI app and the usual FastAPI + SQLAlchemy.

Prints one table and the goals, and writes bench/latest.json. Takes two to three minutes and 1 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import load, report
from bench.measure import Bench
from bench.rows import ServerName, Threads, all_rows, path_of
from bench.servers import Server, child_environment, threadkeep
from bench.workload import LONG_THREAD, MESSAGE

HERE = Path(__file__).resolve().parent


def database_in(folder: Path) -> Path:
    """Threadkeep's database."""
    return folder / "threadkeep.db"


def prepare(folder: Path) -> Threads:
    """Make the threads, fill the long one, and record the answers that the bare app repeats."""
    with threadkeep(folder, f"sqlite:///{database_in(folder)}") as server:
        threads = Threads.made_on(server)
        recorded = {
            "create": server.ask("POST", path_of(threads.hot), MESSAGE),
            "list": server.ask("GET", path_of(threads.listed[0])),
        }
    answers = {name: answer._asdict() | {"body": answer.body.decode()} for name, answer in recorded.items()}
    (folder / "answers.json").write_text(json.dumps(answers), "utf-8")
    fill(database_in(folder), threads.long)
    return threads


def fill(database: Path, thread_id: str) -> None:
    """Load the long thread, in a process that takes its memory away with it."""
    command = [sys.executable, "-m", "bench.long_thread", "--database", str(database), "--thread", thread_id]
    started = time.monotonic()
    subprocess.run([*command, "--messages", str(LONG_THREAD)], check=True, env=child_environment())
    print(
        f"a thread of {LONG_THREAD:,} messages was loaded in {time.monotonic() - started:.0f} s", flush=True
    )


@contextmanager
def running(folder: Path) -> Iterator[Mapping[ServerName, Server]]:
    """The servers, each in its own process."""
    bare = ["bench.bare", "--answers", str(folder / "answers.json")]
    reference = ["bench.reference", "--database", str(folder / "reference.db")]
    with ExitStack() as stack:
        yield {
            "threadkeep": stack.enter_context(threadkeep(folder, f"sqlite:///{database_in(folder)}")),
            "bare": stack.enter_context(Server("bare", bare, folder)),
            "bare corked": stack.enter_context(Server("bare corked", [*bare, "--corked"], folder)),
            "reference": stack.enter_context(Server("reference", reference, folder)),
        }


def idle_memory(server: Server, threads: Threads) -> float:
    """MiB after the first answers."""
    server.ask("GET", path_of(threads.listed[0]))
    server.ask("POST", path_of(threads.hot), MESSAGE)
    return server.resident_mib()


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prepare, measure, tell."""
    threads = prepare(folder)
    rows = all_rows(threads)
    with running(folder) as servers, load.generator() as generator:
        idle = idle_memory(servers["threadkeep"], threads)
        bench = Bench(servers, generator, options.connections)
        measured = bench.rounds(rows, options.rounds, options.seconds)
    lines = report.numbers(measured, rows)
    report.write(HERE / "latest.json", lines)
    print()
    print(report.table(lines))
    print()
    for goal in report.goals(measured, rows, idle):
        print(goal)


def main() -> None:
    """Read the arguments and measure in a temporary folder on the checkout's own disk."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--connections", type=int, default=48, help="requests under way at a time (48)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of (5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of load for each row in a round (1.5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".work-", dir=HERE) as folder:
        measure(Path(folder), options)


if __name__ == "__main__":
    main()
