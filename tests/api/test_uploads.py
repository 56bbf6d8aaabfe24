"""The forms that files arrive in: what clients send, and what is refused. Reference: protocol section 8."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.house import House
from tests.support.plain import plain

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PURPOSE = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
END = b"--b--\r\n"


def part(disposition: bytes, content: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content + b"\r\n"


def upload(http: httpx.Client, form: bytes) -> httpx.Response:
    return http.post("/v1/files", content=form, headers=FORM)


def error(message: str, param: str | None) -> dict[str, Any]:
    """An error of the Files API, which says it twice."""
    inside = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return {"error": inside, "detail": {"message": message, "code": None}}


@pytest.mark.promise("files.names")
@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("notes.txt", "notes.txt"),
        ('say "hi".txt', 'say "hi".txt'),
        ("it's; a=b.txt", "it's; a=b.txt"),
        ("back\\slash.txt", "back\\slash.txt"),
        ("naïve 文件 🎈.txt", "naïve 文件 🎈.txt"),
        ("e\u0301 \u202ertl\u202c.txt", "e\u0301 \u202ertl\u202c.txt"),
        ("two\r\nlines.txt", "twolines.txt"),
        ("100%.txt", "100%.txt"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("a" * 1024, "a" * 1024),
    ],
)
def test_a_name_survives_the_way_there_and_back(client: OpenAI, name: str, kept: str) -> None:
    file = client.files.create(file=(name, b"x"), purpose="vision")
    assert file.filename == kept
    disposition = client.files.content(file.id).response.headers["content-disposition"]
    assert name_in(disposition) == kept


def name_in(disposition: str) -> str:
    """The name that a client takes from a content-disposition header (RFC 6266)."""
    assert disposition.isascii()
    assert disposition.isprintable()
    message = httpx.Headers({"x": disposition})["x"]
    plain, extended, encoded = message.partition("; filename*=UTF-8''")
    if extended:
        return bytes.fromhex("".join(hexed(encoded))).decode()
    return plain.removeprefix('attachment; filename="').removesuffix('"')


def hexed(encoded: str) -> Iterator[str]:
    """Percent-encoded text as hexadecimal digits."""
    head, *rest = encoded.split("%")
    yield head.encode().hex()
    for piece in rest:
        yield piece[:2] + piece[2:].encode().hex()


@pytest.mark.promise("files.names.forms")
@pytest.mark.parametrize(
    ("disposition", "kept"),
    [
        (rb'name="file"; filename="say \"hi\".txt"', 'say "hi".txt'),
        ('name="file"; filename="naïve.txt"'.encode(), "naïve.txt"),
        (b"name=file; filename=\"=?utf-8?B?bmE=?=\"; filename*=utf-8''na%C3%AFve.txt", "naïve.txt"),
        (b"name=file; filename*=UTF-8'en'na%C3%AFve.txt", "naïve.txt"),
        (b'name="file"; filename="x; filename*=UTF-8\'\'y"', "x; filename*=UTF-8''y"),
        (b'name="file"; filename="bell\x07 and\x1b escape\x7f.txt"', "bell and escape.txt"),
        (b'name="file"; filename="\xff\xfe.txt"', "\ufffd\ufffd.txt"),
        (b'name="file"; filename=""', "upload"),
        (b'name="file"; filename="' + b"n" * 2000 + b'"', "n" * 1024),
    ],
    ids=["curl", "raw UTF-8", ".NET", "RFC 5987", "look-alike", "controls", "not UTF-8", "empty", "long"],
)
def test_names_are_read_as_clients_write_them(http: httpx.Client, disposition: bytes, kept: str) -> None:
    answer = upload(http, PURPOSE + part(disposition) + END)
    assert (answer.status_code, answer.json().get("filename")) == (200, kept)


@pytest.mark.promise("files.upload")
def test_fields_may_follow_the_file_and_further_parts_are_passed_over(http: httpx.Client) -> None:
    form = part(b'name="extra"', b"y") + part(b'name="file"; filename="a"', b"12") + PURPOSE
    answer = upload(http, form + part(b'name="other"; filename="z"', b"z" * 9) + END)
    assert answer.status_code == 200, answer.text
    assert {key: answer.json()[key] for key in ("filename", "bytes", "purpose")} == {
        "filename": "a",
        "bytes": 2,
        "purpose": "vision",
    }


FILE = part(b'name="file"; filename="a"', b"abc")
PURPOSES = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
REFUSED: list[tuple[str, bytes, str, str | None]] = [
    ("no file", PURPOSE + END, "'file' is a required property", "file"),
    ("file without a name", PURPOSE + part(b'name="file"') + END, "'file' is a required property", "file"),
    ("no purpose", FILE + END, "'purpose' is a required property", "purpose"),
    ("bad purpose", part(b'name="purpose"', b"x") + FILE + END,
     f"'x' is not one of {PURPOSES} - 'purpose'", "purpose"),
    ("bad purpose last", FILE + part(b'name="purpose"', b"x") + END,
     f"'x' is not one of {PURPOSES} - 'purpose'", "purpose"),
    ("purpose of an answer", part(b'name="purpose"', b"batch_output") + FILE + END,
     f"'batch_output' is not one of {PURPOSES} - 'purpose'", "purpose"),
    ("cut in the file", PURPOSE + FILE[:-3], "The form ends in the middle of its file.", "file"),
    ("cut before the end", FILE + PURPOSE, "The form ends before its last boundary.", None),
    ("empty", b"", "The form ends before its last boundary.", None),
    ("long field", part(b'name="purpose"', b"v" * 70_000) + FILE + END,
     "The field 'purpose' is too long.", "purpose"),
]  # fmt: skip


@pytest.mark.promise("files.upload.refused")
@pytest.mark.parametrize(
    ("form", "message", "param"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_form_that_is_not_right_is_refused_and_nothing_kept(
    house: House, http: httpx.Client, form: bytes, message: str, param: str | None
) -> None:
    answer = upload(http, form)
    assert (answer.status_code, answer.json()) == (400, error(message, param))
    assert http.get("/v1/files").json()["data"] == []
    folder = house.settings.files_path / answer.headers["openai-project"]
    assert [*folder.glob("*")] == []


LONG_HEADER = part(b'name="file"; filename="' + b"n" * 20_000 + b'"')


@pytest.mark.promise("files.upload.refused")
@pytest.mark.parametrize("body", [b"no form at all", LONG_HEADER + END], ids=["text", "long header"])
def test_a_body_that_is_no_form_is_refused(
    http: httpx.Client, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.set_level(logging.CRITICAL, "python_multipart")
    answer = upload(http, body)
    assert answer.status_code == 400
    assert answer.json() == error(answer.json()["error"]["message"], None)


LIFE = "- 'expires_after.seconds'"
EXPIRIES: list[tuple[dict[str, str], str]] = [
    ({"anchor": "created_at", "seconds": "3599"}, f"3599 is not between 3600 and 2592000 {LIFE}"),
    ({"anchor": "created_at", "seconds": "2592001"}, f"2592001 is not between 3600 and 2592000 {LIFE}"),
    ({"anchor": "created_at", "seconds": "1e4"}, f"'1e4' is not of type 'integer' {LIFE}"),
    ({"anchor": "created_at", "seconds": "٣٦٠٠"}, f"'٣٦٠٠' is not of type 'integer' {LIFE}"),
    ({"anchor": "created_at", "seconds": ""}, f"'' is not of type 'integer' {LIFE}"),
    ({"anchor": "last_active_at", "seconds": "3600"},
     "'last_active_at' is not one of ['created_at'] - 'expires_after.anchor'"),
    ({"anchor": "created_at"}, "'seconds' is a required property - 'expires_after'"),
    ({"seconds": "3600"}, "'anchor' is a required property - 'expires_after'"),
]  # fmt: skip


@pytest.mark.promise("files.expires-after.refused")
@pytest.mark.parametrize(("fields", "message"), EXPIRIES, ids=[str(case[0]) for case in EXPIRIES])
def test_an_expiry_that_is_not_right_is_refused(
    http: httpx.Client, fields: dict[str, str], message: str
) -> None:
    data = {"purpose": "vision", **{f"expires_after[{name}]": value for name, value in fields.items()}}
    answer = http.post("/v1/files", data=data, files={"file": ("a", b"x")})
    assert (answer.status_code, answer.json()) == (400, error(message, "expires_after"))


@pytest.mark.promise("files.expires-after")
@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_the_shortest_and_the_longest_life_are_allowed(client: OpenAI, seconds: int) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": seconds}
    file = client.files.create(file=("a", b"x"), purpose="vision", expires_after=expiry)
    assert file.expires_at == file.created_at + seconds


@pytest.mark.promise("errors.body-too-large")
def test_a_file_over_the_servers_limit_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        House(tmp_path_factory.mktemp("small"), max_file_bytes=1000) as house,
        plain(house, house.new_key("small")) as http,
    ):
        assert upload(http, PURPOSE + part(b'name="file"; filename="a"', b"x" * 1000) + END).is_success
        for size in (1001, 3_000_000):
            refused = upload(http, PURPOSE + part(b'name="file"; filename="a"', b"x" * size) + END)
            assert (refused.status_code, refused.json()["error"]) == (
                413,
                {
                    "message": "Request body is too large: the limit is 1000 bytes.",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "request_too_large",
                },
            )
        assert [file["bytes"] for file in http.get("/v1/files").json()["data"]] == [1000]
