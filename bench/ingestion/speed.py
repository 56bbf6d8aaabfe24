"""How fast files of each type become searchable, and what that takes of the processors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ingestion.files import file_of, text_bytes
from bench.ingestion.house import DATABASES, House, running

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One type of file: MB of text a second, and CPU seconds of all processes for each MB."""

    database: str
    embedded: bool
    kind: str
    mb: float
    seconds: float
    cpu: float

    @property
    def speed(self) -> float:
        return self.mb / self.seconds

    @property
    def cpu_per_mb(self) -> float:
        return self.cpu / self.mb


def measure(
    folder: Path, kinds: Sequence[str], size: int, databases: Sequence[str] = DATABASES
) -> list[Line]:
    """Each type on each database, with vectors and without."""
    lines = []
    for kind in kinds:
        content = file_of(kind, size)
        (folder / f"file.{kind}").write_bytes(content)
    for database in databases:
        for embedded in (False, True):
            place = folder / f"speed-{database}-{embedded}"
            place.mkdir()
            with running(place, database, embedded=embedded) as house:
                warm_up(house, folder)
                for kind in kinds:
                    path = folder / f"file.{kind}"
                    seconds, cpu = ingest(house, kind, path)
                    mb = text_bytes(kind, size, path.read_bytes()) / MB
                    lines.append(Line(database, embedded, kind, mb, seconds, cpu))
                    print(told(lines[-1]), flush=True)
    return lines


def warm_up(house: House, folder: Path) -> None:
    """Start the processes that read files."""
    path = folder / "small.txt"
    path.write_text("A few words.\n" * 1000, "utf-8")
    house.wait(house.store(*[house.upload("small.txt", path) for _ in range(2)]))


def ingest(house: House, kind: str, path: Path) -> tuple[float, float]:
    """Seconds until the file is searchable, and CPU seconds."""
    file_id = house.upload(f"file.{kind}", path)
    cpu, began = house.cpu_seconds(), time.perf_counter()
    store_id = house.store(file_id)
    house.wait(store_id)
    return time.perf_counter() - began, house.cpu_seconds() - cpu


HEAD = f"{'':<28}{'MB':>7}{'MB/s':>9}{'CPU s/MB':>11}"


def told(line: Line) -> str:
    name = f"{line.database}, {'vectors' if line.embedded else 'words'}, .{line.kind}"
    return f"{name:<28}{line.mb:>7.1f}{line.speed:>9.2f}{line.cpu_per_mb:>11.2f}"
