"""Uploads and time, kills, damage, and object storage: nothing is lost, and nothing is left behind."""

import http.client
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.child import Child
from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.plain import plain
from tests.support.s3 import BUCKET, S3, denied, s3
from tests.support.waiting import SECONDS, until
from threadkeep.errors import UploadNotPending
from threadkeep.storage.bucket import PART
from threadkeep.uploads import actions as uploads
from threadkeep.uploads.model import MAX_PARTS, Completion

__all__ = ["denied", "s3"]

KEY = "sk-key-of-the-kill-test"
HOUR, DAY = 3600, 24 * 3600
MIB = 1024 * 1024
NEW = {"filename": "a.bin", "purpose": "vision", "bytes": 6, "mime_type": "x/y"}
UPLOAD_ROWS = "SELECT id, status, parts, bytes_received FROM uploads ORDER BY id"
PART_ROWS = "SELECT id FROM upload_parts ORDER BY id"
PLANS = "SELECT kind, item FROM sweeps WHERE kind <> 'routine' ORDER BY kind, item"


def created(client: httpx.Client, size: int = 6) -> str:
    """The path of a new upload."""
    id = client.post("/v1/uploads", json={**NEW, "bytes": size}).json()["id"]
    return f"/v1/uploads/{id}"


def add(client: httpx.Client, upload: str, content: bytes) -> httpx.Response:
    return client.post(f"{upload}/parts", files={"data": ("part", content)})


def with_parts(client: httpx.Client, *contents: bytes) -> tuple[str, dict[str, Any]]:
    """The path of an upload with these parts, and the body that completes it."""
    upload = created(client, sum(map(len, contents)))
    return upload, {"part_ids": [add(client, upload, one).json()["id"] for one in contents]}


def rows(house: House, sql: str) -> list[tuple[Any, ...]]:
    async def read() -> list[tuple[Any, ...]]:
        async with house.context.database.read() as transaction:
            return [tuple(row) for row in await transaction.all(sql, {})]

    return house.call(read)


def bytes_in(house: House) -> list[str]:
    return sorted(path.name for path in house.settings.files_path.rglob("*") if path.is_file())


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def own(tmp_path: Path, database: str, clock: SetClock) -> Iterator[House]:
    """A server of the test's own."""
    with House(tmp_path, database, clock=clock) as one:
        yield one


@pytest.fixture
def client(own: House) -> Iterator[httpx.Client]:
    with plain(own, own.new_key("p")) as one:
        yield one


# ---------------------------------------------------------------- time


@pytest.mark.promise("uploads.parts-removed", "uploads.over")
def test_an_upload_expires_after_an_hour_and_its_parts_go(
    own: House, client: httpx.Client, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PARTS_REMOVED_AT_ONCE", 2)
    upload, body = with_parts(client, b"a", b"b", b"c", b"d", b"e")
    clock.advance(HOUR - 1)
    assert add(client, upload, b"").status_code == 200
    clock.advance(1)
    for refused in (
        add(client, upload, b"x"),
        client.post(f"{upload}/complete", json=body),
        client.post(f"{upload}/cancel"),
    ):
        assert refused.status_code == 400
        assert "'expired'" in refused.json()["error"]["message"]
    until(lambda: bytes_in(own) == [] and rows(own, PLANS) == [])
    assert rows(own, PART_ROWS) == []
    assert [row[1] for row in rows(own, UPLOAD_ROWS)] == ["expired"]


@pytest.mark.promise("uploads.parts-removed")
def test_a_completed_upload_leaves_its_file_alone(own: House, client: httpx.Client, clock: SetClock) -> None:
    upload, body = with_parts(client, b"abc", b"def")
    file = client.post(f"{upload}/complete", json=body).json()["file"]["id"]
    until(lambda: bytes_in(own) == [file] and rows(own, PLANS) == [])
    assert (rows(own, PART_ROWS), rows(own, UPLOAD_ROWS)[0][1]) == ([], "completed")
    clock.advance(2 * DAY)
    assert client.get(f"/v1/files/{file}/content").content == b"abcdef"


@pytest.mark.promise("uploads.over")
def test_an_upload_that_ends_while_its_file_is_put_together_makes_none(
    own: House, client: httpx.Client
) -> None:
    upload, body = with_parts(client, b"abc", b"def")
    project, id = client.get("/v1/files").headers["openai-project"], upload.rpartition("/")[2]

    async def overtaken() -> None:
        receipt = await uploads.assemble(own.context, project, id, Completion(body["part_ids"]))
        await uploads.cancel(own.context, project, id)
        with pytest.raises(UploadNotPending, match="cancelled"):
            await uploads.complete(own.context, receipt, id)

    own.call(overtaken)
    assert client.get("/v1/files").json()["data"] == []


@pytest.mark.promise("uploads.parts.refused")
def test_an_upload_has_ten_thousand_parts_at_most(own: House, client: httpx.Client) -> None:
    upload = created(client)
    params = {"id": upload.rpartition("/")[2], "parts": MAX_PARTS - 1}

    async def fill() -> None:
        async def work(transaction: Any) -> None:
            await transaction.run("UPDATE uploads SET parts = :parts WHERE id = :id", params)

        await own.context.database.write(work)

    own.call(fill)
    last = add(client, upload, b"x")
    refused = add(client, upload, b"x")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "data")
    assert bytes_in(own) == [last.json()["id"]]
    client.post(f"{upload}/cancel")
    until(lambda: rows(own, PART_ROWS) == [] and rows(own, PLANS) == [])


# ---------------------------------------------------------------- damage


@pytest.mark.promise("uploads.damage-noticed")
@pytest.mark.parametrize("damage", [b"abX", b"ab", None], ids=["bit", "end", "gone"])
def test_a_damaged_part_makes_no_file(own: House, client: httpx.Client, damage: bytes | None) -> None:
    upload, body = with_parts(client, b"abc", b"def")
    (path,) = own.settings.files_path.rglob(body["part_ids"][0])
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert client.post(f"{upload}/complete", json=body).status_code == 500
    assert client.get("/v1/files").json()["data"] == []
    assert set(bytes_in(own)) <= set(body["part_ids"])
    path.write_bytes(b"abc")
    done = client.post(f"{upload}/complete", json=body).json()
    assert client.get(f"/v1/files/{done['file']['id']}/content").content == b"abcdef"


# ---------------------------------------------------------------- kills


def half_a_part(port: int, upload: str) -> http.client.HTTPConnection:
    """A connection over which a part has begun to arrive."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.putrequest("POST", f"{upload}/parts")
    connection.putheader("Authorization", f"Bearer {KEY}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(20_000_000))
    connection.endheaders()
    head = b'--b\r\nContent-Disposition: form-data; name="data"; filename="f"\r\n\r\n'
    connection.send(head + b"x" * 100_000)
    return connection


@pytest.mark.promise("uploads.kill")
def test_a_kill_in_the_middle_of_a_part_or_of_a_completion_leaves_nothing(tmp_path: Path) -> None:
    files = tmp_path / "data" / "files"
    headers = {"Authorization": f"Bearer {KEY}"}

    def found() -> int:
        return len([path for path in files.rglob("*") if path.is_file()])

    content = bytes(MIB)
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        with httpx.Client(base_url=child.address, headers=headers, timeout=SECONDS) as client:
            upload, body = with_parts(client, *[content] * 48)
        assert found() == 48
        cut_off = half_a_part(child.port, upload)
        until(lambda: found() == 49)
        completing = http.client.HTTPConnection("127.0.0.1", child.port, timeout=SECONDS)
        ids = ",".join(f'"{id}"' for id in body["part_ids"])
        sent = {**headers, "Content-Type": "application/json"}
        completing.request("POST", f"{upload}/complete", f'{{"part_ids":[{ids}]}}', sent)
        until(lambda: found() == 50)
        child.kill()
        cut_off.close()
        completing.close()
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        with httpx.Client(base_url=child.address, headers=headers, timeout=SECONDS) as client:
            again = client.post(f"{upload}/complete", json=body)
            (file,) = client.get("/v1/files").json()["data"]
            if not again.is_success:  # the first one was whole just before the kill
                assert "'completed'" in again.json()["error"]["message"]
            assert client.get(f"/v1/files/{file['id']}/content").content == content * 48
        child.stop()
    assert found() > 1
    with House(tmp_path / "data", clock=SetClock(time.time() + DAY + HOUR)):
        until(lambda: found() == 1)


# ---------------------------------------------------------------- memory


@pytest.mark.promise("uploads.memory")
def test_a_file_is_put_together_without_being_in_memory(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    part = bytes(24 * MIB)
    with (
        Child(tmp_path, THREADKEEP_API_KEY=KEY) as child,
        httpx.Client(base_url=child.address, headers=headers, timeout=60) as client,
    ):
        upload, body = with_parts(client, *[part] * 8)
        before = most_memory(child)
        done = client.post(f"{upload}/complete", json=body).json()
        assert done["file"]["bytes"] == 8 * len(part)
        assert most_memory(child) - before < 3 * len(part)
        child.stop()


def most_memory(child: Child) -> int:
    """The most bytes that a process has had in memory."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


# ---------------------------------------------------------------- object storage


@pytest.fixture
def bucket(s3: S3, database: str, clock: SetClock, tmp_path: Path) -> Iterator[House]:
    """A server whose files are in a bucket."""
    url = f"s3://{BUCKET}/{tmp_path.name}"
    with House(tmp_path, database, clock=clock, files_url=url) as one:
        yield one


def names(s3: S3, house: House) -> list[str]:
    """Of all objects that are the house's."""
    return sorted(one.rpartition("/")[2] for one in s3.objects() if f"/{house.directory.name}/" in f"/{one}")


@pytest.mark.promise("uploads.bucket")
@pytest.mark.parametrize("sizes", [(3, 3), (PART + 5, 0, 2 * PART)], ids=["small", "large"])
def test_uploads_work_in_a_bucket(s3: S3, bucket: House, sizes: tuple[int, ...]) -> None:
    contents = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    with plain(bucket, bucket.new_key("p")) as client:
        upload, body = with_parts(client, *contents)
        assert names(s3, bucket) == sorted(body["part_ids"])
        wrong = client.post(f"{upload}/complete", json={**body, "md5": "0" * 32})
        assert (wrong.status_code, names(s3, bucket)) == (400, sorted(body["part_ids"]))
        file = client.post(f"{upload}/complete", json=body).json()["file"]["id"]
        assert client.get(f"/v1/files/{file}/content").content == b"".join(contents)
        until(lambda: names(s3, bucket) == [file])
        assert s3.unfinished() == []


@pytest.mark.promise("uploads.bucket")
@pytest.mark.parametrize("where", ["PUT", "GET .*part_"])
def test_a_completion_that_the_bucket_refuses_may_be_sent_again(
    denied: S3, bucket: House, where: str
) -> None:
    with plain(bucket, bucket.new_key("p")) as client:
        upload, body = with_parts(client, b"abc", b"def")
        denied.denied = lambda request: re.search(where, request) is not None
        refused = client.post(f"{upload}/complete", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "files_unavailable")
        denied.denied = lambda request: False
        assert (names(denied, bucket), denied.unfinished()) == (sorted(body["part_ids"]), [])
        file = client.post(f"{upload}/complete", json=body).json()["file"]["id"]
        assert client.get(f"/v1/files/{file}/content").content == b"abcdef"


@pytest.mark.promise("uploads.bucket")
def test_a_part_that_the_bucket_refuses_leaves_nothing(denied: S3, bucket: House) -> None:
    with plain(bucket, bucket.new_key("p")) as client:
        upload = created(client)
        denied.denied = lambda request: "PUT" in request
        assert add(client, upload, b"abc").status_code == 503
        denied.denied = lambda request: False
        assert (names(denied, bucket), rows(bucket, PART_ROWS)) == ([], [])
