"""The table, the goals, and `latest-postgres.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import Measured
from bench.postgres.measure import Sample
from bench.postgres.rows import Row
from bench.report import Goal, Line, medians

COLUMNS = ("rps", "cpu_us", "postgres_us", "wal_bytes", "p50_ms", "p99_ms")
"""What is told of a row."""


def numbers(measured: Measured[Sample], rows: Sequence[Row]) -> list[Line]:
    """The rows of the table."""
    return medians(measured, [row.name for row in rows], COLUMNS)


def table(lines: Sequence[Line]) -> str:
    """The rows as text."""
    head = (
        f"{'':<36}{'req/s':>9}{'CPU us/req':>12}{'PostgreSQL':>12}{'WAL bytes':>11}{'p50 ms':>9}{'p99 ms':>9}"
    )
    body = [
        f"{line['name']:<36}{line['rps']:>9,.0f}{line['cpu_us']:>12.0f}{line['postgres_us']:>12.0f}"
        f"{line['wal_bytes']:>11,.0f}{line['p50_ms']:>9.2f}{line['p99_ms']:>9.2f}"
        for line in lines
    ]
    return "\n".join([head, *body])


def goals(measured: Measured[Sample], rows: Sequence[Row]) -> Iterator[Goal]:
    """What the project promises itself, with what was measured, for every row that has a goal."""
    raw = {(row.what, row.connections): row for row in rows if not row.workers}
    for what, other, bound in (("create", "insert", 1.0), ("list", "page", 0.5)):
        for row in rows:
            if row.what == what:
                times = measured.ratio(row.name, raw[other, row.connections].name, "rps")
                yield Goal(f"{row.name}: of pgbench's {other}", times, bound, True, "x")


def asides(measured: Measured[Sample], rows: Sequence[Row]) -> Iterator[str]:
    """Ratios that no goal is set for."""
    raw = {(row.what, row.connections): row for row in rows if not row.workers}
    for row in rows:
        if row.what == "create":
            times = measured.ratio(row.name, raw["append", row.connections].name, "rps")
            yield f"{row.name}: {times:.2f}x of pgbench's append"


def write(path: Path, lines: Sequence[Line], goals: Sequence[Goal], scale: Sequence[Line]) -> None:
    """The table for programs."""
    reached = [{"name": goal.name, "value": round(goal.value, 3), "goal": goal.bound} for goal in goals]
    content = {"rows": lines, "goals": reached, "scale": scale}
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
