"""Refusals that do not depend on a body's rules, each with its whole envelope. Reference: protocol 1.6."""

import json
from typing import Any

import httpx
import pytest

from tests.support.errors import answered, refusal
from tests.support.house import House

USER = {"role": "user", "content": "x"}


# ---------------------------------------------------------------- paths and methods


@pytest.mark.promise("errors.unknown-route")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("GET", "/v1"),
        ("GET", "/"),
        ("POST", "/threads"),
        ("GET", "/v2/threads"),
        ("GET", "/v1//threads"),
        ("POST", "/v1/threads//messages"),
        ("DELETE", "/v1/threads/thread_x/foo"),
        ("GET", "/v1/threads/thread_x/messages/msg_x/files"),
        ("GET", "/v1/threads/thread_x/messages/msg_x/files/file-x"),
        ("PATCH", "/v1/chat/completions"),
        ("GET", "/v1/thräds/🎈"),
    ],
)
def test_an_unknown_path_is_not_found(http: httpx.Client, method: str, path: str) -> None:
    assert answered(http.request(method, path)) == refusal(404, f"Invalid URL ({method} {path})")


@pytest.mark.promise("errors.wrong-method")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/threads", "GET, POST"),
        ("DELETE", "/v1/threads", "GET, POST"),
        ("PUT", "{thread}", "DELETE, GET, POST"),
        ("PATCH", "{thread}/messages", "GET, POST"),
        ("PUT", "{message}", "DELETE, GET, POST"),
        ("OPTIONS", "{message}", "DELETE, GET, POST"),
        ("PUT", "/v1/files", "GET, POST"),
        ("POST", "/v1/files/file-x", "DELETE, GET"),
        ("DELETE", "/v1/files/file-x/content", "GET"),
    ],
)
def test_a_wrong_method_is_refused_and_the_right_ones_named(
    http: httpx.Client, places: dict[str, str], method: str, path: str, allowed: str
) -> None:
    path = path.format(**places)
    answer = http.request(method, path)
    message = (
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to make this request using a "
        "different HTTP method?)"
    )
    assert answered(answer) == refusal(405, message, None, "method_not_supported")
    assert answer.headers["allow"] == allowed


# ---------------------------------------------------------------- ids

PREFIXES = [
    ("GET", "/v1/threads/undefined", "thread_id", "undefined", "thread"),
    ("POST", "/v1/threads/asst_1", "thread_id", "asst_1", "thread"),
    ("DELETE", "/v1/threads/None", "thread_id", "None", "thread"),
    ("POST", "/v1/threads/null/messages", "thread_id", "null", "thread"),
    ("GET", "/v1/threads/x/messages/msg_x", "thread_id", "x", "thread"),
    ("GET", "{thread}/messages/undefined", "message_id", "undefined", "msg"),
    ("POST", "{thread}/messages/run_1", "message_id", "run_1", "msg"),
    ("DELETE", "{thread}/messages/thread_x", "message_id", "thread_x", "msg"),
]


@pytest.mark.promise("errors.id-prefix")
@pytest.mark.parametrize(("method", "path", "param", "id", "prefix"), PREFIXES)
def test_an_id_that_cannot_be_one_is_refused(
    http: httpx.Client, places: dict[str, str], method: str, path: str, param: str, id: str, prefix: str
) -> None:
    answer = http.request(method, path.format(**places), json=USER if method == "POST" else None)
    message = f"Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'."
    assert answered(answer) == refusal(400, message, param, "invalid_value")


@pytest.mark.promise("errors.not-found")
@pytest.mark.parametrize(
    ("method", "path", "body", "noun", "id"),
    [
        ("GET", "/v1/threads/thread_x", None, "thread", "thread_x"),
        ("POST", "/v1/threads/thread_x", {}, "thread", "thread_x"),
        ("DELETE", "/v1/threads/thread_x", None, "thread", "thread_x"),
        ("POST", "/v1/threads/thread_x/messages", USER, "thread", "thread_x"),
        ("GET", "/v1/threads/thread_x/messages", None, "thread", "thread_x"),
        ("GET", "/v1/threads/thread_x/messages/msg_x", None, "thread", "thread_x"),
        ("GET", "{thread}/messages/msg_x", None, "message", "msg_x"),
        ("POST", "{thread}/messages/msg_x", {}, "message", "msg_x"),
        ("DELETE", "{thread}/messages/msg_x", None, "message", "msg_x"),
        ("POST", "{thread}/messages", {**USER, "attachments": [{"file_id": "x"}]}, "file", "x"),
        ("POST", "{thread}", {"tool_resources": {"code_interpreter": {"file_ids": ["x"]}}}, "file", "x"),
        ("POST", "{thread}", {"tool_resources": {"file_search": {"vector_store_ids": ["vs_x"]}}},
         "vector store", "vs_x"),
        ("GET", "/v1/files?after=file-x", None, "file", "file-x"),
        ("GET", "/v1/threads/thread_%F0%9F%8E%88%20%22%00'", None, "thread", "thread_🎈 \"\x00'"),
    ],
)  # fmt: skip
def test_what_an_id_does_not_name_is_not_found(
    http: httpx.Client, places: dict[str, str], method: str, path: str, body: Any, noun: str, id: str
) -> None:
    answer = http.request(method, path.format(**places), json=body)
    assert answered(answer) == refusal(404, f"No {noun} found with id '{id}'.")


@pytest.mark.promise("errors.files-not-found")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/files/x"), ("DELETE", "/v1/files/x"), ("GET", "/v1/files/x/content")]
)
def test_the_files_api_says_it_twice(http: httpx.Client, method: str, path: str) -> None:
    status, body = refusal(404, "No such File object: x", "id")
    detail = {"message": "No such File object: x", "code": None}
    assert answered(http.request(method, path)) == (status, {**body, "detail": detail})


# ---------------------------------------------------------------- queries

ABOVE = "integer above maximum value. Expected a value <= {0}, but got {1} instead."
BELOW = "integer below minimum value. Expected a value >= 1, but got {0} instead."
TYPE = "Invalid type for 'limit': expected an integer, but got a string instead."


@pytest.mark.promise("errors.query")
@pytest.mark.parametrize(
    ("path", "most"), [("{thread}/messages", 100), ("/v1/threads", 100), ("/v1/files", 10_000)]
)
@pytest.mark.parametrize("value", [0, -1, 101, 10_001, 10**30, "1.5", "x", "1_0", "٣", "0x1", "9" * 5000])
def test_a_limit_out_of_range_is_refused(
    http: httpx.Client, places: dict[str, str], path: str, most: int, value: Any
) -> None:
    answer = http.get(path.format(**places), params={"limit": value})
    if isinstance(value, str):
        assert answered(answer) == refusal(400, TYPE, "limit", "invalid_type")
    elif value < 1:
        message = f"Invalid 'limit': {BELOW.format(value)}"
        assert answered(answer) == refusal(400, message, "limit", "integer_below_min_value")
    elif value > most:
        message = f"Invalid 'limit': {ABOVE.format(most, value)}"
        assert answered(answer) == refusal(400, message, "limit", "integer_above_max_value")
    else:
        assert answer.status_code == 200


@pytest.mark.promise("errors.query")
@pytest.mark.parametrize("path", ["{thread}/messages", "/v1/threads", "/v1/files"])
def test_an_unknown_order_is_refused(http: httpx.Client, places: dict[str, str], path: str) -> None:
    answer = http.get(path.format(**places), params={"order": "newest"})
    message = "Invalid value: 'newest'. Supported values are: 'asc' and 'desc'."
    assert answered(answer) == refusal(400, message, "order", "invalid_value")


# ---------------------------------------------------------------- faults of the server's own


@pytest.mark.promise("errors.internal")
def test_an_internal_fault_is_answered_with_its_request_id_and_logged(
    house: House, http: httpx.Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr("threadkeep.messages.actions.create", broken)
    answer = http.post(f"/v1/threads/{http.post('/v1/threads').json()['id']}/messages", json=USER)
    id = answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert (answer.status_code, {**error, "message": ""}) == (
        500,
        {"message": "", "type": "server_error", "param": None, "code": None},
    )
    assert error["message"].startswith("The server had an error processing your request. Sorry about that!")
    assert id in error["message"]
    assert "secret" not in json.dumps(answer.json())
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        f"event=internal_error request={id}"
    ]
