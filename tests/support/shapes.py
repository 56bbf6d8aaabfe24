"""What answers must look like: the published schemas, where they and the live service agree.

`shapes-v1.json` and `shapes-v2.json` (tests/contract) are cut unchanged from the OpenAPI documents
that they name; `shapes-rubra.json` is written after Rubra's reference page. `AMENDED` is the whole
difference between them and what is demanded here. On top of that an object may have no key that its
schema does not name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from tests.support.amendments import AMENDED, EXTENSIONS, EXTRA_OPERATIONS, OPENAI, Amendment, Schema, ref

CONTRACT = Path(__file__).parents[1] / "contract"


STATUS = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
PUBLIC: dict[str, Schema] = {
    "/healthz": STATUS,
    "/readyz": STATUS,
    "/openapi.json": {"type": "object", "required": ["openapi", "info", "paths", "components"]},
}


class Shapes:
    """The schemas of one dialect, and which operation answers with which."""

    def __init__(self, version: str) -> None:
        document = json.loads((CONTRACT / f"shapes-{version}.json").read_text())
        self.operations: dict[str, str | None] = document["operations"]
        self.definitions: dict[str, Schema] = document["$defs"]
        if version in OPENAI:
            self.operations |= EXTRA_OPERATIONS
            self.definitions |= json.loads(json.dumps(EXTENSIONS))
        for amendment in AMENDED:
            if version in amendment.versions:
                self._amend(amendment)
        close(self.definitions)
        self.validators = {
            name: Validator({**ref(name), "$defs": self.definitions}) for name in self.definitions
        }

    def _amend(self, amendment: Amendment) -> None:
        schema = self.definitions[amendment.definition]
        # A copy: `close` changes schemas in place.
        schema["properties"][amendment.property] = json.loads(json.dumps(amendment.schema))
        others = [name for name in schema["required"] if name != amendment.property]
        schema["required"] = others + [amendment.property] * amendment.required

    def of(self, method: str, path: str) -> str | None:
        """The schema of an operation's answer, None where it is not JSON. Raises `AssertionError`."""
        for operation, name in self.operations.items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation), f"{method} {path}"):
                return name
        raise AssertionError(f"{method} {path} is no operation of this dialect, yet it was answered")


class Validator:
    """What is wrong with a value, by a schema: found out quickly where nothing is, as in nearly all cases."""

    def __init__(self, schema: Schema) -> None:
        self._is_valid = jsonschema_rs.Draft202012Validator(schema).is_valid
        self._in_words = jsonschema.Draft202012Validator(schema)

    def errors(self, value: Any) -> list[str]:
        if self._is_valid(value):
            return []
        found = [f"{error.json_path}: {error.message}" for error in self._in_words.iter_errors(value)]
        return found or ["it does not fit the schema"]


def close(schemas: Mapping[str, Schema]) -> None:
    """Make every object refuse keys that its schema does not name."""
    for schema in schemas.values():
        for part in parts(schema):
            if "properties" in part:
                part.setdefault("additionalProperties", False)


def parts(schema: Any) -> Iterator[Schema]:
    """A schema and all schemas inside it."""
    if isinstance(schema, dict):
        yield schema
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in inside:
        yield from parts(part)


@cache
def shapes(version: str) -> Shapes:
    return Shapes(version)


def dialect_of(path: str, beta: str | None) -> tuple[str, str]:
    """The dialect that a path and an OpenAI-Beta header choose, and the path inside it."""
    if path.startswith("/rubra"):
        return "rubra", re.sub("^/rubra(/v1)?", "", path)
    return ("v1" if beta == "assistants=v1" else "v2"), path.removeprefix("/v1")


def check(method: str, path: str, version: str, status: int, body: bytes) -> None:
    """Hold one answer against its published shape. `path` is the operation's own (`/threads/...`),
    `version` one of v1, v2, rubra. Raises `AssertionError`."""
    known = shapes(version)
    if status >= 400:
        name = "HTTPValidationError" if version == "rubra" and status == 422 else "ErrorResponse"
    else:
        assert status == 200 or (status == 206 and path.endswith("/content")), (
            f"{method} {path} answered {status}"
        )
        answer = known.of(method, path.rstrip("/"))
        if answer is None:
            return
        name = answer
    hold(known.validators[name], f"{method} {path} ({version}, {status}) as {name}", json.loads(body))


OF_EVENTS = {
    "thread": "ThreadObject",
    "thread.run": "RunObject",
    "thread.run.step": "RunStepObject",
    "thread.message": "MessageObject",
}
OF_DELTAS = {"thread.run.step.delta": "RunStepDeltaObject", "thread.message.delta": "MessageDeltaObject"}


def check_event(name: str, version: str, data: Any) -> None:
    """Hold the data of one event of a stream against its published shape. Raises `AssertionError`."""
    if name == "done":
        assert data == "[DONE]"
        return
    shape = "ErrorResponse" if name == "error" else OF_DELTAS.get(name) or OF_EVENTS[name.rpartition(".")[0]]
    hold(shapes(version).validators[shape], f"event {name} ({version}) as {shape}", data)


def hold(validator: Validator, what: str, value: Any) -> None:
    """Raise `AssertionError` with all that is wrong with `value`."""
    found = validator.errors(value)
    if isinstance(value, dict) and value.get("object") == "list" and "first_id" in value:
        found += wrong_ends(value)
    assert not found, "\n  ".join([what, *found])


def wrong_ends(page: Mapping[str, Any]) -> list[str]:
    """What a schema cannot say of a list: its ends are the ids at its ends."""
    ids = [item["id"] for item in page["data"]] or [None]
    right = (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
    return [] if right else ["first_id and last_id are not the ids at the ends of data"]


def check_headers(headers: Mapping[str, str]) -> None:
    """What every answer carries."""
    assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-processing-ms"].isdigit()
    assert headers["x-content-type-options"] == "nosniff"


def check_response(response: Any) -> None:
    """`check` as a response hook of an HTTPX client. Fails the test, whatever the client would catch."""
    if is_json(response):
        response.read()
    fail_unless_right(response)


async def check_response_async(response: Any) -> None:
    """`check` as a response hook of an asynchronous HTTPX client."""
    if is_json(response):
        await response.aread()
    fail_unless_right(response)


def fail_unless_right(response: Any) -> None:
    try:
        check_read(response)
    except AssertionError as problem:
        pytest.fail(str(problem))


def is_json(response: Any) -> bool:
    """File content is not, and stays unread: a test may want to stream it."""
    return response.headers["content-type"] == "application/json"


def check_read(response: Any) -> None:
    request = response.request
    path = request.url.path
    check_headers(response.headers)
    if request.method == "HEAD":
        return
    if schema := PUBLIC.get(path.rstrip("/")):
        if response.status_code == 200:
            hold(Validator(schema), path, response.json())
        return
    version, inside = dialect_of(path, request.headers.get("openai-beta"))
    if response.headers["content-type"].startswith("text/event-stream"):
        assert response.status_code == 200
        assert shapes(version).of(request.method, inside.rstrip("/")) == "RunObject"
        return
    body = response.content if is_json(response) else b""
    check(request.method, inside, version, response.status_code, body)
