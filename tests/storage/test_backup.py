"""A backup that was taken while the server worked is served by a fresh server, byte for byte."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import postgres
from tests.support.clock import SetClock
from tests.support.house import DATABASES, House
from tests.support.plain import plain
from tests.support.waiting import until
from threadkeep.ids import id_maker
from threadkeep.storage.database import Transaction
from threadkeep.storage.migrate import tables
from threadkeep.virtual_keys.actions import Opener, VirtualKeys
from threadkeep.virtual_keys.model import VirtualKey

KEY, SECRET = "sk-key-of-the-backup-test", "sk-secret-of-a-provider"
BYTES = bytes(range(256)) * 300
NOW = 1_800_000_000
SETTINGS: dict[str, Any] = {"api_key": KEY, "encryption_key": "k" * 32}
ONCE: Any = {"json": {"metadata": {"made": "once"}}, "headers": {"Idempotency-Key": "once"}}
"""A request for a thread, which is repeated."""
NOT_MADE = {"chunk_vectors", "commits", "embedding", "sweeps", "upload_parts", "uploads", "waiting_messages"}
"""Tables for what an embedding model makes, for what the server is just at, and for what cannot be read: an
upload is completed below."""
Asked = tuple[str, str, Any]
"""A method, a path, and what else is sent."""
Restore = Callable[[], str]
"""Puts a backup back in an empty place; the new database's address."""


@pytest.fixture
def house(tmp_path: Path, database: str) -> Iterator[House]:
    with House(tmp_path / "first", database, clock=SetClock(NOW), **SETTINGS) as running:
        yield running


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fill(house: House, http: httpx.Client) -> list[Asked]:
    """Make one of everything; what can be asked about it."""
    conversation = fill_threads(http)
    store = fill_stores(http)
    run = fill_runs(http, conversation)
    house.call(lambda: virtual_keys(house).create("ours", "https://models.example/v1", SECRET))
    assert tables_without_rows(house) <= NOT_MADE
    paths = ["/v1/threads", "/v1/files", "/v1/assistants", "/v1/vector_stores", *conversation, *run, *store]
    found: Asked = ("POST", f"{store[0]}/search", {"json": {"query": "tea"}})
    return [*(("GET", path, {}) for path in paths), found, ("POST", "/v1/threads", ONCE)]


def post(http: httpx.Client, path: str, **sent: Any) -> Any:
    """What is answered to something that must succeed."""
    answer = http.post(path, **sent)
    assert answer.status_code == 200, answer.text
    return answer.json()


def uploaded(http: httpx.Client, name: str, content: bytes, purpose: str) -> str:
    """A new file; its id."""
    form: Any = {"data": {"purpose": purpose}, "files": {"file": (name, content)}}
    return str(post(http, "/v1/files", **form)["id"])


def fill_threads(http: httpx.Client) -> list[str]:
    """A thread with many messages, of which one is gone and one has files; paths about it, its own first. And
    one that is made with a key."""
    file, other = uploaded(http, "bytes.bin", BYTES, "vision"), uploaded(http, "t.txt", b"a", "assistants")
    said = [{"role": "user", "content": f"Grüße, {number} \N{WAVING HAND SIGN}"} for number in range(25)]
    made = post(http, "/v1/threads", json={"messages": said, "metadata": {"a": "b"}})["id"]
    thread = f"/v1/threads/{made}"
    shown = {"type": "image_file", "image_file": {"file_id": file}}
    attached = {"file_id": other, "tools": [{"type": "code_interpreter"}]}
    message = {"role": "user", "content": [shown], "attachments": [attached]}
    post(http, f"{thread}/messages", json=message)
    deleted = post(http, f"{thread}/messages", json=said[0])["id"]
    http.delete(f"{thread}/messages/{deleted}")
    post(http, "/v1/threads", **ONCE)
    return [
        thread,
        f"{thread}/messages?limit=100",
        f"{thread}/messages?after={deleted}",
        f"/v1/files/{file}/content",
    ]


def fill_stores(http: httpx.Client) -> list[str]:
    """A vector store with a file and a batch, both searchable, and an assistant of v1 with a file of its own;
    paths about the store, its own first."""
    one, other = (uploaded(http, f"{name}.txt", b"Tea is green.", "assistants") for name in "ab")
    store = f"/v1/vector_stores/{post(http, '/v1/vector_stores', json={'file_ids': [one]})['id']}"
    batch = post(http, f"{store}/file_batches", json={"file_ids": [other]})["id"]
    v1 = {"OpenAI-Beta": "assistants=v1"}
    body = {"model": "echo", "tools": [{"type": "retrieval"}], "file_ids": [one]}
    post(http, "/v1/assistants", json=body, headers=v1)
    until(lambda: {one["status"] for one in http.get("/v1/vector_stores").json()["data"]} == {"completed"})
    return [store, f"{store}/files", f"{store}/files/{one}/content", f"{store}/file_batches/{batch}"]


def fill_runs(http: httpx.Client, conversation: list[str]) -> list[str]:
    """A run that is over, and its step; paths about it."""
    assistant = post(http, "/v1/assistants", json={"model": "echo", "instructions": "Be brief."})["id"]
    runs = f"{conversation[0]}/runs"
    run = f"{runs}/{post(http, runs, json={'assistant_id': assistant})['id']}"
    until(lambda: http.get(run).json()["status"] == "completed")
    return [f"/v1/assistants/{assistant}", runs, run, f"{run}/steps"]


def virtual_keys(house: House) -> VirtualKeys:
    return VirtualKeys(house.context.database, house.clock, id_maker(house.clock), house.settings)


def opened_keys(house: House) -> list[tuple[VirtualKey, tuple[str, str]]]:
    """Every virtual key, and what it leads to."""
    opener = Opener(house.context.database, house.settings)
    keys = house.call(virtual_keys(house).list)
    return [(key, house.call(partial(opener, key.id))) for key in keys]


def tables_without_rows(house: House) -> set[str]:
    async def work(transaction: Transaction) -> set[str]:
        names = [*tables(transaction.engine)]
        return {name for name in names if not await transaction.all(f"SELECT 1 FROM {name} LIMIT 1", {})}

    return house.call(lambda: house.context.database.scan(work))


def read(http: httpx.Client, asked: list[Asked]) -> list[tuple[int, bytes]]:
    """What each is answered with: status and body."""
    answers = [http.request(method, path, **sent) for method, path, sent in asked]
    return [(answer.status_code, answer.content) for answer in answers]


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


def restored(restore: Restore, directory: Path) -> House:
    """A fresh server on a backup, to be entered."""
    files = f"file:///{directory / 'backup' / 'files'}"
    return House(
        directory / "second", database_url=restore(), files_url=files, clock=SetClock(NOW), **SETTINGS
    )


@pytest.mark.promise("operations.backup.restored-serves-the-same")
def test_a_restored_backup_serves_the_same_bytes(house, tmp_path):
    with plain(house, KEY) as http:
        asked = fill(house, http)
        before, keys = read(http, asked), opened_keys(house)
        restore = back_up(house, tmp_path / "backup")
        http.post("/v1/threads", json={"metadata": {"made": "after the backup"}})
    with restored(restore, tmp_path) as second, plain(second, KEY) as http:
        assert read(http, asked) == before
        assert {status for status, _ in before} == {200}
        assert [opened for _, opened in keys] == [("https://models.example/v1", SECRET)]
        assert opened_keys(second) == keys


@pytest.mark.promise("operations.backup.restored-goes-on")
def test_a_restored_backup_can_be_written_to(house, tmp_path):
    with plain(house, KEY) as http:
        thread = post(http, "/v1/threads", json={"messages": [{"role": "user", "content": "1"}]})["id"]
        new = {"filename": "a.txt", "purpose": "vision", "bytes": 6, "mime_type": "text/plain"}
        upload = f"/v1/uploads/{post(http, '/v1/uploads', json=new)['id']}"
        parts = [post(http, f"{upload}/parts", files={"data": ("part", b"abc")})["id"]]
        restore = back_up(house, tmp_path / "backup")
    with restored(restore, tmp_path) as second, plain(second, KEY) as http:
        post(http, f"/v1/threads/{thread}/messages", json={"role": "user", "content": "2"})
        page = http.get(f"/v1/threads/{thread}/messages?order=asc").json()
        parts.append(post(http, f"{upload}/parts", files={"data": ("part", b"def")})["id"])
        file = post(http, f"{upload}/complete", json={"part_ids": parts})["file"]["id"]
        content = http.get(f"/v1/files/{file}/content").content
    assert [one["content"][0]["text"]["value"] for one in page["data"]] == ["1", "2"]
    assert content == b"abcdef"


@pytest.mark.promise("operations.backup.restored-goes-on")
def test_the_server_works_while_it_is_backed_up(house, tmp_path):
    with plain(house, KEY) as http:
        fill(house, http)
        restore = back_up(house, tmp_path / "backup")
        late = http.post("/v1/threads", json={}).json()["id"]
        assert http.get(f"/v1/threads/{late}").status_code == 200
    with restored(restore, tmp_path) as second, plain(second, KEY) as http:
        assert http.get(f"/v1/threads/{late}").status_code == 404
