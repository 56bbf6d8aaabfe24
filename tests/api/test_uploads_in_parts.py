"""Uploads: files that arrive in parts. Reference: protocol section 9."""

import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types import Upload

from tests.support.house import House
from tests.support.plain import plain
from tests.support.waiting import until

NEW = {"filename": "notes.jsonl", "purpose": "vision", "bytes": 6, "mime_type": "text/jsonl"}
MIB = 1024 * 1024


def created(http: httpx.Client, **changes: Any) -> str:
    """The path of a new upload."""
    answer = http.post("/v1/uploads", json={**NEW, **changes})
    assert answer.status_code == 200, answer.text
    return f"/v1/uploads/{answer.json()['id']}"


def add(http: httpx.Client, upload: str, content: bytes, **headers: str) -> httpx.Response:
    return http.post(f"{upload}/parts", files={"data": ("part", content)}, headers=headers)


def part(http: httpx.Client, upload: str, content: bytes) -> str:
    answer = add(http, upload, content)
    assert answer.status_code == 200, answer.text
    id: str = answer.json()["id"]
    return id


def refusal(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, param and code."""
    return answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["code"]


def blobs(house: House, answer: httpx.Response) -> list[str]:
    """The names of all bytes of the project that was answered."""
    folder = house.settings.files_path / answer.headers["openai-project"]
    return sorted(path.name for path in folder.glob("*"))


# ---------------------------------------------------------------- create


@pytest.mark.promise("uploads.create", "uploads.ids")
@pytest.mark.parametrize("size", [0, 8, 8 * 1024**3])
def test_an_upload_is_pending_for_an_hour(http: httpx.Client, size: int) -> None:
    made = http.post("/v1/uploads", json={**NEW, "bytes": size}).json()
    assert made == {
        "id": made["id"],
        "object": "upload",
        "bytes": size,
        "created_at": made["created_at"],
        "filename": "notes.jsonl",
        "purpose": "vision",
        "status": "pending",
        "expires_at": made["created_at"] + 3600,
    }
    assert (
        [*made]
        == [*made]
        == ["id", "object", "bytes", "created_at", "filename", "purpose", "status", "expires_at"]
    )
    assert re.fullmatch("upload_[0-9a-f]{32}", made["id"])


@pytest.mark.promise("uploads.create")
def test_a_name_is_cleaned_as_that_of_a_file(http: httpx.Client) -> None:
    made = http.post("/v1/uploads", json={**NEW, "filename": "two\r\nlines\0 naïve.txt"}).json()
    assert made["filename"] == "twolines naïve.txt"
    assert http.post("/v1/uploads", json={**NEW, "filename": "\0"}).json()["filename"] == "upload"


EXPIRY = {"anchor": "created_at", "seconds": 3600}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"purpose": "batch_output"}, "purpose", "invalid_value"),
    ({"bytes": -1}, "bytes", "integer_below_min_value"),
    ({"bytes": 8 * 1024**3 + 1}, "bytes", "integer_above_max_value"),
    ({"bytes": "6"}, "bytes", "invalid_type"),
    ({"filename": ""}, "filename", "empty_string"),
    ({"filename": "a" * 1025}, "filename", "string_above_max_length"),
    ({"size": 6}, "size", "unknown_parameter"),
    ({"expires_after": {**EXPIRY, "seconds": 3599}}, "expires_after.seconds", "integer_below_min_value"),
    ({"expires_after": {**EXPIRY, "seconds": 2592001}}, "expires_after.seconds", "integer_above_max_value"),
    ({"expires_after": {**EXPIRY, "anchor": "x"}}, "expires_after.anchor", "invalid_value"),
]


@pytest.mark.promise("uploads.create.refused")
@pytest.mark.parametrize(("change", "param", "code"), WRONG, ids=[str(one[0])[:40] for one in WRONG])
def test_a_new_upload_that_is_not_right_is_refused(
    http: httpx.Client, change: dict[str, Any], param: str, code: str
) -> None:
    assert refusal(http.post("/v1/uploads", json={**NEW, **change})) == (400, param, code)


@pytest.mark.promise("uploads.create.refused")
@pytest.mark.parametrize("field", NEW)
def test_every_field_is_required(http: httpx.Client, field: str) -> None:
    body = {name: value for name, value in NEW.items() if name != field}
    refused = http.post("/v1/uploads", json=body)
    assert refusal(refused) == (400, field, "missing_required_parameter")


@pytest.mark.promise("uploads.create.refused", "uploads.parts.refused")
def test_the_operator_may_lower_the_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        House(tmp_path_factory.mktemp("small"), max_upload_bytes=10) as house,
        plain(house, house.new_key("small")) as http,
    ):
        refused = http.post("/v1/uploads", json={**NEW, "bytes": 11})
        assert refusal(refused) == (400, "bytes", "integer_above_max_value")
        upload = created(http, bytes=10)
        kept = part(http, upload, b"0123456789")
        assert refusal(add(http, upload, b"x")) == (400, "data", None)
        assert blobs(house, refused) == [kept]


# ---------------------------------------------------------------- parts


@pytest.mark.promise("uploads.parts", "uploads.ids")
def test_a_part_is_answered_with_its_object(http: httpx.Client) -> None:
    upload = created(http)
    made = add(http, upload, b"abc").json()
    assert re.fullmatch("part_[0-9a-f]{32}", made["id"])
    assert made == {
        "id": made["id"],
        "object": "upload.part",
        "created_at": made["created_at"],
        "upload_id": upload.rpartition("/")[2],
    }


@pytest.mark.promise("uploads.parts")
def test_a_part_may_have_64_mib_and_no_more(house: House, http: httpx.Client) -> None:
    upload = created(http, bytes=64 * MIB)
    whole = part(http, upload, b"x" * (64 * MIB))
    refused = add(http, upload, b"x" * (64 * MIB + 1))
    assert refusal(refused) == (413, None, "request_too_large")
    assert blobs(house, refused) == [whole]
    done = http.post(f"{upload}/complete", json={"part_ids": [whole]}).json()
    assert done["file"]["bytes"] == 64 * MIB


def form(disposition: bytes, end: bytes = b"\r\n--b--\r\n") -> dict[str, Any]:
    content = b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nabc" + end
    return {"content": content, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


@pytest.mark.promise("uploads.parts.refused")
@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (form(b'name="file"; filename="a"'), "data"),
        (form(b'name="data"'), "data"),
        (form(b'name="data"; filename="a"', b""), "data"),
        (form(b'name="data"; filename="a"', b"\r\n--b\r\n"), None),
    ],
    ids=["other field", "no file", "cut in the part", "cut before the end"],
)
def test_a_form_that_is_not_right_leaves_nothing(
    house: House, http: httpx.Client, sent: dict[str, Any], param: str | None
) -> None:
    refused = http.post(f"{created(http)}/parts", **sent)
    assert refusal(refused)[:2] == (400, param)
    assert blobs(house, refused) == []


@pytest.mark.promise("uploads.parts", "uploads.complete")
def test_parts_may_be_sent_at_the_same_time(http: httpx.Client) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(12)]
    upload = created(http, bytes=1_200_000)
    with ThreadPoolExecutor(6) as pool:
        ids = [*pool.map(lambda piece: part(http, upload, piece), pieces)]
    done = http.post(f"{upload}/complete", json={"part_ids": ids}).json()
    assert http.get(f"/v1/files/{done['file']['id']}/content").content == b"".join(pieces)


# ---------------------------------------------------------------- complete


@pytest.mark.promise("uploads.complete", "uploads.parts-removed")
def test_the_order_of_part_ids_is_the_files(house: House, http: httpx.Client) -> None:
    upload = created(http)
    ids = {text: part(http, upload, text.encode()) for text in ("abc", "left out", "def")}
    md5 = hashlib.md5(b"defabc").hexdigest().upper()
    answer = http.post(f"{upload}/complete", json={"part_ids": [ids["def"], ids["abc"]], "md5": md5})
    done = answer.json()
    assert (answer.status_code, done["status"], [*done][-1]) == (200, "completed", "file")
    file = done["file"]
    assert file == http.get(f"/v1/files/{file['id']}").json() == http.get("/v1/files").json()["data"][0]
    assert (file["bytes"], file["filename"], file["purpose"]) == (6, "notes.jsonl", "vision")
    assert http.get(f"/v1/files/{file['id']}/content").content == b"defabc"
    until(lambda: blobs(house, answer) == [file["id"]])


@pytest.mark.promise("uploads.complete")
@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
def test_an_empty_file_may_have_any_number_of_parts(http: httpx.Client, pieces: list[bytes]) -> None:
    upload = created(http, bytes=0)
    ids = [part(http, upload, piece) for piece in pieces]
    done = http.post(f"{upload}/complete", json={"part_ids": ids}).json()
    assert http.get(f"/v1/files/{done['file']['id']}/content").content == b""


@pytest.mark.promise("uploads.complete.refused")
def test_a_wrong_completion_leaves_the_upload_pending(house: House, http: httpx.Client) -> None:
    upload, other = created(http), created(http)
    abc, def_ = part(http, upload, b"abc"), part(http, upload, b"def")
    stranger = part(http, other, b"def")
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"part_ids": [abc, "part_x"]}, "part_ids", "no part 'part_x'"),
        ({"part_ids": [abc, "\0"]}, "part_ids", "no part"),
        ({"part_ids": [abc, stranger]}, "part_ids", f"no part '{stranger}'"),
        ({"part_ids": [abc, abc]}, "part_ids", f"'{abc}' is named twice"),
        ({"part_ids": [abc]}, "part_ids", "created for 6 bytes, but these parts have 3"),
        ({"part_ids": []}, "part_ids", "created for 6 bytes, but these parts have 0"),
        ({"part_ids": [abc, def_], "md5": hashlib.md5(b"defabc").hexdigest()}, "md5", "have the MD5"),
        ({"part_ids": [abc, def_], "md5": "x"}, "md5", "pattern"),
    ]
    for body, param, words in wrong:
        refused = http.post(f"{upload}/complete", json=body)
        assert refusal(refused) == (400, param, "invalid_value")
        assert words in refused.json()["error"]["message"]
    assert refusal(http.post(f"{upload}/complete")) == (400, "part_ids", "missing_required_parameter")
    assert blobs(house, refused) == sorted([abc, def_, stranger])
    assert http.get("/v1/files").json()["data"] == []
    assert http.post(f"{upload}/complete", json={"part_ids": [abc, def_]}).json()["status"] == "completed"


@pytest.mark.promise("uploads.complete.expires-after")
def test_the_file_lives_as_long_as_the_upload_said(http: httpx.Client) -> None:
    upload = created(http, bytes=3, expires_after={"anchor": "created_at", "seconds": 3600})
    body = {"part_ids": [part(http, upload, b"abc")]}
    file = http.post(f"{upload}/complete", json=body).json()["file"]
    assert file["expires_at"] == file["created_at"] + 3600


@pytest.mark.promise("uploads.complete")
def test_of_completions_at_the_same_time_one_counts(house: House, http: httpx.Client) -> None:
    upload = created(http, bytes=3)
    body = {"part_ids": [part(http, upload, b"abc")]}
    with ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(lambda _: http.post(f"{upload}/complete", json=body), range(6))]
    assert sorted(one.status_code for one in answers) == [200, *[400] * 5]
    (file,) = http.get("/v1/files").json()["data"]
    until(lambda: blobs(house, answers[0]) == [file["id"]])


# ---------------------------------------------------------------- the end


@pytest.mark.promise("uploads.cancel", "uploads.parts-removed")
def test_cancelling_removes_the_parts(house: House, http: httpx.Client) -> None:
    upload = created(http)
    part(http, upload, b"abc")
    answer = http.post(f"{upload}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert "file" not in answer.json()
    until(lambda: blobs(house, answer) == [])


@pytest.mark.promise("uploads.over")
@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_an_upload_that_is_over_stays_so(house: House, http: httpx.Client, status: str) -> None:
    upload = created(http, bytes=3)
    body = {"part_ids": [part(http, upload, b"abc")]}
    ended = http.post(upload + ("/complete" if status == "completed" else "/cancel"), json=body)
    assert ended.json()["status"] == status
    left = [ended.json()["file"]["id"]] if status == "completed" else []
    for again in (
        lambda: add(http, upload, b"abc"),
        lambda: http.post(f"{upload}/complete", json=body),
        lambda: http.post(f"{upload}/cancel"),
    ):
        refused = again()
        assert refusal(refused) == (400, None, None)
        assert status in refused.json()["error"]["message"]
    until(lambda: blobs(house, ended) == left)


# ---------------------------------------------------------------- who, and how often


@pytest.mark.promise("uploads.unknown")
def test_an_upload_that_is_not_ones_own_is_not_found(
    house: House, http: httpx.Client, other_key: str
) -> None:
    upload = created(http, bytes=3)
    body = {"part_ids": [part(http, upload, b"abc")]}
    id = upload.rpartition("/")[2]
    with plain(house, other_key) as stranger:
        for path, name in ((upload, id), ("/v1/uploads/upload_x", "upload_x")):
            for refused in (
                add(stranger, path, b"x"),
                add(stranger, path, b"x", **{"Idempotency-Key": f"{path}"}),
                stranger.post(f"{path}/complete", json=body),
                stranger.post(f"{path}/cancel"),
            ):
                assert refusal(refused) == (404, None, None)
                assert refused.json()["error"]["message"] == f"No upload found with id '{name}'."
        assert blobs(house, refused) == []
    wrong = http.post("/v1/uploads/undefined/cancel")
    assert refusal(wrong) == (400, "upload_id", "invalid_value")
    assert http.post(f"{upload}/complete", json=body).status_code == 200


@pytest.mark.promise("uploads.once")
def test_each_step_takes_effect_once(house: House, http: httpx.Client) -> None:
    def twice(path: str, key: str, **sent: Any) -> Any:
        first, second = (http.post(path, headers={"Idempotency-Key": key}, **sent) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 200), (first.text, second.text)
        assert first.text == second.text
        assert second.headers["idempotent-replayed"] == "true"
        return first.json()

    upload = f"/v1/uploads/{twice('/v1/uploads', 'create', json={**NEW, 'bytes': 3})['id']}"
    data = {"files": {"data": ("part", b"abc")}}
    id = twice(f"{upload}/parts", "part", **data)["id"]
    other = http.post(
        f"{upload}/parts", headers={"Idempotency-Key": "part"}, files={"data": ("part", b"xyz")}
    )
    assert refusal(other) == (409, None, "idempotency_key_reused")
    assert blobs(house, other) == [id]
    wrong = http.post(f"{upload}/complete", headers={"Idempotency-Key": "done"}, json={"part_ids": []})
    assert wrong.status_code == 400
    done = twice(f"{upload}/complete", "done", json={"part_ids": [id]})
    assert twice(f"{upload}/parts", "part", **data)["id"] == id
    until(lambda: blobs(house, other) == [done["file"]["id"]])
    reused = http.post(f"{upload}/complete", headers={"Idempotency-Key": "done"}, json={"part_ids": []})
    assert reused.status_code == 409
    cancelled = created(http)
    assert twice(f"{cancelled}/cancel", "cancel")["status"] == "cancelled"


@pytest.mark.promise("uploads.once")
def test_the_same_completion_sent_at_once_is_answered_alike(house: House, http: httpx.Client) -> None:
    upload = created(http, bytes=3)
    body = {"part_ids": [part(http, upload, b"abc")]}
    headers = {"Idempotency-Key": "all at once"}
    with ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(lambda _: http.post(f"{upload}/complete", json=body, headers=headers), range(6))]
    assert {one.text for one in answers} == {answers[0].text}
    assert answers[0].status_code == 200
    until(lambda: blobs(house, answers[0]) == [answers[0].json()["file"]["id"]])


@pytest.mark.promise("uploads.other-dialects")
def test_v1_and_rubra_have_no_uploads(http: httpx.Client) -> None:
    v1 = http.post("/v1/uploads", json=NEW, headers={"OpenAI-Beta": "assistants=v1"})
    assert (v1.status_code, http.post("/rubra/uploads", json=NEW).status_code) == (404, 404)


@pytest.mark.promise("uploads.parts")
def test_no_version_header_is_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    with House(tmp_path_factory.mktemp("strict"), require_beta_header=True) as house:
        headers = {"Authorization": f"Bearer {house.new_key('p')}"}
        with httpx.Client(base_url=house.address, headers=headers) as http:
            part(http, created(http), b"abc")


# ---------------------------------------------------------------- the official client


@pytest.mark.promise("uploads.create", "uploads.parts", "uploads.complete", "uploads.cancel")
def test_the_official_client_goes_step_by_step(client: OpenAI) -> None:
    upload = client.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="assistants")
    assert upload.file is None
    ids = [client.uploads.parts.create(upload.id, data=data).id for data in (b"abc", b"def")]
    with pytest.raises(BadRequestError, match="part_ids"):
        client.uploads.complete(upload.id, part_ids=ids[:1])
    done = client.uploads.complete(upload.id, part_ids=ids, md5=hashlib.md5(b"abcdef").hexdigest())
    assert isinstance(done, Upload)
    assert done.file is not None
    assert client.files.retrieve(done.file.id) == done.file
    other = client.uploads.create(bytes=1, filename="a", mime_type="text/plain", purpose="batch")
    assert client.uploads.cancel(other.id).status == "cancelled"
    with pytest.raises(NotFoundError):
        client.uploads.cancel("upload_x")


@pytest.mark.promise("uploads.chunked")
def test_the_official_client_cuts_a_file_itself(client: OpenAI) -> None:
    content = bytes(range(256)) * 4096
    done = client.uploads.upload_file_chunked(
        file=io.BytesIO(content).read(),
        filename="a.bin",
        bytes=len(content),
        mime_type="application/octet-stream",
        purpose="vision",
        part_size=300_000,
        md5=hashlib.md5(content).hexdigest(),
    )
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).content == content
