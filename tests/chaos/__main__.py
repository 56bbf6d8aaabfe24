"""`python -m tests.chaos --rounds 20`: break things for so many rounds, then print what was counted."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.rounds import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often something is broken (20)")
    parser.add_argument("--seed", type=int, default=20260826, help="what chooses where and when")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tk-chaos-") as directory:
        counts, wrong = run(Path(directory), options.rounds, options.seed)
    print("\n".join(counts.lines()))
    for one in wrong:
        print(f"WRONG: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
