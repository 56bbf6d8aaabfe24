"""A backup that was taken while the server worked is served by a fresh server, byte for byte."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import postgres
from tests.support.house import DATABASES, House
from tests.support.plain import plain

KEY = "sk-key-of-the-backup-test"
BYTES = bytes(range(256)) * 300
Restore = Callable[[], str]
"""Puts a backup back in an empty place; the new database's address."""


@pytest.fixture
def house(tmp_path: Path, database: str) -> Iterator[House]:
    with House(tmp_path / "first", database, api_key=KEY) as running:
        yield running


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fill(http: httpx.Client) -> list[str]:
    """Make one of everything; the paths where it can be read."""
    form = {"data": {"purpose": "vision"}, "files": {"file": ("bytes.bin", BYTES)}}
    file = http.post("/v1/files", **form).json()["id"]  # type: ignore[arg-type]
    said = [{"role": "user", "content": f"Grüße, {number} \N{WAVING HAND SIGN}"} for number in range(25)]
    thread = http.post("/v1/threads", json={"messages": said, "metadata": {"a": "b"}}).json()["id"]
    shown = {"type": "image_file", "image_file": {"file_id": file}}
    http.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": [shown]})
    deleted = http.post(f"/v1/threads/{thread}/messages", json=said[0]).json()["id"]
    http.delete(f"/v1/threads/{thread}/messages/{deleted}")
    return [
        "/v1/threads",
        f"/v1/threads/{thread}",
        f"/v1/threads/{thread}/messages?limit=100",
        f"/v1/threads/{thread}/messages?after={deleted}",
        "/v1/files",
        f"/v1/files/{file}/content",
    ]


def read(http: httpx.Client, paths: list[str]) -> dict[str, tuple[int, bytes]]:
    return {path: ((answer := http.get(path)).status_code, answer.content) for path in paths}


def back_up(house: House, to: Path) -> Restore:
    """Copy the database and then the files, while the server works."""
    to.mkdir()
    saved = back_up_postgres if house.settings.database_url.startswith("postgresql") else back_up_sqlite
    restore = saved(house, to)
    shutil.copytree(house.settings.files_path, to / "files")
    return restore


VACUUM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("VACUUM INTO ?", [sys.argv[2]])
connection.close()
"""


def back_up_sqlite(house: House, to: Path) -> Restore:
    """In a process of its own, as anyone would: of two SQLites in one process, neither sees the locks of the
    other, and whichever closes the file takes them away."""
    copy = to / "backup.db"
    command = [sys.executable, "-c", VACUUM, str(house.settings.database_path), str(copy)]
    subprocess.run(command, check=True)
    return lambda: f"sqlite:///{copy}"


def back_up_postgres(house: House, to: Path) -> Restore:
    dump = to / "backup.dump"
    run("pg_dump", "--format=custom", f"--file={dump}", house.settings.database_url)

    def restore() -> str:
        url = postgres.server().empty(f"restored-{to.parent.name}")
        run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={url}", str(dump))
        return url

    return restore


def run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs."""
    path = postgres.server().binaries / program
    done = subprocess.run(
        [path, *arguments], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.promise("operations.backup.restored-serves-the-same")
def test_a_restored_backup_serves_the_same_bytes(house, tmp_path):
    with plain(house, KEY) as http:
        paths = fill(http)
        before = read(http, paths)
        restore = back_up(house, tmp_path / "backup")
        http.post("/v1/threads", json={"metadata": {"made": "after the backup"}})
    files = f"file:///{tmp_path / 'backup' / 'files'}"
    with (
        House(tmp_path / "second", database_url=restore(), files_url=files) as second,
        plain(second, KEY) as http,
    ):
        assert read(http, paths) == before
        assert {status for status, _ in before.values()} == {200}


@pytest.mark.promise("operations.backup.restored-goes-on")
def test_a_restored_backup_can_be_written_to(house, tmp_path):
    with plain(house, KEY) as http:
        thread = http.post("/v1/threads", json={"messages": [{"role": "user", "content": "1"}]}).json()["id"]
        restore = back_up(house, tmp_path / "backup")
    files = f"file:///{tmp_path / 'backup' / 'files'}"
    with (
        House(tmp_path / "second", database_url=restore(), files_url=files) as second,
        plain(second, KEY) as http,
    ):
        http.post(f"/v1/threads/{thread}/messages", json={"role": "user", "content": "2"})
        page = http.get(f"/v1/threads/{thread}/messages?order=asc").json()
    assert [one["content"][0]["text"]["value"] for one in page["data"]] == ["1", "2"]


@pytest.mark.promise("operations.backup.restored-goes-on")
def test_the_server_works_while_it_is_backed_up(house, tmp_path):
    with plain(house, KEY) as http:
        fill(http)
        restore = back_up(house, tmp_path / "backup")
        late = http.post("/v1/threads", json={}).json()["id"]
        assert http.get(f"/v1/threads/{late}").status_code == 200
    with House(tmp_path / "second", database_url=restore()) as second, plain(second, KEY) as http:
        assert http.get(f"/v1/threads/{late}").status_code == 404
