"""What memory a large text takes on its way into a store, in the server and in the process that reads it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ingestion.files import txt
from bench.ingestion.house import DATABASES, House, running

MB = 1_000_000
BLOCK = 5 * MB
BETWEEN_SAMPLES = 0.25


@dataclass(frozen=True, slots=True)
class Peak:
    """MiB above what the server took when idle, before it had read any file."""

    database: str
    idle: float
    pss: float
    rss: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.database}: idle {self.idle:.0f} MiB, then at most {self.pss:.0f} MiB more (PSS; "
            f"resident {self.rss:.0f}), in {self.seconds:.0f} s"
        )


def measure(folder: Path, size: int, databases: Sequence[str] = DATABASES) -> list[Peak]:
    """A file of `size` bytes on each database."""
    path = large(folder, size)
    peaks = []
    for database in databases:
        place = folder / f"memory-{database}"
        place.mkdir()
        with running(place, database, embedded=False, THREADKEEP_INGESTION_SECONDS="3600") as house:
            peaks.append(peak(house, database, path))
        print(peaks[-1], flush=True)
    return peaks


def large(folder: Path, size: int) -> Path:
    """A text of that size, of which each part is like the others but for its number."""
    path = folder / "large.txt"
    block = txt(BLOCK)
    with path.open("wb") as file:
        for number in range(max(1, size // BLOCK)):
            file.write(b"Part %d.\n\n" % number + block + b"\n\n")
    return path


def peak(house: House, database: str, path: Path) -> Peak:
    """The most of all samples, while the file is sent and while it is read."""
    idle_pss, idle_rss = house.memory()
    file_id = house.upload("large.txt", path)
    pss, rss = house.memory()
    began = time.perf_counter()
    store_id = house.store(file_id)
    while not house.is_done(store_id):
        until = time.monotonic() + 4 * BETWEEN_SAMPLES
        while time.monotonic() < until:
            now = house.memory()
            pss, rss = max(pss, now[0]), max(rss, now[1])
            time.sleep(BETWEEN_SAMPLES)
    return Peak(database, idle_pss, pss - idle_pss, rss - idle_rss, time.perf_counter() - began)
