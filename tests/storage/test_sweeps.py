"""Deletions that are finished later: a little at a time, whatever stops the server in between."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.waiting import until
from threadkeep import sweeping
from threadkeep.app import open_context
from threadkeep.context import Context
from threadkeep.files import actions as files
from threadkeep.files.model import Upload
from threadkeep.ids import id_maker
from threadkeep.messages import actions as messages
from threadkeep.messages.model import Attachment, NewMessage, Tool, message_of, plain_text
from threadkeep.settings import Settings
from threadkeep.storage import sweeps
from threadkeep.storage.sweeps import BATCH, SECONDS_TO_RETRY, Sweeper
from threadkeep.threads import actions as threads
from threadkeep.threads.model import NewThread

pytestmark = pytest.mark.anyio
PROJECT = "proj_1"
DAY = 24 * 3600
ROWS_OF = {
    "messages": "SELECT COUNT(*) FROM messages",
    "threads": "SELECT COUNT(*) FROM threads",
    "pairs": "SELECT COUNT(*) FROM thread_metadata",
    "uses": "SELECT COUNT(*) FROM file_uses",
    "files": "SELECT COUNT(*) FROM files",
    "tombstones": "SELECT COUNT(*) FROM tombstones",
    "sweeps": "SELECT COUNT(*) FROM sweeps WHERE kind <> 'routine'",
}


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def context(tmp_path, clock) -> AsyncIterator[Context]:
    """What rooms work with, without a server that sweeps."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'threadkeep.db'}", files_url=f"file:///{tmp_path / 'files'}"
    )
    async with open_context(settings, clock, id_maker(clock)) as opened:
        yield opened


@pytest.fixture
def sweeper(context, clock) -> Sweeper:
    return Sweeper(context.database, clock, sweeping.handlers(context))


async def rows(context: Context, *names: str) -> dict[str, int]:
    """How many rows there are of each kind."""
    async with context.database.read() as transaction:
        counts = {name: await transaction.one(ROWS_OF[name], {}) for name in names}
    return {name: count[0] for name, count in counts.items() if count}


def hello(times: int) -> NewThread:
    return NewThread([NewMessage("user", plain_text("hello"))] * times, {"a": "b"})


async def content(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def blobs_in(context: Context) -> int:
    return len([path for path in context.settings.files_path.rglob("*") if path.is_file()])


async def swept(sweeper: Sweeper) -> int:
    """Sweep until nothing is due; how many times it took."""
    times = 1
    while await sweeper.sweep():
        times += 1
    return times


async def test_a_deleted_threads_messages_go_in_steps(context, sweeper, monkeypatch):
    monkeypatch.setattr(sweeping, "ROWS", 10)
    thread = await threads.create(context, PROJECT, hello(25))
    await threads.create(context, PROJECT, hello(3))
    await threads.delete(context, PROJECT, thread.id)
    left = []
    while await sweeper.sweep():
        left.append((await rows(context, "messages"))["messages"])
    assert left == [18, 8, 3]
    assert await rows(context, "threads", "messages", "pairs", "sweeps") == {
        "threads": 1,
        "messages": 3,
        "pairs": 1,
        "sweeps": 0,
    }


async def uploaded(context: Context) -> Attachment:
    receipt = await files.receive(context, PROJECT, content(b"bytes"))
    file = await files.keep(context, receipt, "a.txt", Upload("assistants"))
    return Attachment(file.id, [Tool("code_interpreter")])


async def test_a_deleted_threads_tombstones_and_file_uses_go_too(context, sweeper):
    """Those of its deleted messages, and of files that were deleted from under its messages."""
    kept, gone = await uploaded(context), await uploaded(context)
    thread = await threads.create(context, PROJECT, hello(2))
    new = NewMessage("user", plain_text("read these"), [kept, gone])
    deleted = message_of(await messages.create(context, PROJECT, thread.id, new))
    await messages.create(context, PROJECT, thread.id, new)
    await files.delete(context, PROJECT, gone.file_id)
    await messages.delete(context, PROJECT, thread.id, deleted.id)
    assert await rows(context, "tombstones", "uses") == {"tombstones": 3, "uses": 2}
    await threads.delete(context, PROJECT, thread.id)
    await swept(sweeper)
    assert await rows(context, "messages", "uses", "files") == {"messages": 0, "uses": 0, "files": 1}
    async with context.database.read() as transaction:
        left = await transaction.all("SELECT parent_id, id FROM tombstones ORDER BY parent_id, id", {})
    assert left == [(PROJECT, gone.file_id), (PROJECT, thread.id)]  # for those who page through them


async def test_bytes_of_an_upload_without_a_row_are_removed_after_a_day(context, sweeper, clock):
    await files.receive(context, PROJECT, content(b"abandoned"))
    kept = await files.receive(context, PROJECT, content(b"kept"))
    await files.keep(context, kept, "a.txt", Upload("vision"))
    clock.advance(DAY - 1)
    await swept(sweeper)
    assert blobs_in(context) == 2
    clock.advance(1)
    await swept(sweeper)
    assert blobs_in(context) == 1
    file = await files.downloadable(context, PROJECT, kept.id)
    stream = await files.content(context, PROJECT, file, None)
    assert b"".join([chunk async for chunk in stream]) == b"kept"


async def test_a_deleted_files_bytes_are_removed(context, sweeper):
    receipt = await files.receive(context, PROJECT, content(b"bytes"))
    await files.keep(context, receipt, "a.txt", Upload("vision"))
    await files.delete(context, PROJECT, receipt.id)
    await swept(sweeper)
    assert blobs_in(context) == 0
    assert await rows(context, "files", "sweeps") == {"files": 0, "sweeps": 0}


@pytest.mark.promise("files.expiry.bytes-removed")
async def test_a_file_goes_when_it_expires(context, sweeper, clock):
    receipt = await files.receive(context, PROJECT, content(b"bytes"))
    await files.keep(context, receipt, "a.txt", Upload("vision", expires_after=3600))
    clock.advance(3599)
    await swept(sweeper)
    assert (await rows(context, "files"), blobs_in(context)) == ({"files": 1}, 1)
    clock.advance(1)
    await swept(sweeper)
    assert await rows(context, "files") == {"files": 0}
    await swept(sweeper)  # the bytes follow the row
    assert (await rows(context, "sweeps"), blobs_in(context)) == ({"sweeps": 0}, 0)


async def test_deleting_a_file_before_it_expires_calls_its_expiry_off(context, sweeper, clock):
    receipt = await files.receive(context, PROJECT, content(b"bytes"))
    await files.keep(context, receipt, "a.txt", Upload("vision", expires_after=3600))
    await files.delete(context, PROJECT, receipt.id)
    await swept(sweeper)
    assert await rows(context, "files", "sweeps") == {"files": 0, "sweeps": 0}


async def test_what_cannot_be_swept_stands_aside_and_comes_back(context, clock, caplog):
    attempts: list[str] = []
    broken = True

    async def handler(item: str) -> bool:
        attempts.append(item)
        if broken and item != "z sound":
            raise OSError("the disk is away")
        return True

    async def plan(transaction):
        for item in [*(f"broken {number:02}" for number in range(BATCH)), "z sound"]:
            await sweeps.plan(transaction, "blob", item, int(clock()))

    await context.database.write(plan)
    sweeper = Sweeper(context.database, clock, {"blob": handler})
    await swept(sweeper)
    assert attempts.count("z sound") == 1
    assert len(attempts) == BATCH + 1
    assert "event=sweep_failed kind=blob item=broken 00" in caplog.text
    broken = False
    clock.advance(SECONDS_TO_RETRY)
    await swept(sweeper)
    assert await rows(context, "sweeps") == {"sweeps": 0}


# ------------------------------------------------------------------ across two lives of a server


@pytest.fixture
def no_sweeps(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """A server that stops before it sweeps anything; `undo()` gives it the time."""

    async def nothing(_: Sweeper) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Sweeper, "sweep", nothing)
        yield patch


def count(house: House, name: str) -> int:
    return house.call(lambda: rows(house.context, name))[name]


@pytest.mark.promise("server.restart.finishes-deletions")
def test_a_deletion_that_a_stop_cut_short_is_finished_at_the_next_start(tmp_path, no_sweeps):
    with House(tmp_path) as first, httpx.Client(base_url=first.base_url) as http:
        http.headers["Authorization"] = f"Bearer {first.new_key('ours')}"
        thread = http.post("/threads", json={"messages": [{"role": "user", "content": "hello"}] * 30}).json()
        file = http.post("/files", data={"purpose": "vision"}, files={"file": ("a.txt", b"bytes")}).json()
        assert http.delete(f"/threads/{thread['id']}").json()["deleted"]
        assert http.delete(f"/files/{file['id']}").json()["deleted"]
        assert count(first, "messages") == 30
    no_sweeps.undo()
    with House(tmp_path) as second:
        until(lambda: count(second, "sweeps") == 0)
        assert count(second, "messages") == 0
        assert blobs_in(second.context) == 0
