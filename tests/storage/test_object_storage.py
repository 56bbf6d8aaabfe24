"""Files in a bucket: as in a directory, with nothing left behind, and trouble told as what it is."""

import asyncio
import hashlib
import re
from collections.abc import Iterator

import httpx
import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.s3 import BUCKET, S3, denied, s3
from tests.support.waiting import until
from threadkeep.errors import FilesUnavailable
from threadkeep.settings import BadSettings, Settings
from threadkeep.span import Span
from threadkeep.storage.blobs import Damaged, Stored
from threadkeep.storage.bucket import PART, Bucket, store_at
from threadkeep.storage.sweeps import SECONDS_TO_RETRY

__all__ = ["denied", "s3"]

MIB = 1024 * 1024
MOST = 20 * MIB
PREFIX = "some/where"
URL = f"s3://{BUCKET}/{PREFIX}"
OVER = {
    "error": {
        "message": "The server cannot reach its file storage just now. Nothing was stored; please retry your "
        "request.",
        "type": "server_error",
        "param": None,
        "code": "files_unavailable",
    }
}


@pytest.fixture(scope="module")
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="module")
def house(s3: S3, clock: SetClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose files are in the bucket."""
    directory = tmp_path_factory.mktemp("bucket")
    with House(directory, clock=clock, files_url=URL, max_file_bytes=MOST) as one:
        yield one
    assert [path.name for path in directory.iterdir() if path.is_dir()] == []


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def upload(http: httpx.Client, content: bytes) -> httpx.Response:
    return http.post("/v1/files", data={"purpose": "vision"}, files={"file": ("a.bin", content)})


def content(http: httpx.Client, file: str) -> httpx.Response:
    return http.get(f"/v1/files/{file}/content")


# ---------------------------------------------------------------- what is stored


@pytest.mark.promise("files.bucket")
@pytest.mark.parametrize("size", [0, 5, PART, MOST])
def test_what_is_uploaded_comes_back_and_is_gone_when_deleted(s3, http, size):
    s3.requests.clear()
    file = upload(http, content_of(size)).json()
    assert (file["bytes"], http.get("/v1/files").json()["data"]) == (size, [file])
    (key,) = (one for one in s3.objects() if one.endswith(file["id"]))
    assert re.fullmatch(f"{PREFIX}/proj_[^/]+/{file['id']}", key)
    parts = [one for one in s3.requests if "partNumber=" in one]
    assert len(parts) == (-(-size // PART) if size >= PART else 0)
    assert content(http, file["id"]).content == content_of(size)
    assert http.delete(f"/v1/files/{file['id']}").json()["deleted"]
    until(lambda: key not in s3.objects())


@pytest.mark.promise("files.content.damage-noticed")
@pytest.mark.parametrize("damage", [content_of(MIB)[:-1] + b"!", content_of(MIB)[:-1]], ids=["bit", "end"])
def test_a_download_of_bytes_damaged_in_the_bucket_breaks_off(s3, http, damage):
    file = upload(http, content_of(MIB)).json()["id"]
    (key,) = (one for one in s3.objects() if one.endswith(file))
    s3.put(key, damage)
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        content(http, file)


# ---------------------------------------------------------------- what is not


def fails_at(pattern: str):
    return lambda request: re.search(pattern, request) is not None


def nothing_new(s3: S3, before: list[str]) -> bool:
    return s3.objects() == before and s3.unfinished() == []


@pytest.mark.promise("files.bucket.nothing-left")
@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_a_form_that_breaks_off_leaves_nothing(s3, http, size):
    before = s3.objects()
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    type_ = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = http.post("/v1/files", content=head + content_of(size), headers=type_)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "file")
    assert nothing_new(s3, before)


@pytest.mark.promise("files.bucket.nothing-left")
def test_a_file_that_is_too_large_leaves_nothing(s3, http):
    before = s3.objects()
    assert upload(http, content_of(MOST + 1)).status_code == 413
    assert nothing_new(s3, before)


@pytest.mark.promise("files.bucket.nothing-left", "files.bucket.unavailable")
@pytest.mark.parametrize(
    ("size", "where"),
    [
        (5, "PUT"),
        (17 * MIB, "POST .*uploads"),
        (17 * MIB, "partNumber=1&"),
        (17 * MIB, "partNumber=3&"),
        (17 * MIB, "POST .*uploadId"),
    ],
)
def test_an_upload_that_the_bucket_refuses_answers_503_and_leaves_nothing(denied, http, size, where):
    before = denied.objects()
    denied.denied = fails_at(where)
    refused = upload(http, content_of(size))
    assert (refused.status_code, refused.json()) == (503, OVER)
    assert refused.headers["retry-after"] == "1"
    denied.denied = lambda request: False
    assert nothing_new(denied, before)
    assert http.get("/v1/files").json()["data"] == []


@pytest.mark.anyio
@pytest.mark.promise("files.bucket.nothing-left")
@pytest.mark.parametrize("size", [5, PART - 1, PART + 5])
async def test_an_upload_that_is_called_off_leaves_nothing(s3, size):
    before = s3.objects()
    reached = asyncio.Event()

    async def chunks():
        yield content_of(size)
        reached.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(Bucket(URL).put("proj_1/file-1", chunks()))
    await asyncio.wait_for(reached.wait(), 20)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await asyncio.to_thread(nothing_new, s3, before)


@pytest.mark.promise("files.bucket.nothing-left")
def test_bytes_that_could_not_be_deleted_go_later(denied, http, clock):
    file = upload(http, b"bytes").json()["id"]
    denied.denied = fails_at(r"POST .*\?delete|DELETE")
    denied.requests.clear()
    assert http.delete(f"/v1/files/{file}").status_code == 200
    until(lambda: any(map(denied.denied, denied.requests)))
    assert any(one.endswith(file) for one in denied.objects())
    denied.denied = lambda request: False
    clock.advance(SECONDS_TO_RETRY + 1)
    until(lambda: not any(one.endswith(file) for one in denied.objects()))


# ---------------------------------------------------------------- trouble


@pytest.mark.promise("files.bucket.unavailable")
def test_content_that_cannot_be_read_answers_503_until_it_can(denied, http):
    file = upload(http, b"bytes").json()["id"]
    denied.denied = fails_at("GET")
    refused = content(http, file)
    assert (refused.status_code, refused.json(), refused.headers["retry-after"]) == (503, OVER, "1")
    rubra = http.get(f"/rubra/files/{file}/content")
    assert (rubra.status_code, rubra.json()) == (503, {"detail": OVER["error"]["message"]})
    assert http.get(f"/v1/files/{file}").status_code == 200
    denied.denied = lambda request: False
    assert content(http, file).content == b"bytes"


async def once(content: bytes):
    yield content


@pytest.mark.anyio
@pytest.mark.promise("files.bucket.unavailable")
@pytest.mark.parametrize("trouble", ["no such bucket", "nobody there"])
async def test_a_bucket_that_is_not_there_is_told_as_such(s3, trouble, monkeypatch):
    if trouble == "nobody there":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # a port that nobody listens on
    blobs = Bucket("s3://another-bucket/prefix")
    with pytest.raises(FilesUnavailable):
        await blobs.put("proj_1/file-1", once(b"bytes"))
    with pytest.raises(FilesUnavailable):
        await blobs.open("proj_1/file-1", Stored(5, ""))


@pytest.mark.anyio
async def test_bytes_that_are_missing_are_damage_and_not_trouble(s3):
    with pytest.raises(Damaged):
        await Bucket(URL).open("proj_1/file-1", Stored(5, hashlib.sha256(b"bytes").hexdigest()), Span(0, 1))
    await Bucket(URL).delete("proj_1/file-1")


@pytest.mark.anyio
async def test_the_log_has_no_signatures(denied, caplog):
    denied.denied = fails_at("POST")
    with pytest.raises(FilesUnavailable):
        await Bucket(URL).put("proj_1/file-1", once(content_of(2 * PART)))
    (line,) = (one.getMessage() for one in caplog.records if "event=files_unavailable" in one.getMessage())
    assert "kind=PermissionDeniedError" in line
    assert "?" not in line


# ---------------------------------------------------------------- Google's, which speaks the same XML


@pytest.mark.anyio
@pytest.mark.promise("files.bucket", "files.bucket.nothing-left")
@pytest.mark.parametrize("size", [5, PART + 5])
async def test_a_bucket_of_google_keeps_bytes_too(denied, size, tmp_path, monkeypatch):
    for name, value in denied.google(tmp_path).items():
        monkeypatch.setenv(name, value)
    before = denied.objects()
    blobs, key = Bucket(f"gs://{BUCKET}/google"), "proj_1/file-1"
    denied.requests.clear()
    stored = await blobs.put(key, once(content_of(size)))
    assert denied.objects() == sorted([*before, f"google/{key}"])
    assert sum("partNumber=" in one for one in denied.requests) == (2 if size > PART else 0)
    assert b"".join([one async for one in await blobs.open(key, stored)]) == content_of(size)
    assert b"".join([one async for one in await blobs.open(key, stored, Span(1, 3))]) == content_of(size)[1:4]
    await blobs.delete(key)
    denied.denied = fails_at("partNumber=2" if size > PART else "PUT")
    with pytest.raises(FilesUnavailable):
        await blobs.put(key, once(content_of(size)))
    denied.denied = lambda request: False
    assert await asyncio.to_thread(nothing_new, denied, before)


# ---------------------------------------------------------------- settings


@pytest.mark.promise("files.bucket")
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("s4://bucket", "files_url is 's4://bucket', but must look like file:///path, s3://bucket/prefix"),
        ("ftp://id:secret@host", "files_url is 'ftp://...', but must look like"),
        ("data/files", "files_url is 'data/files', but must look like"),
        ("s3://", "files_url is 's3://', but must look like"),
        ("s3:///prefix", "files_url is 's3:///prefix', but must look like"),
        ("s3://id:secret@bucket/p", "files_url must be s3://, a name and a prefix, nothing else"),
        ("gs://bucket?key=secret", "come from GOOGLE_... variables."),
        ("s3://bucket/a//b", "cannot be used: Generic URL error"),
        ("az://container", "cannot be used: Generic MicrosoftAzure error: Account must be specified."),
    ],
)
def test_a_url_that_cannot_be_used_is_told_in_one_sentence(url, sentence, monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSettings) as refusal:
        Bucket(url)
    assert sentence in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a/b", "gs://bucket/a", "az://container/a"])
def test_a_place_is_not_asked_for_at_the_start(url, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    store = store_at(url)
    assert isinstance(store, S3Store | GCSStore | AzureStore)
    assert store.prefix == (url.split("/", 3)[3] if url.count("/") > 2 else None)


def test_http_options_come_from_the_providers_variables(monkeypatch):
    monkeypatch.setenv("AWS_PROXY_URL", "http://127.0.0.1:2")
    monkeypatch.setenv("AWS_CONNECT_TIMEOUT", "1s")
    store = store_at("s3://bucket")
    assert isinstance(store, S3Store)
    options = store.client_options
    assert options
    assert options["proxy_url"] == "http://127.0.0.1:2"
    assert "timeout" in options


def test_the_default_is_a_directory():
    assert Settings().files_path.name == "files"
