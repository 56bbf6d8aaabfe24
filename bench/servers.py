"""Start a server as a child process, wait for it, and read from /proc what it costs."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import uvicorn

from bench.load import HOST
from bench.workload import KEY
from threadkeep.http.cork import CorkedProtocol

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
START_WITHIN = 60.0
STOP_WITHIN = 20.0


def serve(
    app: Callable[..., Any], port: int, lifespan: Literal["on", "off"] = "off", corked: bool = False
) -> None:
    """Serve an ASGI app with the uvicorn settings that Threadkeep serves with, until stopped.

    `corked` also sends answers as Threadkeep does (see `threadkeep.http.cork`).
    """
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        loop="uvloop",
        http=CorkedProtocol if corked else "httptools",
        ws="none",
        lifespan=lifespan,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


def free_port() -> int:
    """A loopback port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def child_environment() -> dict[str, str]:
    """The environment for a child that imports from this checkout, with none of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("THREADKEEP_")}
    return kept | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


class Answer(NamedTuple):
    """One answer, read to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Server:
    """`python -m MODULE ARGUMENTS --port N` as a child, from start to stop, with its costs.

    It runs in `folder`, logs to a file there, and sees no THREADKEEP_ variable but those of `env`.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.command = [sys.executable, "-m", *command, "--port", str(self.port)]
        self.env = child_environment() | dict(env or {})
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One request outside any measurement. Raises RuntimeError for an answer outside 2xx."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        headers = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{self.name} answered {answer.status} to {method} {path}: {answer.body!r}")
        return answer

    def cpu_seconds(self) -> float:
        """CPU time, user and system, that the process and all its children have used."""
        assert self.process is not None, "the server was not started"
        return cpu_seconds(self.process.pid)

    def resident_mib(self) -> float:
        """Memory resident now (VmRSS)."""
        return sum(_status_mib(pid, "VmRSS") for pid in self._family())

    def peak_mib(self) -> float:
        """The most memory that was resident (VmHWM) since the start or the last `reset_peak`."""
        return sum(_status_mib(pid, "VmHWM") for pid in self._family())

    def reset_peak(self) -> None:
        """Let VmHWM begin again at what is resident now."""
        for pid in self._family():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def complaint(self) -> str:
        """The end of what the server logged, for an error message."""
        return self.log.read_text("utf-8", "replace")[-3000:]

    def _family(self) -> list[int]:
        return family(self)

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.complaint()}")
            try:
                self.ask("GET", "/healthz")
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not answer:\n{self.complaint()}")

    def _stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def threadkeep(
    folder: Path,
    database_url: str,
    *,
    name: str = "threadkeep",
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> Server:
    """Threadkeep as anyone would run it."""
    env = {
        "THREADKEEP_API_KEY": KEY,
        "THREADKEEP_DATABASE_URL": database_url,
        "THREADKEEP_FILES_URL": f"file:///{folder / 'files'}",
    }
    command = ["threadkeep", "serve", "--workers", str(workers)]
    return Server(name, command, folder, env | dict(settings or {}))


def family(server: Server) -> list[int]:
    """The process of a server and all that it has started."""
    assert server.process is not None, "the server was not started"
    return list(_with_children(server.process.pid))


def cpu_seconds(pid: int) -> float:
    """CPU time, user and system, that a process and all its children have used, also those that ended."""
    return sum(map(_cpu_ticks, _with_children(pid))) / TICKS


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _with_children(int(child))


def _cpu_ticks(pid: int) -> int:
    """utime + stime + cutime + cstime: fields 14 to 17 of stat, counted after the name in brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended; its parent's figures hold its own
        return 0
    return sum(map(int, fields[11:15]))


def _status_mib(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")
