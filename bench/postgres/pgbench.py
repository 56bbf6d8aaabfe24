"""pgbench with prepared statements: what the same PostgreSQL gives when nobody stands in between."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.load import Result
from bench.postgres.data import FIRST_NUMBER
from bench.postgres.server import Postgres

THREADS_OF_ITS_OWN = 2
"""pgbench's, so that it can use both cores."""
CLIENTS_APART = 1_000
"""More than there are clients."""

# A thread at random, and a number that no other client and no other run has, in the order of time like an id.
_THREAD = f"\\set thread random({FIRST_NUMBER} + :first, {FIRST_NUMBER} + :last)\n"
_NUMBER = f"\\set n :n + 1\n\\set number :base + :n * {CLIENTS_APART} + :client_id\n"

INSERT = f"""{_THREAD}{_NUMBER}
INSERT INTO messages (thread_id, position, id, run_id, body)
VALUES ('thread_00000' || :thread, :number, 'msg_00000' || :number, NULL, :body);
"""
"""The plain insert of one row: nothing asked, nothing checked."""

APPEND = f"""{_THREAD}{_NUMBER}
WITH taken AS (
    UPDATE threads SET last_position = last_position + 1
    WHERE id = 'thread_00000' || :thread AND project_id = :project AND active_run_id IS NULL
    RETURNING id, last_position
)
INSERT INTO messages (thread_id, position, id, run_id, body)
SELECT id, last_position, 'msg_00000' || :number, NULL, :body FROM taken;
"""
"""What `threadkeep.messages.store.append` does, in one statement: the position, the checks, the insert."""

PAGE = f"""{_THREAD}
SELECT body FROM messages
WHERE thread_id = (SELECT id FROM threads WHERE id = 'thread_00000' || :thread AND project_id = :project)
ORDER BY position DESC LIMIT 20;
"""
"""A page of 20, newest first."""

_base = FIRST_NUMBER


def run(
    postgres: Postgres, script: str, variables: Mapping[str, str], connections: int, seconds: int
) -> Result:
    """Put a script to the server over so many connections. Raises RuntimeError if a statement failed."""
    global _base
    _base += 10**12
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script, "utf-8")
        command: list[str | Path] = [postgres.pgbench, "--no-vacuum", "--protocol=prepared", "--file", path]
        command += [f"--client={connections}", f"--jobs={THREADS_OF_ITS_OWN}", f"--time={seconds}"]
        command += ["--log", f"--log-prefix={folder}/log"]
        for name, value in {**variables, "n": "0", "base": str(_base)}.items():
            command.append(f"--define={name}={value}")
        started = time.time()
        done = subprocess.run([*command, postgres.url], capture_output=True, text=True, check=False)
        if done.returncode or "ERROR" in done.stderr:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        return _result(Path(folder), started)


def _result(folder: Path, started: float) -> Result:
    """From the log: a line for each transaction, with its microseconds and when it was over."""
    first, last, latencies = float("inf"), started, []
    for microseconds, end in _lines(folder):
        latencies.append(microseconds / 1000)
        first, last = min(first, end - microseconds / 1e6), max(last, end)
    return Result(len(latencies), last - first, [sorted(latencies)])


def _lines(folder: Path) -> Iterator[tuple[int, float]]:
    for log in folder.glob("log.*"):
        for line in log.read_text("utf-8").splitlines():
            _, _, microseconds, _, seconds, rest = line.split()[:6]
            yield int(microseconds), int(seconds) + int(rest) / 1e6
