"""`python -m bench.search`: how good the answers of a search are, and how long they take.

Prints tables, and writes bench/latest-search.json. The model, and the vectors that it made, stay in
bench/.cache, since they take most of the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench.search import quality, speed
from bench.search.corpus import PACKAGES

HERE = Path(__file__).resolve().parent.parent
PARTS = ("quality", "speed")


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What was found, for programs."""
    found: dict[str, Any] = {}
    if options.only in (None, "quality"):
        (folder / "quality").mkdir()
        lines = quality.run(folder / "quality", HERE / ".cache", options.corpus)
        found["quality"] = msgspec.to_builtins(lines)
    if options.only in (None, "speed"):
        found["speed"] = speed.run(folder, options.chunks or speed.SIZES, speed.DATABASES, options.seconds)
    return found


def main() -> None:
    """Read the arguments and measure in a temporary folder on the checkout's own disk."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part of the measurements")
    parser.add_argument(
        "--corpus", choices=sorted(PACKAGES), default=quality.CORPUS, help="what is asked about (python)"
    )
    parser.add_argument("--chunks", type=int, action="append", help="chunks in the store (10000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of searches for each number (5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".work-", dir=HERE) as folder:
        found = measure(Path(folder), options)
    (HERE / "latest-search.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
