"""Rounds of every row, interleaved, so that a busy moment of the machine falls on all of them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from bench import load
from bench.load import Result
from bench.measure import Measured
from bench.postgres import pgbench, wrk
from bench.postgres.data import sql, value
from bench.postgres.rows import Row
from bench.postgres.server import Postgres
from bench.servers import Server

WARM_UP = 1.0
"""Seconds of the same requests before each measurement."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row in one round. The CPU is Threadkeep's and PostgreSQL's, in microseconds a request, and the
    write-ahead log is in bytes a request."""

    rps: float
    cpu_us: float
    postgres_us: float
    wal_bytes: float
    p50_ms: float
    p99_ms: float


class Bench:
    """Puts load on a running PostgreSQL, straight and through Threadkeep."""

    def __init__(
        self,
        postgres: Postgres,
        servers: Mapping[int, Server],
        generator: Executor,
        variables: Mapping[str, str],
    ) -> None:
        self.postgres, self.servers, self.generator = postgres, servers, generator
        self.variables = variables

    def rounds(self, rows: Sequence[Row], rounds: int, seconds: int) -> Measured[Sample]:
        """Every row `rounds` times for `seconds`."""
        measured = Measured[Sample]()
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds} ...", flush=True)
            sql(self.postgres.url, "CHECKPOINT")
            for row in rows:
                measured.samples.setdefault(row.name, []).append(self.sample(row, seconds))
        return measured

    def sample(self, row: Row, seconds: int) -> Sample:
        """One measurement of one row."""
        server = self.servers.get(row.workers)
        if server:
            self._run(row, WARM_UP)
        log = self._log_bytes()
        own, postgres = server.cpu_seconds() if server else 0.0, self.postgres.cpu_seconds()
        result = self._run(row, seconds)
        spent = server.cpu_seconds() - own if server else 0.0
        return Sample(
            rps=result.rps,
            cpu_us=spent / result.answers * 1e6,
            postgres_us=(self.postgres.cpu_seconds() - postgres) / result.answers * 1e6,
            wal_bytes=(self._log_bytes() - log) / result.answers,
            p50_ms=result.percentile(0.5),
            p99_ms=result.percentile(0.99),
        )

    def _log_bytes(self) -> int:
        """How much write-ahead log the server has written since its beginning."""
        return int(value(self.postgres.url, "SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def _run(self, row: Row, seconds: float) -> Result:
        if not row.workers:
            threads = {"first": str(row.threads[0]), "last": str(row.threads[-1])}
            variables = {**self.variables, **threads}
            return pgbench.run(self.postgres, row.script, variables, row.connections, round(seconds))
        job = load.Job(self.servers[row.workers].port, row.requests, row.connections, seconds)
        return self.generator.submit(wrk.run if wrk.is_installed() else load.run, job).result()
