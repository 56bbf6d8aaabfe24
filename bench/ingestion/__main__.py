"""`python -m bench.ingestion`: how fast files become searchable, with what memory, and what others notice.

On SQLite and on PostgreSQL, each in a real server; vectors come from a model that answers at once. Prints
tables and the goals, and writes bench/latest-ingestion.json. Takes about twenty minutes, most of them for the
file of 500 MB.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.ingestion import beside, memory, speed
from bench.ingestion.files import MADE
from bench.ingestion.house import DATABASES
from bench.report import Goal

HERE = Path(__file__).resolve().parent.parent
MB = 1_000_000
MOST_MIB, MOST_TIMES = 200, 2
PARTS = ("speed", "beside", "memory")


def run(
    folder: Path,
    parts: Sequence[str] = PARTS,
    databases: Sequence[str] = DATABASES,
    large_mb: int = 500,
    kinds: Sequence[str] = tuple(MADE),
) -> list[Goal]:
    """Measure in a folder, tell, and write down; the goals."""
    goals: list[Goal] = []
    written: dict[str, object] = {}
    if "speed" in parts:
        print(f"{speed.HEAD}\n", end="")
        written["speed"] = [asdict(one) for one in speed.measure(folder, kinds, 4 * MB, databases)]
    if "beside" in parts:
        found = beside.measure(folder, 5, 4.0, 25 * MB, databases)
        written["beside"] = [asdict(one) for one in found]
        for one in found:
            name = f"{one.database}, {'vectors' if one.embedded else 'words'}: create p99 of idle"
            goals.append(Goal(name, one.times, MOST_TIMES, False, "x"))
    if "memory" in parts:
        peaks = memory.measure(folder, large_mb * MB, databases)
        written["memory"] = [asdict(one) for one in peaks]
        for peak in peaks:
            name = f"{peak.database}: memory for {large_mb} MB"
            goals.append(Goal(name, peak.pss, MOST_MIB, False, " MiB"))
    (HERE / "latest-ingestion.json").write_text(json.dumps(written, indent=2) + "\n", "utf-8")
    return goals


def main() -> None:
    """Read the arguments and measure in a temporary folder on the checkout's own disk."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingestion", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--kinds", nargs="+", choices=tuple(MADE), default=tuple(MADE), help="types of files")
    parser.add_argument("--large", type=int, default=500, help="megabytes of the large file (500)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".work-", dir=HERE) as folder:
        goals = run(Path(folder), options.parts, options.databases, options.large, options.kinds)
    print()
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
