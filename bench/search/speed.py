"""How long a search takes: through HTTP at a server, beside the statements that it sends, sent by a bare
driver to the same database. On SQLite and on a PostgreSQL of the bench's own, one search after the other and
from 16 clients, by words alone and by words and vectors.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import load
from bench.postgres.server import running
from bench.report import Goal
from bench.search import data, raw
from bench.servers import Server
from bench.workload import KEY
from threadkeep.storage.database import Database
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.sqlite import SQLiteDatabase

SIZES = (10_000,)
"""Chunks of the store. A million take most of an hour to load."""
CLIENTS = (1, 16)
QUESTIONS = 100
KINDS = ("words", "words and vectors")
DATABASES = ("sqlite", "postgres")
MOST_TIMES = 2.0
"""How many times the bare statements' p50 a search through HTTP may take."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: milliseconds through HTTP, and of the bare statements."""

    database: str
    chunks: int
    kind: str
    clients: int
    p50_ms: float
    p99_ms: float
    raw_p50_ms: float
    raw_p99_ms: float
    searches: int

    @property
    def times(self) -> float:
        """How many times the bare statements' p50."""
        return self.p50_ms / self.raw_p50_ms

    def __str__(self) -> str:
        return (
            f"{self.database:<10}{self.chunks:>10,}  {self.kind:<18}{self.clients:>8}{self.p50_ms:>10.1f}"
            f"{self.p99_ms:>10.1f}{self.raw_p50_ms:>12.1f}{self.raw_p99_ms:>10.1f}{self.times:>8.2f}"
            f"{self.searches:>10}"
        )


HEAD = (
    f"{'database':<10}{'chunks':>10}  {'search by':<18}{'clients':>8}{'p50 ms':>10}{'p99 ms':>10}"
    f"{'raw p50':>12}{'raw p99':>10}{'times':>8}{'searches':>10}"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database that is measured."""

    kind: str
    url: str
    folder: Path

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def server(self, name: str, **settings: str) -> Server:
        """Threadkeep on it, as anyone would run it."""
        given = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_DATABASE_URL": self.url,
            "THREADKEEP_FILES_URL": f"file:///{self.folder / 'files'}",
        }
        command = ["threadkeep", "serve", "--workers", "1"]
        return Server(f"{self.kind}-{name}", command, self.folder, given | settings)

    def opened(self) -> Database:
        if self.kind == "sqlite":
            return SQLiteDatabase(self.path)
        return PostgresDatabase(PostgresOptions(self.url, 4))

    def raw(self, searches: Sequence[raw.Statements], clients: int, seconds: float) -> list[float]:
        if self.kind == "sqlite":
            return raw.times_on_sqlite(self.path, searches, clients, seconds)
        return raw.times_on_postgres(self.url, searches, clients, seconds)


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    (folder / kind).mkdir()
    if kind == "sqlite":
        yield Place(kind, f"sqlite:///{folder / kind / 'speed.db'}", folder / kind)
    else:
        with running(folder / kind / "data") as postgres:
            yield Place(kind, postgres.url, folder / kind)


# ---------------------------------------------------------------- measuring


def run(folder: Path, sizes: Sequence[int], databases: Sequence[str], seconds: float) -> dict[str, Any]:
    """Measure, print a table and the goals; the same for programs. Each number is taken for `seconds`."""
    lines: list[Line] = []
    loads: list[str] = []
    print(HEAD)
    with load.generator() as generator, embedding(folder) as upstream:
        for kind in databases:
            with place(kind, folder) as where:
                for line in measured(where, sorted(sizes), upstream, generator, seconds, loads):
                    print(line, flush=True)
                    lines.append(line)
    print(*loads, *goals(lines), sep="\n")
    return {"lines": [asdict(line) | {"times": round(line.times, 2)} for line in lines], "loads": loads}


@contextmanager
def embedding(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a server with an embedding model."""
    with Server("embeddings", ["bench.search.embeddings"], folder) as server:
        yield {
            "THREADKEEP_UPSTREAM_BASE_URL": f"http://{load.HOST}:{server.port}/v1",
            "THREADKEEP_EMBEDDING_MODEL": data.MODEL,
        }


def measured(
    where: Place,
    sizes: Sequence[int],
    upstream: dict[str, str],
    generator: ProcessPoolExecutor,
    seconds: float,
    loads: list[str],
) -> Iterator[Line]:
    """The lines of one database, which is filled on the way."""
    with where.server("first") as server:
        store_id: str = json.loads(server.ask("POST", "/v1/vector_stores", b"{}").body)["id"]
    held = 0
    for size in sizes:
        said = asyncio.run(filled(where, store_id, held, size))
        loads.append(f"{where.kind}: {held:,} to {size:,} chunks in {said}")
        held = size
        for kind in KINDS:
            near = kind != "words"
            asked = data.questions(QUESTIONS)
            searches = asyncio.run(statements(where, store_id, asked, near))
            with where.server(f"{size}-{near}", **(upstream if near else {})) as server:
                path = f"/v1/vector_stores/{store_id}/search"
                bodies = [json.dumps({"query": one, "max_num_results": 10}).encode() for one in asked]
                requests = [load.request("POST", path, KEY, body) for body in bodies]
                for clients in CLIENTS:
                    warm = load.Job(server.port, requests, clients, count=2 * clients, seconds=60)
                    generator.submit(load.run, warm).result()
                    job = load.Job(server.port, requests, clients, seconds)
                    seen = generator.submit(load.run, job).result()
                    bare = where.raw(searches, clients, seconds)
                    yield Line(
                        where.kind,
                        size,
                        kind,
                        clients,
                        seen.percentile(0.5),
                        seen.percentile(0.99),
                        percentile(bare, 0.5),
                        percentile(bare, 0.99),
                        seen.answers,
                    )


async def filled(where: Place, store_id: str, since: int, until: int) -> str:
    """Fill the store up to so many chunks; how long that took."""
    database = where.opened()
    try:
        if where.kind == "postgres":
            return await data.fill_postgres(where.url, database, store_id, since, until)
        return f"{await data.fill(database, store_id, since, until):.0f} s"
    finally:
        await database.close()


async def statements(where: Place, store_id: str, asked: Sequence[str], near: bool) -> list[raw.Statements]:
    database = where.opened()
    try:
        return [await raw.statements_of(database, store_id, question, near) for question in asked]
    finally:
        await database.close()


def percentile(values: Sequence[float], share: float) -> float:
    return values[min(int(share * len(values)), len(values) - 1)]


def goals(lines: Sequence[Line]) -> Iterator[Goal]:
    """What the project promises itself: the server's part is small beside the database's."""
    for line in lines:
        if line.clients == 1:
            name = f"{line.database}, {line.chunks:,}, {line.kind}: p50 of the raw"
            yield Goal(name, line.times, MOST_TIMES, False, "x")
