"""A database that cannot be used: told as what it is, nothing stored, and over when the cause is over."""

import asyncio
from collections.abc import Iterator

import apsw
import httpx
import pytest

from tests.storage.conftest import open_notebook
from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.waiting import until
from threadkeep.errors import Unavailable

PAGE = 4096
OVER = {
    "error": {
        "message": "The server cannot reach its database just now, so your request is not confirmed. "
        "Please retry it; with an Idempotency-Key it takes effect once.",
        "type": "server_error",
        "param": None,
        "code": "database_unavailable",
    }
}


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def house(tmp_path, monkeypatch, clock) -> Iterator[House]:
    """A server of the test's own, which waits only a moment for a lock."""
    monkeypatch.setattr("threadkeep.storage.sqlite.BUSY_MILLISECONDS", 20)
    with House(tmp_path, clock=clock) as running:
        yield running


def in_the_writer(house: House, pragma: str) -> int:
    """Run a PRAGMA on the connection that writes; its value."""
    database = house.context.database

    async def work(transaction):
        row = await transaction.one(f"PRAGMA {pragma}", {})
        return row[0] if row else 0

    return house.call(lambda: database.write(work))


class WriteLock:
    """Another program holds the write lock and does not let go."""

    def __init__(self, house: House) -> None:
        self.other = apsw.Connection(str(house.settings.database_path))
        self.other.set_busy_timeout(5_000)  # the server may be writing something of its own just now
        self.other.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self.other.close()


class FullDisk:
    """The database may not grow by a single page."""

    def __init__(self, house: House) -> None:
        self.house = house
        in_the_writer(house, f"max_page_count = {in_the_writer(house, 'page_count')}")

    def end(self) -> None:
        in_the_writer(self.house, "max_page_count = 1000000")


class ReadOnly:
    """The database takes no writes."""

    def __init__(self, house: House) -> None:
        self.writing = house.context.database._writing  # type: ignore[attr-defined]
        self.writing.execute("PRAGMA query_only = ON")

    def end(self) -> None:
        self.writing.execute("PRAGMA query_only = OFF")


@pytest.mark.promise("server.database.unavailable")
@pytest.mark.parametrize("trouble", [WriteLock, FullDisk, ReadOnly])
def test_a_write_that_cannot_be_made_answers_503_and_stores_nothing(house, http, trouble):
    thread = http.post("/v1/threads", json={}).json()["id"]
    messages = f"/v1/threads/{thread}/messages"
    body = {"role": "user", "content": "x" * 50_000}
    cause = trouble(house)
    refused = http.post(messages, json=body)
    assert (refused.status_code, refused.json()) == (503, OVER)
    assert refused.headers["retry-after"] == "1"
    assert http.get(messages).json()["data"] == []
    cause.end()
    assert http.post(messages, json=body).status_code == 200
    assert len(http.get(messages).json()["data"]) == 1


@pytest.mark.promise("server.database.unavailable")
def test_bytes_whose_row_could_not_be_written_are_gone_a_day_later(house, http, clock):
    cause = FullDisk(house)
    statuses = set()
    for _ in range(40):  # small rows, until one of them needs a page
        answer = http.post("/v1/files", data={"purpose": "vision"}, files={"file": ("a" * 1000, b"bytes")})
        statuses.add(answer.status_code)
    cause.end()
    stored = {file["id"] for file in http.get("/v1/files").json()["data"]}
    assert statuses == {200, 503}
    clock.advance(24 * 3600 + 1)
    until(lambda: {path.name for path in house.settings.files_path.rglob("file-*")} == stored)


@pytest.mark.promise("server.database.unavailable")
def test_rubra_clients_get_the_503_in_their_own_form(house, http):
    cause = ReadOnly(house)
    refused = http.post("/rubra/threads", json={})
    cause.end()
    assert (refused.status_code, refused.json()) == (503, {"detail": OVER["error"]["message"]})


def test_reads_go_on_while_nothing_can_be_written(house, http):
    thread = http.post("/v1/threads", json={"messages": [{"role": "user", "content": "still here"}]}).json()
    for trouble in (WriteLock, FullDisk, ReadOnly):
        cause = trouble(house)
        page = http.get(f"/v1/threads/{thread['id']}/messages").json()
        assert page["data"][0]["content"][0]["text"]["value"] == "still here"
        cause.end()


@pytest.mark.parametrize(("trouble", "reason"), [(FullDisk, "full"), (ReadOnly, "read_only")])
def test_readyz_says_why_nothing_can_be_written(house, http, trouble, reason):
    large = {"messages": [{"role": "user", "content": "x" * 50_000}]}
    cause = trouble(house)

    def told() -> tuple[int, str]:
        assert http.post("/v1/threads", json=large).status_code == 503
        answer = http.get("/readyz")
        return answer.status_code, answer.json().get("reason", "")

    until(lambda: told() == (503, reason))  # a small write of the sweeper's may still find room meanwhile
    cause.end()
    assert http.post("/v1/threads", json={}).status_code == 200
    assert http.get("/readyz").status_code == 200


def test_readyz_says_that_the_database_cannot_be_read(house):
    assert httpx.get(house.address + "/readyz").status_code == 200
    house.call(lambda: closed(house.context.database._reader))
    answer = httpx.get(house.address + "/readyz")
    why = {"reason": "failing", "detail": "ConnectionClosedError"}
    assert (answer.status_code, answer.json()) == (503, {**OVER, **why})
    assert httpx.get(house.address + "/healthz").status_code == 200


async def closed(reader) -> None:
    reader.close()


@pytest.mark.anyio
async def test_damage_on_the_disk_is_told_as_such_each_time(tmp_path):
    path = tmp_path / "notes.db"
    notebook = await open_notebook(path)
    for number in range(40):
        await notebook.add(f"{number:02}" + "x" * 2000)
    await notebook.close()
    sound = path.read_bytes()
    path.write_bytes(sound[:PAGE] + b"\xff" * (len(sound) - PAGE))  # only the schema is left
    damaged = await open_notebook(path)
    for _ in range(2):
        with pytest.raises(Unavailable, match="malformed"):
            await damaged.notes()
        await asyncio.sleep(0)
    await damaged.close()
