"""What those notice who create messages while files are read at full speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load
from bench.ingestion.files import txt
from bench.ingestion.house import DATABASES, House, running
from bench.ingestion.speed import warm_up
from bench.load import Job
from bench.workload import KEY, MESSAGE

CLIENTS = 16
THREADS = 64
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds and creates a second, idle and while two files are read: the median of the rounds."""

    database: str
    embedded: bool
    idle: tuple[float, float, float]
    beside: tuple[float, float, float]
    mb_per_second: float

    @property
    def times(self) -> float:
        """The p99 beside ingestion in times of the p99 without."""
        return self.beside[1] / self.idle[1]

    def __str__(self) -> str:
        name = f"{self.database}, {'vectors' if self.embedded else 'words'}"
        return (
            f"{name}: create p50 {self.idle[0]:.1f} ms and p99 {self.idle[1]:.1f} ms at {self.idle[2]:.0f}/s "
            f"idle; {self.beside[0]:.1f} and {self.beside[1]:.1f} ms at {self.beside[2]:.0f}/s beside "
            f"{self.mb_per_second:.2f} MB/s; p99 {self.times:.2f} times"
        )


def measure(
    folder: Path, rounds: int, seconds: float, size: int, databases: Sequence[str] = DATABASES
) -> list[Beside]:
    """Rounds of idle and ingesting in turn; the two files of a round have `size` bytes each."""
    path = folder / "beside.txt"
    path.write_bytes(txt(size))
    found = []
    for database in databases:
        for embedded in (False, True):
            place = folder / f"beside-{database}-{embedded}"
            place.mkdir()
            with running(place, database, embedded=embedded) as house:
                warm_up(house, folder)
                found.append(one(house, database, embedded, path, rounds, seconds))
            print(found[-1], flush=True)
    return found


def one(house: House, database: str, embedded: bool, path: Path, rounds: int, seconds: float) -> Beside:
    requests = creates(house)
    idle, beside, speeds = [], [], []
    with load.generator() as generator:

        def created() -> tuple[float, float, float]:
            job = Job(house.server.port, requests, connections=CLIENTS, seconds=seconds)
            result = generator.submit(load.run, job).result()
            return result.percentile(0.5), result.percentile(0.99), result.rps

        created()
        for _ in range(rounds):
            idle.append(created())
            files = [house.upload("beside.txt", path) for _ in range(2)]
            store_id = house.store(*files)
            before = house.chunks(store_id)
            beside.append(created())
            if house.is_done(store_id):
                raise RuntimeError("the files were read too soon: take larger ones")
            speeds.append((house.chunks(store_id) - before) / seconds)
            house.wait(store_id)
            of_all = house.chunks(store_id)
            speeds[-1] *= 2 * path.stat().st_size / MB / of_all
    return Beside(database, embedded, middle(idle), middle(beside), median(speeds))


def creates(house: House) -> list[bytes]:
    """Creating a message in each of some threads."""
    threads = [house.post("/v1/threads", {})["id"] for _ in range(THREADS)]
    return [load.request("POST", f"/v1/threads/{one}/messages", KEY, MESSAGE) for one in threads]


def middle(rounds: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    p50, p99, rate = (median(values) for values in zip(*rounds, strict=True))
    return p50, p99, rate
