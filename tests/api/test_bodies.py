"""Bodies that cannot be read: not JSON, of another type, too large. Reference: protocol section 1.6."""

import contextlib
import http.client
from typing import Any

import httpx
import pytest

from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.plain import plain

JSON = {"Content-Type": "application/json"}
WRITES = ["/v1/threads", "{thread}", "{thread}/messages", "{message}"]


MALFORMED = [
    b"{",
    b'{"role":',
    b"{'role': 'user'}",
    b'{"role": "user", "content": "x"} x',
    b'{"role": "user", "content": "x",}',
    b'{"metadata": {"a": NaN}}',
    b'{"metadata": {"a": Infinity}}',
    b'{"metadata": {"a": ' + b"9" * 5000 + b"}}",
    b"role=user&content=x",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"metadata": {"a": "\xff"}}',
    '{"metadata": {}}'.encode("utf-16"),
    b"[" * 100_000,
    b'{"metadata": {"a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}}",
    b'{"metadata": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    b'{"x": ' * 100_000 + b"1" + b"}" * 100_000,
]


@pytest.mark.promise("errors.malformed-json")
@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("body", MALFORMED, ids=[f"{body[:16]!r}, {len(body)} bytes" for body in MALFORMED])
def test_malformed_json_is_refused(
    http: httpx.Client, places: dict[str, str], path: str, body: bytes
) -> None:
    answer = http.post(path.format(**places), content=body, headers=JSON)
    message = answer.json()["error"]["message"]
    assert message.startswith("We could not parse the JSON body of your request. (HINT: ")
    assert answered(answer) == refusal(400, message)


@pytest.mark.promise("errors.malformed-json")
@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"metadata": {"a": ' + b"9" * 5000 + b"}}", "a number in it is too large to be read"),
        (b'{"metadata": {"a": 1e400}}', "a number in it is too large to be read"),
        (b'{"metadata": {"a": -Infinity}}', "-Infinity is not JSON"),
        (b'{"metadata": {"a": "\xff"}}', "byte 20 is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"metadata": {}', "Expecting ',' delimiter: line 1 column 16 (char 15)"),
    ],
    ids=["5,000 digits", "beyond a double", "a constant", "Latin-1", "brackets", "a cut body"],
)
def test_why_a_body_cannot_be_read_is_told(http: httpx.Client, body: bytes, hint: str) -> None:
    message = (
        "We could not parse the JSON body of your request. (HINT: the body must be one JSON object in UTF-8; "
        f"{hint})"
    )
    assert answered(http.post("/v1/threads", content=body, headers=JSON)) == refusal(400, message)


@pytest.mark.promise("errors.repeated-name")
def test_of_a_name_that_comes_twice_the_last_one_counts(http: httpx.Client, places: dict[str, str]) -> None:
    body = b'{"role": "bad", "role": "user", "content": 1, "content": "x", "metadata": {"a": 1, "a": "b"}}'
    answer = http.post(f"{places['thread']}/messages", content=body, headers=JSON)
    made = answer.json()
    assert (answer.status_code, made["role"], made["metadata"]) == (200, "user", {"a": "b"})
    assert made["content"][0]["text"]["value"] == "x"
    refused = http.post("/v1/threads", content=b'{"metadata": {"a": "b", "a": 1}}', headers=JSON)
    assert refused.json()["error"]["param"] == "metadata.a"


@pytest.mark.promise("errors.content-type")
@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("text/plain", "text/plain"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("multipart/form-data; boundary=b", "multipart/form-data"),
        ("application/jsonp", "application/jsonp"),
        ("json", "json"),
    ],
)
def test_a_body_of_another_type_is_refused(
    http: httpx.Client, places: dict[str, str], path: str, given: str, named: str
) -> None:
    answer = http.post(path.format(**places), content=b"{}", headers={"Content-Type": given})
    message = (
        f"Unsupported content type: '{named}'. This API method only accepts 'application/json' requests, but "
        f"you specified the header 'Content-Type: {named}'. Please try again with a supported content type."
    )
    assert answered(answer) == refusal(400, message, None, "unsupported_content_type")


@pytest.mark.promise("errors.content-type.accepted")
@pytest.mark.parametrize(
    "given", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json", "", None]
)
def test_a_body_that_is_json_by_its_own_account_or_without_one_is_read(
    http: httpx.Client, given: str | None
) -> None:
    headers = {} if given is None else {"Content-Type": given}
    answer = http.post("/v1/threads", content=b'{"metadata": {"a": "b"}}', headers=headers)
    assert (answer.status_code, answer.json()["metadata"]) == (200, {"a": "b"})


@pytest.mark.promise("errors.content-type")
def test_an_upload_that_is_no_form_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/files", json={"purpose": "vision"})
    message = (
        "Unsupported content type: 'application/json'. This API method only accepts 'multipart/form-data' "
        "requests, but you specified the header 'Content-Type: application/json'. Please try again with a "
        "supported content type."
    )
    assert answered(answer) == refusal(400, message, None, "unsupported_content_type")


@pytest.mark.promise("errors.body-too-large")
def test_a_body_over_the_servers_limit_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    def in_pieces(size: int) -> Any:
        """A body without a length of its own."""
        return iter([filled(size)[:500], filled(size)[500:]])

    def filled(size: int) -> bytes:
        body = b'{"metadata": {"a": "b"}}'
        return body + b" " * (size - len(body))

    message = "Request body is too large: the limit is 2000 bytes."
    expected = refusal(413, message, None, "request_too_large")
    with (
        House(tmp_path_factory.mktemp("small"), max_body_bytes=2000) as house,
        plain(house, house.new_key("small"), JSON) as http,
    ):
        for content in (filled, in_pieces):
            assert http.post("/v1/threads", content=content(2000)).is_success
            for size in (2001, 3_000_000):
                assert answered(http.post("/v1/threads", content=content(size))) == expected
        assert len(http.get("/v1/threads").json()["data"]) == 2


@pytest.mark.promise("http.refusals-are-seen")
def test_a_client_that_sends_all_before_it_listens_gets_to_see_the_refusal(house: House, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Connection": "close", **JSON}
    address = house.address.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("PUT", "/v1/threads", body=b" " * 20_000_000, headers=headers)
        assert connection.getresponse().status == 405
