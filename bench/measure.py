"""Rounds of every row, interleaved, so that a busy moment of the machine falls on all of them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, TypeVar

from bench import load
from bench.rows import DEPTHS, Row, ServerName, interleaved
from bench.servers import Server

WARM_UP = 0.2
"""Seconds of the same requests before each measurement."""


S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row in one round."""

    rps: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    peak_mib: float


@dataclass(slots=True)
class Measured(Generic[S]):
    """Everything the rounds gave: samples by row name."""

    samples: dict[str, list[S]] = field(default_factory=dict)
    depth_p50: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds a page, by row name, asked over one connection in turn with the others."""

    def median(self, name: str, what: str) -> float:
        """The median over the rounds of one number of a row."""
        return median(getattr(sample, what) for sample in self.samples[name])

    def ratio(self, name: str, other: str, what: str) -> float:
        """How many times `other` a row has of something: the median of the ratios within each round."""
        pairs = zip(self.samples[name], self.samples[other], strict=True)
        return median(getattr(one, what) / getattr(two, what) for one, two in pairs)

    def depth_ratio(self, name: str) -> float:
        """How many times as long as the short thread's a page of the long thread takes."""
        pairs = zip(self.depth_p50[name], self.depth_p50[DEPTHS[0]], strict=True)
        return median(deep / short for deep, short in pairs)


class Bench:
    """Puts load on running servers from the process of `generator`."""

    def __init__(self, servers: Mapping[ServerName, Server], generator: Executor, connections: int) -> None:
        self.servers = servers
        self.generator = generator
        self.connections = connections

    def rounds(self, rows: Sequence[Row], rounds: int, seconds: float) -> Measured[Sample]:
        """Every row `rounds` times for `seconds`, and the pages at every depth beside each other."""
        measured = Measured[Sample]()
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds} ...", flush=True)
            for row in rows:
                measured.samples.setdefault(row.name, []).append(self.sample(row, seconds))
            for name, p50 in self.depths(rows, seconds).items():
                measured.depth_p50.setdefault(name, []).append(p50)
        return measured

    def sample(self, row: Row, seconds: float) -> Sample:
        """One measurement of one row."""
        server = self.servers[row.server]
        self._run(load.Job(server.port, row.requests, self.connections, WARM_UP))
        server.reset_peak()
        cpu = server.cpu_seconds()
        result = self._run(load.Job(server.port, row.requests, self.connections, seconds))
        return Sample(
            rps=result.rps,
            cpu_us=(server.cpu_seconds() - cpu) / result.answers * 1e6,
            p50_ms=result.percentile(0.5),
            p99_ms=result.percentile(0.99),
            peak_mib=server.peak_mib(),
        )

    def depths(self, rows: Sequence[Row], seconds: float) -> dict[str, float]:
        """The p50 of a page at every depth.

        One connection, since answers that queue behind one another would all take equally long.
        """
        port = self.servers["threadkeep"].port
        result = self._run(load.Job(port, interleaved(rows), 1, 2 * seconds, kinds=len(DEPTHS)))
        return {name: result.percentile(0.5, kind) for kind, name in enumerate(DEPTHS)}

    def _run(self, job: load.Job) -> load.Result:
        return self.generator.submit(load.run, job).result()
