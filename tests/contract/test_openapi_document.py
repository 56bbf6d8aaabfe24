"""The description itself: a valid OpenAPI document that leaves nothing out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis

from tests.support.house import House
from threadkeep.http.openapi import document
from threadkeep.http.public import PUBLIC
from threadkeep.http.routes import OPERATIONS
from threadkeep.wire import openai_v1, openai_v2, rubra

BASES = {"/v1": (openai_v2.DIALECT, openai_v1.DIALECT), "/rubra": (rubra.DIALECT,)}


@pytest.mark.promise("server.openapi")
def test_the_server_serves_its_own_description_to_anyone(http: httpx.Client) -> None:
    answer = http.get("/openapi.json", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, document())


def test_the_description_is_a_valid_openapi_document() -> None:
    schemathesis.openapi.from_dict(document()).validate()


def test_every_schema_in_it_is_valid_json_schema() -> None:
    for schema in document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_in_it_leads_somewhere() -> None:
    whole = document()
    assert [ref for ref in references(whole) if resolved(whole, ref) is None] == []


def test_every_operation_of_every_dialect_is_in_it() -> None:
    operations = {
        (operation.method, base + operation.template)
        for operation in OPERATIONS
        for base, dialects in BASES.items()
        if any(operation.name in dialect.operations for dialect in dialects)
    }
    assert operations | {("GET", path) for path in PUBLIC} == set(described_operations(document()))


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in described_operations(document()).values()]
    assert sorted(set(ids)) == sorted(ids)


def test_a_server_that_demands_the_version_header_says_so(tmp_path: Path) -> None:
    with House(tmp_path, require_beta_header=True) as strict:
        served = httpx.get(strict.address + "/openapi.json").json()
    assert served["components"]["parameters"]["openai"]["required"] is True


def described_operations(whole: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in whole["paths"].items()
        for method, operation in methods.items()
    }


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inside in part.values():
            yield from references(inside)
    elif isinstance(part, list):
        for inside in part:
            yield from references(inside)


def resolved(whole: Any, ref: str) -> Any:
    for step in ref.removeprefix("#/").split("/"):
        whole = whole.get(step, {})
    return whole or None
