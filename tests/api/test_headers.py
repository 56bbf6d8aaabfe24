"""Headers of requests and answers, and other manners of HTTP. Reference: protocol 1.1, 1.2, 12, 13."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.plain import plain

USER = {"role": "user", "content": "x"}


# ---------------------------------------------------------------- of answers


def requests(http: httpx.Client) -> Iterator[httpx.Response]:
    """An answer of every kind that a caller with a key can get."""
    thread = http.post("/v1/threads")
    path = f"/v1/threads/{thread.json()['id']}"
    yield thread
    yield http.post(f"{path}/messages", json=USER)
    yield http.get(f"{path}/messages")
    file = http.post("/v1/files", data={"purpose": "vision"}, files={"file": ("a", b"x")})
    yield file
    yield http.get(f"/v1/files/{file.json()['id']}/content")
    yield http.get("/v1/files/x")
    yield http.get("/v1/threads/x")
    yield http.get("/v1/threads/thread_x")
    yield http.post(f"{path}/messages", json={})
    yield http.post(f"{path}/messages", content=b"{", headers={"Content-Type": "application/json"})
    yield http.get("/v1/foo")
    yield http.patch("/v1/threads")
    yield http.delete(path)


@pytest.mark.promise("headers.every-answer")
def test_every_answer_carries_the_services_headers(http: httpx.Client) -> None:
    answers = list(requests(http))
    assert [answer.status_code for answer in answers] == [200] * 5 + [404, 400, 404, 400, 400, 404, 405, 200]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    for answer in answers:
        headers = answer.headers
        assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
        assert re.fullmatch("[0-9]+", headers["openai-processing-ms"])
        assert re.fullmatch("proj_[0-9A-Za-z]{24}", headers["openai-project"])
        assert headers["openai-version"] == "2020-10-01"
        assert headers["openai-organization"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["content-length"] == str(len(answer.content))
        binary = answer.url.path.endswith("/content")
        assert headers["content-type"] == ("application/octet-stream" if binary else "application/json")
        assert not [name for name in headers if name.startswith("x-ratelimit")]


@pytest.mark.promise("headers.every-answer")
def test_a_refused_caller_learns_the_request_id_but_no_organization(house: House) -> None:
    with plain(house) as http:
        headers = http.get("/v1/threads").headers
    assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["openai-version"] == "2020-10-01"
    assert headers["www-authenticate"] == 'Bearer realm="OpenAI API"'
    assert not {"openai-organization", "openai-project"} & set(headers)


@pytest.mark.promise("headers.every-answer")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/nowhere"])
def test_public_answers_carry_them_too(house: House, path: str) -> None:
    with plain(house) as http:
        headers = http.get(path).headers
    assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["x-content-type-options"] == "nosniff"
    assert "openai-project" not in headers


# ---------------------------------------------------------------- the version


@pytest.mark.promise("headers.beta.default")
@pytest.mark.parametrize("beta", [None, "", "assistants=v2", "Assistants=V2", "other=1, assistants=v2"])
def test_without_a_version_v2_is_spoken(house: House, key: str, beta: str | None) -> None:
    with plain(house, key, {} if beta is None else {"OpenAI-Beta": beta}) as http:
        answer = http.post("/v1/threads")
    assert (answer.status_code, answer.json()["tool_resources"]) == (200, {})


@pytest.mark.promise("headers.beta.unknown")
@pytest.mark.parametrize("beta", ["assistants=v3", "realtime=v1", "v2"])
def test_an_unknown_version_is_refused(http: httpx.Client, beta: str) -> None:
    answer = http.post("/v1/threads", headers={"OpenAI-Beta": beta})
    message = (
        f"Unknown beta requested: '{beta}'. Please try again by setting the header 'OpenAI-Beta: "
        "assistants=v1|v2'."
    )
    assert answered(answer) == refusal(400, message, None, "invalid_beta")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that demands the header, and a client that does not send it."""
    with (
        House(tmp_path_factory.mktemp("strict"), require_beta_header=True) as house,
        plain(house, house.new_key("strict")) as http,
    ):
        yield http


@pytest.mark.promise("headers.beta.required-setting")
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/threads"), ("GET", "/v1/threads/thread_x/messages"), ("PUT", "/v1/threads")],
)
@pytest.mark.parametrize("headers", [{}, {"OpenAI-Beta": ""}], ids=["no header", "empty header"])
def test_a_server_may_demand_the_header(
    strict: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    message = (
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting "
        "the header 'OpenAI-Beta: assistants=v1|v2'."
    )
    expected = refusal(400, message, None, "invalid_beta")
    assert answered(strict.request(method, path, headers=headers)) == expected


@pytest.mark.promise("headers.beta.required-setting")
def test_files_never_ask_for_the_header(strict: httpx.Client) -> None:
    assert strict.post("/v1/threads", headers={"OpenAI-Beta": "assistants=v1"}).status_code == 200
    file = strict.post("/v1/files", data={"purpose": "vision"}, files={"file": ("a", b"x")})
    path = f"/v1/files/{file.json()['id']}"
    statuses = [strict.get(one).status_code for one in ("/v1/files", path, f"{path}/content")]
    assert [file.status_code, *statuses, strict.delete(path).status_code] == [200] * 5


# ---------------------------------------------------------------- of requests, and paths


@pytest.mark.promise("http.trailing-slash")
def test_a_trailing_slash_changes_nothing(http: httpx.Client, places: dict[str, str]) -> None:
    made = http.post(f"{places['thread']}/messages/", json={**USER, "content": "kept"})
    assert (made.status_code, made.json()["content"][0]["text"]["value"]) == (200, "kept")
    for path in ("/v1/threads", "/v1/files", places["thread"], f"{places['thread']}/messages"):
        assert answered(http.get(f"{path}/")) == answered(http.get(path))
    changed = http.post(f"{places['message']}/", json={"metadata": {"a": "b"}})
    assert changed.json()["metadata"] == {"a": "b"}
    assert http.delete(f"{places['message']}/").json()["deleted"] is True


@pytest.mark.promise("http.bodies-where-none-is-read")
@pytest.mark.parametrize("headers", [{"Content-Type": "application/json"}, {"Content-Type": "text/plain"}])
@pytest.mark.parametrize("body", [b"", b"{}", b"{", b"x" * 200_000])
def test_get_and_delete_take_no_notice_of_a_body(
    http: httpx.Client, places: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    for method, path in [
        ("GET", "/v1/threads"),
        ("GET", f"{places['thread']}/messages"),
        ("GET", places["message"]),
        ("DELETE", places["message"]),
        ("DELETE", places["thread"]),
    ]:
        assert http.request(method, path, content=body, headers=headers).status_code == 200


@pytest.mark.promise("http.unknown-query")
def test_unknown_query_parameters_are_passed_over(http: httpx.Client, places: dict[str, str]) -> None:
    query: dict[str, Any] = {"timeout": 120, "api-version": "2024-05-01-preview", "include[]": "x", "": "y"}
    for path in (
        "/v1/threads",
        places["thread"],
        places["message"],
        f"{places['thread']}/messages",
        "/v1/files",
    ):
        assert answered(http.get(path, params=query)) == answered(http.get(path))
    assert http.post(f"{places['thread']}/messages", params=query, json=USER).status_code == 200
    assert http.delete(places["message"], params=query).status_code == 200
    assert http.get("/v1/threads?%ff=%zz&&&=&a=b=c").status_code == 200


@pytest.mark.promise("http.client-headers")
def test_headers_of_real_clients_do_no_harm(http: httpx.Client, places: dict[str, str]) -> None:
    headers: dict[str, Any] = {
        "Accept": "text/event-stream",
        "X-Stainless-Poll-Helper": "true",
        "OpenAI-Organization": "org-x",
        "OpenAI-Project": "proj_x",
        "x-portkey-virtual-key": "open-ai-1",
        "x-portkey-metadata": '{"_user": "ä"}'.encode(),
        "x-portkey-trace-id": 'one two\t="three"',
        "astra-api-token": "x",
        "Cookie": "a=b",
        "Expect": "100-continue",
    }
    answer = http.post(f"{places['thread']}/messages", json=USER, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.promise("http.keep-alive")
def test_a_refusal_leaves_the_connection_in_order(house: House, key: str) -> None:
    with plain(house, key) as http:
        statuses, connections = [], set()
        for method, path, body in [
            ("POST", "/v1/foo", b"x" * 300_000),
            ("POST", "/v1/threads", b"{}"),
            ("PUT", "/v1/threads", b'{"unread": true}'),
            ("POST", "/v1/files", b"no form"),
            ("GET", "/v1/threads", b""),
        ]:
            answer = http.request(method, path, content=body)
            statuses.append(answer.status_code)
            connections.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert (statuses, len(connections)) == ([404, 200, 405, 400, 200], 1)
