"""What tests of the server as a process share: one server that was visited, stopped, and looked at."""

import base64
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.child import Child
from tests.support.settings import no_settings

__all__ = ["no_settings"]

WRONG_KEY = "sk-wrong-key-of-the-visitor"


@dataclass
class Visit:
    """What is left of a server that answered some requests of each kind and was then stopped."""

    child: Child
    key: str
    resident_mib: float
    """Before the first request."""
    answers: dict[str, httpx.Response]
    status: int


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The first start in a new directory."""
    with Child(tmp_path_factory.mktemp("visit")) as child:
        assert child.key
        resident = resident_mib(child.process.pid)
        with httpx.Client(base_url=child.address) as http:
            answers = ask_around(http, child.key)
        yield Visit(child, child.key, resident, answers, child.stop())


def ask_around(http: httpx.Client, key: str) -> dict[str, httpx.Response]:
    """Requests in each dialect, with the key in each place, and some that are refused."""
    bearer = {"Authorization": f"Bearer {key}"}
    basic = base64.b64encode(f":{key}".encode()).decode()
    gateway = {b"x-portkey-api-key": key.encode(), b"x-portkey-trace-id": b'my trace="1"\t\x9b2J'}
    thread = http.post("/v1/threads", headers=bearer, json={})
    path = f"/v1/threads/{thread.json()['id']}/messages"
    file = {"file": ("a.txt", b"some bytes")}
    return {
        "v2": thread,
        "v1": http.get(path, headers={**bearer, "OpenAI-Beta": "assistants=v1"}),
        "rubra": http.post("/rubra/threads", headers=bearer, json={}),
        "basic": http.get(path, headers={"Authorization": f"Basic {basic}"}),
        "gateway": http.get(path, headers=gateway),
        "file": http.post("/v1/files", headers=bearer, data={"purpose": "vision"}, files=file),
        "wrong key": http.get(path, headers={"Authorization": f"Bearer {WRONG_KEY}"}),
        "no key": http.get(path),
        "unknown": http.get("/v1/threads/thread_nowhere?limit=7", headers=bearer),
        "health": http.get("/healthz"),
    }


def resident_mib(process: int) -> float:
    """The memory that a process holds."""
    status = Path(f"/proc/{process}/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    said = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=True
    )
    return int(said.stdout) / 1024


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return Path(os.getcwd())
