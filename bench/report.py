"""The table, the goals, and `latest.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Measured, Sample
from bench.rows import DEPTHS, Row

Line = dict[str, str | float]
"""A row of a table."""
COLUMNS = {"rps": 0, "cpu_us": 0, "p50_ms": 2, "p99_ms": 2}
"""What is told of a row, and with how many decimals. The memory is the most over the rounds, not a median."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A number to reach: at least `bound`, or at most."""

    name: str
    value: float
    bound: float
    at_least: bool
    unit: str

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        relation = "at least" if self.at_least else "at most"
        state = "met" if self.met else "NOT MET"
        value = f"{self.value:.2f}{self.unit}"
        return f"{self.name:<44}{value:>10}   goal: {relation} {self.bound:g}{self.unit:<4}  {state}"


def medians(measured: Measured[Any], names: Iterable[str], columns: Iterable[str]) -> list[Line]:
    """A line for each row of these names: its name, and what is told of it."""
    return [
        {"name": name, **{what: round(measured.median(name, what), 3) for what in columns}} for name in names
    ]


def numbers(measured: Measured[Sample], rows: Sequence[Row]) -> list[Line]:
    """The rows of the table."""
    lines = medians(measured, [row.name for row in rows], COLUMNS)
    return [line | {"rss_mib": round(peak_mib(measured, [str(line["name"])]), 1)} for line in lines]


def peak_mib(measured: Measured[Sample], names: Sequence[str]) -> float:
    """The most memory that any of the rows needed in any round."""
    return max(sample.peak_mib for name in names for sample in measured.samples[name])


def table(lines: Sequence[Line]) -> str:
    """The rows as text."""
    head = f"{'':<20}{'req/s':>9}{'CPU us/req':>12}{'p50 ms':>9}{'p99 ms':>9}{'peak MiB':>10}"
    body = [
        f"{line['name']:<20}{line['rps']:>9,.0f}{line['cpu_us']:>12.0f}{line['p50_ms']:>9.2f}"
        f"{line['p99_ms']:>9.2f}{line['rss_mib']:>10.0f}"
        for line in lines
    ]
    return "\n".join([head, *body])


def goals(measured: Measured[Sample], rows: Sequence[Row], idle_mib: float) -> Iterator[Goal]:
    """What the project promises itself, with what was measured."""
    for name in ("create", "list"):
        times = measured.ratio(name, f"reference {name}", "rps")
        yield Goal(f"{name}: req/s of the reference's", times, 8, True, "x")
    yield Goal("list: CPU of the bare app's", measured.ratio("list", "bare list", "cpu_us"), 2, False, "x")
    corked = measured.ratio("list", "bare list, corked", "cpu_us")
    yield Goal("    the same, bare sending as Threadkeep does", corked, 2, False, "x")
    short = DEPTHS[0]
    for name in DEPTHS[1:]:
        yield Goal(
            f"{name}: p50 of the short thread's", measured.ratio(name, short, "p50_ms"), 1.2, False, "x"
        )
        yield Goal("    the same, one request at a time", measured.depth_ratio(name), 1.2, False, "x")
    loaded = peak_mib(measured, [row.name for row in rows if row.server == "threadkeep"])
    yield Goal("memory, idle", idle_mib, 70, False, " MiB")
    yield Goal("memory, under load", loaded, 150, False, " MiB")


def write(path: Path, lines: Sequence[Line]) -> None:
    """The table for programs."""
    path.write_text(json.dumps({"rows": lines}, indent=2) + "\n", "utf-8")
