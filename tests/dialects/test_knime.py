"""KNIME's node "Create Message": bodies drawn from its schema, under any version header or none.

Reference: the node's page, whose JSON Schema is `knime-create-message.schema.json`. What the schema
forbids or the documented limits forbid is 400; everything else is stored and echoed.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.knime_bodies import (
    AGAINST_THE_LIMITS,
    AGAINST_THE_SCHEMA,
    BODIES,
    FILES,
    SCHEMA,
    Draw,
    broken,
    fits,
    with_a_bad_uri,
    with_metadata_that_is_no_string,
    without_a_required_key,
)
from tests.dialects.steps import done, new_files, new_thread
from tests.support.house import House

"""The same bodies on every run."""
HEADERS: list[dict[str, str]] = [{}, {"OpenAI-Beta": "assistants=v1"}, {"OpenAI-Beta": "assistants=v2"}]
OF_V1 = HEADERS[1]


class Node:
    """KNIME's node, with a thread and two files of its own."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.path = f"/threads/{new_thread(http)}/messages"
        self.files = dict(zip(FILES, new_files(http, len(FILES)), strict=True))

    def real(self, value: Any) -> Any:
        """`value` with the ids of the two files in the places of their stand-ins."""
        if isinstance(value, dict):
            return {name: self.real(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.real(one) for one in value]
        return self.files.get(value, value) if isinstance(value, str) else value

    def send(self, body: Any, headers: dict[str, str]) -> httpx.Response:
        answer = self.http.post(self.path, json=body, headers=headers)
        assert answer.headers["content-type"] == "application/json"
        return answer


@pytest.fixture(scope="module")
def node(house: House) -> Any:
    key = house.new_key("KNIME")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=house.base_url, headers=headers, verify=False) as http:
        yield Node(http)


def echo(body: Any) -> dict[str, Any]:
    """What v2 shows of a valid body: no key that it does not know, and every default filled in."""
    return {
        "role": body["role"],
        "content": [part(one) for one in parts(body["content"])],
        "attachments": [attachment(one) for one in body.get("attachments") or []],
        "metadata": body.get("metadata") or {},
    }


def parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def part(sent: Any) -> dict[str, Any]:
    kind = sent["type"]
    if kind == "text":
        return {"type": "text", "text": {"value": sent["text"], "annotations": []}}
    named = "url" if kind == "image_url" else "file_id"
    image = {named: sent[kind][named], "detail": sent[kind].get("detail", "auto")}
    return {"type": kind, kind: image}


def attachment(sent: Any) -> dict[str, Any]:
    tools = {"tools": [{"type": one["type"]} for one in sent["tools"]]} if "tools" in sent else {}
    return {"file_id": sent["file_id"], **tools}


def echo_in_v1(body: Any) -> dict[str, Any]:
    """The same as v1 shows it."""
    shown = echo(body)
    files = dict.fromkeys(one["file_id"] for one in shown.pop("attachments"))
    texts = [one for one in shown["content"] if one["type"] == "text"]
    return {**shown, "content": texts, "file_ids": list(files)}


# ---------------------------------------------------------------- valid bodies


@pytest.mark.promise("knime.valid-bodies")
@pytest.mark.promise("knime.open-objects")
@pytest.mark.promise("knime.v1-takes-v2-bodies")
@settings(max_examples=60)
@given(body=BODIES, headers=st.sampled_from(HEADERS))
def test_a_body_that_the_schema_allows_is_stored_and_echoed(
    node: Node, body: Any, headers: dict[str, str]
) -> None:
    assert fits(SCHEMA, body)
    sent = node.real(body)
    made = done(node.send(sent, headers))
    shown = echo_in_v1(sent) if headers == OF_V1 else echo(sent)
    assert {name: made[name] for name in shown} == shown
    stored = done(node.http.get(f"{node.path}/{made['id']}"))
    assert {name: stored[name] for name in echo(sent)} == echo(sent)


@pytest.mark.promise("knime.valid-bodies")
@pytest.mark.parametrize("headers", HEADERS)
def test_metadata_at_its_limits_is_stored(node: Node, headers: dict[str, str]) -> None:
    metadata = {f"{number:064}": "é" * 512 for number in range(16)}
    body = {"role": "user", "content": "x", "metadata": metadata}
    assert done(node.send(body, headers))["metadata"] == metadata


# ---------------------------------------------------------------- broken bodies


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error in an answer, which must be flat: one object of four values that hold nothing."""
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"]
    assert all(value is None or isinstance(value, str) for value in error.values())
    return dict(error)


@pytest.mark.promise("knime.broken-bodies")
@pytest.mark.parametrize("way", [*AGAINST_THE_SCHEMA, *AGAINST_THE_LIMITS])
def test_a_body_with_one_fault_is_400_with_a_flat_error(node: Node, way: Callable[[Draw, Any], Any]) -> None:
    # v1 makes strings of such metadata, so there it is no fault.
    headers = [one for one in HEADERS if way is not with_metadata_that_is_no_string or one != OF_V1]

    @settings(max_examples=10)
    @given(body=broken(way), headers=st.sampled_from(headers))
    def refused(body: Any, headers: dict[str, str]) -> None:
        answer = node.send(node.real(body), headers)
        assert answer.status_code == 400
        assert error_of(answer)["type"] == "invalid_request_error"

    before = done(node.http.get(node.path, params={"limit": 1}))["first_id"]
    refused()
    assert done(node.http.get(node.path, params={"limit": 1}))["first_id"] == before


@pytest.mark.promise("knime.broken-bodies")
@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize(
    "named",
    [
        {"content": "x", "attachments": [{"file_id": FILES[0]}, {"file_id": "file-neverwas"}]},
        {"content": [{"type": "image_file", "image_file": {"file_id": "file-neverwas"}}]},
    ],
    ids=["attachment", "image"],
)
def test_a_file_that_does_not_exist_is_refused(node: Node, named: Any, headers: dict[str, str]) -> None:
    answer = node.send(node.real({"role": "user", **named}), headers)
    error = error_of(answer)
    assert (answer.status_code, error["message"]) == (404, "No file found with id 'file-neverwas'.")


@pytest.mark.promise("knime.broken-bodies")
def test_a_version_header_that_means_nothing_is_400(node: Node) -> None:
    answer = node.send({"role": "user", "content": "x"}, {"OpenAI-Beta": "junk"})
    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_beta")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"NaN", b'"text"', b"[" * 10_000])
def test_bytes_that_are_no_json_object_are_400(node: Node, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = node.http.post(node.path, content=content, headers=headers)
    assert answer.status_code == 400
    error_of(answer)


# ---------------------------------------------------------------- the tests' own tools


@pytest.mark.parametrize("way", AGAINST_THE_SCHEMA)
def test_what_is_broken_here_is_broken_for_the_schema_too(way: Callable[[Draw, Any], Any]) -> None:
    """But for `format`, which a validator does not check, and a file id, whose `required` stands too high."""

    @settings(max_examples=30)
    @given(body=broken(way))
    def really_broken(body: Any) -> None:
        slip = way is without_a_required_key and not with_files(body)
        assert slip or way is with_a_bad_uri or not fits(SCHEMA, body)

    really_broken()


def with_files(body: Any) -> bool:
    return all("file_id" in one for one in body.get("attachments") or [])
