"""A real server on either database, and what is done with its files and stores."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import apsw
import asyncpg

from bench.load import HOST
from bench.postgres.server import Postgres
from bench.postgres.server import running as postgres_running
from bench.servers import Server, family
from bench.workload import KEY

DATABASES = ("sqlite", "postgres")
BOUNDARY = "a-boundary-that-no-file-has"
BLOCK = 1024 * 1024
BETWEEN_LOOKS = 0.05
PATIENCE = 3600.0
SQLITE = "threadkeep.db"


@dataclass(frozen=True, slots=True)
class House:
    """The server, and the database's own processes where it has some."""

    server: Server
    postgres: Postgres | None

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return json.loads(self.server.ask("POST", path, json.dumps(body).encode()).body)

    def get(self, path: str) -> Any:
        return json.loads(self.server.ask("GET", path).body)

    def cpu_seconds(self) -> float:
        """Of the server, the process that reads files, and the database."""
        own = self.server.cpu_seconds()
        return own + (self.postgres.cpu_seconds() if self.postgres else 0.0)

    def memory(self) -> tuple[float, float]:
        """MiB of the server and the process that reads files: what is theirs alone or their share of what
        they share (PSS), and all that is resident (RSS)."""
        pss = rss = 0.0
        for pid in family(self.server):
            with suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        pss += int(line.split()[1]) / 1024
                    elif line.startswith("Rss:"):
                        rss += int(line.split()[1]) / 1024
        return pss, rss

    def upload(self, filename: str, path: Path) -> str:
        """The id of a file, sent as it is read."""
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        ).encode()
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()

        def blocks() -> Iterator[bytes]:
            yield head
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    yield block
            yield tail

        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=PATIENCE)
        connection.request(
            "POST", "/v1/files", blocks(),
            {
                "Authorization": f"Bearer {KEY}",
                "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
            },
        )  # fmt: skip
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"an upload was answered {response.status}: {answer!r}")
        return str(json.loads(answer)["id"])

    def store(self, *file_ids: str) -> str:
        """A store with these files, whose ingestion begins."""
        return str(self.post("/v1/vector_stores", {"file_ids": list(file_ids)})["id"])

    def is_done(self, store_id: str) -> bool:
        """Raises RuntimeError where a file has failed."""
        counts = self.get(f"/v1/vector_stores/{store_id}")["file_counts"]
        if counts["failed"]:
            files = self.get(f"/v1/vector_stores/{store_id}/files?filter=failed")["data"]
            raise RuntimeError(f"a file has failed: {files[0]['last_error']}")
        return bool(counts["in_progress"] == 0)

    def wait(self, store_id: str) -> None:
        until = time.monotonic() + PATIENCE
        while not self.is_done(store_id):
            if time.monotonic() > until:
                raise RuntimeError("a file was not read in time")
            time.sleep(BETWEEN_LOOKS)

    def chunks(self, store_id: str) -> int:
        """How many a store has."""
        sql = "SELECT COUNT(*) FROM chunks WHERE store_id = "
        if self.postgres:
            return asyncio.run(self._count(f"{sql} $1", store_id))
        with closing(apsw.Connection(str(self.server.folder / SQLITE))) as connection:
            return int(cast(int, connection.execute(f"{sql} ?", (store_id,)).fetchall()[0][0]))

    async def _count(self, sql: str, store_id: str) -> int:
        assert self.postgres
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return int(await connection.fetchval(sql, store_id))
        finally:
            await connection.close()

    def forget(self, store_id: str, *file_ids: str) -> None:
        self.server.ask("DELETE", f"/v1/vector_stores/{store_id}")
        for one in file_ids:
            self.server.ask("DELETE", f"/v1/files/{one}")


@contextmanager
def running(folder: Path, database: str, *, embedded: bool, **settings: str) -> Iterator[House]:
    """A server on a database of its own, with an embedding model beside it where it is to have one."""
    with ExitStack() as stack:
        postgres = None
        url = f"sqlite:///{folder / SQLITE}"
        if database == "postgres":
            postgres = stack.enter_context(postgres_running(folder / "postgres"))
            url = postgres.url
        env = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_DATABASE_URL": url,
            "THREADKEEP_FILES_URL": f"file:///{folder / 'files'}",
            **settings,
        }
        if embedded:
            upstream = stack.enter_context(Server("embeddings", ["bench.ingestion.embeddings"], folder))
            env |= {
                "THREADKEEP_UPSTREAM_BASE_URL": f"http://{HOST}:{upstream.port}/v1",
                "THREADKEEP_UPSTREAM_API_KEY": "none",
                "THREADKEEP_EMBEDDING_MODEL": "m",
            }
        server = stack.enter_context(Server("threadkeep", ["threadkeep", "serve"], folder, env))
        yield House(server, postgres)
