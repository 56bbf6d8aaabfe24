"""Bytes under a key: all of them or none, and never other ones."""

import asyncio
import hashlib
import os
from pathlib import Path

import httpx
import pytest

from tests.support.waiting import until
from threadkeep.errors import FilesUnavailable
from threadkeep.storage.blobs import CHUNK, UNFINISHED, Blobs, Damaged, Directory, Stored

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024
KEY = "proj_1/file-1"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def blobs(root) -> Blobs:
    return Directory(root)


def content_of(size: int) -> bytes:
    """Bytes of which no two neighbouring chunks are alike."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def in_chunks(content: bytes, size: int = 100_003):
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(blobs: Blobs, stored: Stored) -> bytes:
    return b"".join([chunk async for chunk in await blobs.open(KEY, stored)])


def files_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 12 * MIB + 7])
async def test_what_is_put_is_what_is_streamed(blobs, root, size):
    content = content_of(size)
    stored = await blobs.put(KEY, in_chunks(content))
    assert stored == Stored(size, hashlib.sha256(content).hexdigest())
    assert await read(blobs, stored) == content
    assert files_in(root) == [KEY]


@pytest.mark.parametrize("size", [3000, 12 * MIB])
async def test_nothing_is_visible_under_the_key_before_it_is_whole(blobs, root, size):
    seen = []

    async def chunks():
        async for chunk in in_chunks(content_of(size), size // 3):
            yield chunk
            seen.append(KEY in files_in(root))

    await blobs.put(KEY, chunks())
    assert seen == [False] * 3
    assert files_in(root) == [KEY]


class Torn(Exception):
    """What a test's chunks raise."""


@pytest.mark.parametrize("before", [b"", b"small", content_of(12 * MIB)])
async def test_chunks_that_fail_leave_nothing_behind(blobs, root, before):
    async def chunks():
        yield before
        raise Torn

    with pytest.raises(Torn):
        await blobs.put(KEY, chunks())
    assert files_in(root) == []


@pytest.mark.parametrize("before", [b"small", content_of(12 * MIB)])
async def test_a_put_that_is_called_off_leaves_nothing_behind(blobs, root, before):
    reached = asyncio.Event()

    async def chunks():
        yield before
        reached.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(blobs.put(KEY, chunks()))
    await asyncio.wait_for(reached.wait(), 20)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    until(lambda: files_in(root) == [])


async def test_bytes_and_names_are_on_the_disk_when_put_returns(blobs, root, monkeypatch):
    synced = set()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    await blobs.put(KEY, in_chunks(b"bytes"))
    assert synced == {(root / place).stat().st_ino for place in (KEY, "proj_1", ".")}


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    changed = {
        "a flipped bit": content[:-1] + bytes([content[-1] ^ 1]),
        "a flipped bit at the start": bytes([content[0] ^ 1]) + content[1:],
        "an end cut off": content[:-1],
        "something added": content + b"!",
        "nothing left": b"",
    }
    path.write_bytes(changed[how])


HOWS = ["a flipped bit", "a flipped bit at the start", "an end cut off", "something added", "nothing left"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("size", [10, 3 * CHUNK])
async def test_damaged_bytes_are_noticed_before_the_last_of_them_is_given_out(blobs, root, how, size):
    stored = await blobs.put(KEY, in_chunks(content_of(size)))
    spoil(root / KEY, how)
    given: list[int] = []

    async def give_out() -> None:
        async for chunk in await blobs.open(KEY, stored):
            given.append(len(chunk))

    with pytest.raises(Damaged):
        await give_out()
    assert sum(given) < size


@pytest.mark.promise("files.content.damage-noticed")
@pytest.mark.parametrize("how", HOWS)
def test_a_download_of_damaged_bytes_breaks_off(house, http, caplog, how):
    file = http.post(
        "/v1/files", data={"purpose": "vision"}, files={"file": ("a.bin", content_of(MIB))}
    ).json()
    (path,) = house.settings.files_path.rglob(file["id"])
    spoil(path, how)
    received: list[bytes] = []
    with http.stream("GET", f"/v1/files/{file['id']}/content") as answer:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            received.extend(answer.iter_raw())
        id = answer.headers["x-request-id"]
    assert len(b"".join(received)) < MIB
    assert [one.getMessage() for one in caplog.records if one.name == "threadkeep.http.middleware"] == [
        f"event=answer_broken_off request={id}"
    ]


async def test_deleting_a_key_that_is_not_there_is_fine(blobs, root):
    stored = await blobs.put(KEY, in_chunks(b"bytes"))
    await blobs.delete("proj_1/file-2")
    assert await read(blobs, stored) == b"bytes"
    await blobs.delete(KEY)
    await blobs.delete(KEY)
    assert files_in(root) == []


async def test_deleting_removes_what_a_killed_upload_had_written(blobs, root):
    (root / "proj_1").mkdir()
    (root / (KEY + UNFINISHED)).write_bytes(b"half of i")
    await blobs.delete(KEY)
    assert files_in(root) == []


async def test_a_directory_that_cannot_be_used_is_trouble_and_missing_bytes_are_damage(blobs, root):
    (root / "proj_2").write_bytes(b"no directory")
    with pytest.raises(FilesUnavailable):
        await blobs.put("proj_2/file-1", in_chunks(b"bytes"))
    with pytest.raises(Damaged):
        await blobs.open(KEY, Stored(5, ""))
    assert files_in(root) == ["proj_2"]
