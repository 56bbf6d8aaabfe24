"""The document: every operation of the table of routes, in every dialect that has it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep import __version__
from threadkeep.http import caller
from threadkeep.http.openapi import parameters
from threadkeep.http.openapi.prose import ABOUT, EVENT_STREAM, REFUSED, SECURITY, TAGS
from threadkeep.http.openapi.schemas import Schemas
from threadkeep.http.routes import OPERATIONS, Operation
from threadkeep.wire.answers import STREAMED
from threadkeep.wire.base import Dialect

Json = dict[str, Any]
JSON, BINARY, FORM = "application/json", "application/octet-stream", "multipart/form-data"
EVENTS = "text/event-stream"
IDEMPOTENCY = "idempotency_key"


class Family(Struct, frozen=True):
    """Dialects that share their paths. `versions` are the headers that tell them apart, if any does."""

    name: str
    base: str
    dialects: Sequence[Dialect]
    versions: Sequence[str] = ()


OPENAI = Family(
    "openai", "/v1", tuple(caller.VERSIONS.values()), tuple(one.decode() for one in caller.VERSIONS)
)
RUBRA = Family("rubra", "/rubra", (caller.RUBRA,))
SERVER = Family("server", "", (caller.DEFAULT,))
"""What needs no key. Its errors are in the default dialect."""


@cache
def encoded(require_beta_header: bool) -> bytes:
    """The document as JSON, made when it is first asked for."""
    return msgspec.json.encode(document(require_beta_header))


def document(require_beta_header: bool = False, families: Sequence[Family] = (OPENAI, RUBRA)) -> Json:
    """The description of a server with this setting, or of a part of it."""
    schemas = Schemas([one for family in (*families, SERVER) for one in family.dialects])
    components: Json = {
        "schemas": schemas.components,
        "responses": {
            name: response
            for family in (*families, SERVER)
            for name, response in refusals(family, schemas).items()
        },
        "headers": {
            "RequestId": {
                "description": "The id under which the server's log knows this request.",
                "schema": {"type": "string", "pattern": "^req_[0-9a-f]{32}$"},
            }
        },
        "parameters": {
            family.name: parameters.beta_header(list(family.versions), require_beta_header)
            for family in families
            if family.versions
        }
        | {IDEMPOTENCY: parameters.IDEMPOTENCY_KEY},
        "securitySchemes": SECURITY,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Threadkeep",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": TAGS,
        "security": [{name: []} for name in SECURITY],
        "paths": {**paths(families, schemas), **PUBLIC_PATHS},
        "components": components,
    }


def paths(families: Sequence[Family], schemas: Schemas) -> Json:
    """All paths, family by family."""
    found: Json = {}
    for family in families:
        for operation in OPERATIONS:
            dialects = [one for one in family.dialects if operation.name in one.operations]
            if dialects:
                path = found.setdefault(family.base + operation.template, {})
                path[operation.method.lower()] = described(operation, family, dialects, schemas)
    return found


def described(operation: Operation, family: Family, dialects: list[Dialect], schemas: Schemas) -> Json:
    """One operation."""
    words = operation.name.replace("_", " ").capitalize()
    about: Json = {
        "tags": [operation.endpoint.__module__.split(".")[1] if family.versions else family.name],
        "operationId": operation.name if family.versions else f"{family.name}_{operation.name}",
        "summary": words,
        "parameters": parameters.in_path(operation.template) + parameters.QUERIES.get(operation.name, []),
    }
    if family.versions:
        about["parameters"].append({"$ref": f"#/components/parameters/{family.name}"})
        if len(dialects) < len(family.dialects):
            about["summary"] += f" ({dialects[0].name.rpartition('_')[2]} only)"
    if operation.method == "POST":
        about["parameters"].append({"$ref": f"#/components/parameters/{IDEMPOTENCY}"})
    if body := request_body(operation, dialects, schemas):
        about["requestBody"] = body
    about["responses"] = {
        "200": answered(operation, dialects, schemas),
        **({"206": PART} if operation.name == "download_file" else {}),
        **{
            str(status): {"$ref": f"#/components/responses/{family.name}_{status}"}
            for status in sorted(refused(operation, family, dialects))
        },
    }
    return about


def request_body(operation: Operation, dialects: list[Dialect], schemas: Schemas) -> Json | None:
    """What an operation reads. No JSON body is as good as an empty object."""
    if operation.reads == "form":
        return {"required": True, "content": {FORM: {"schema": parameters.FORMS[operation.name]}}}
    if operation.reads == "json":
        schema = schemas.body(operation.name, dialects)
        shapes = [one.bodies[operation.name].shape for one in dialects]
        required = all(any(field.required for field in msgspec.structs.fields(one)) for one in shapes)
        return {"required": required, "content": {JSON: {"schema": schema}}}
    return None


def answered(operation: Operation, dialects: list[Dialect], schemas: Schemas) -> Json:
    """The answer where all goes well."""
    shapes = [one.answers[operation.name] for one in dialects]
    if shapes[0] is bytes:
        return response("The bytes.", {BINARY: {"schema": {"type": "string", "format": "binary"}}})
    content: Json = {JSON: {"schema": schemas.answer(shapes)}}
    if operation.name in STREAMED:
        content[EVENTS] = {"schema": {"type": "string", "description": EVENT_STREAM}}
    return response("Done.", content)


def refused(operation: Operation, family: Family, dialects: list[Dialect]) -> set[int]:
    """The other statuses that an operation may answer with."""
    reads, lists = operation.reads != "nothing", operation.name in parameters.QUERIES
    found = {401, 500, 503}
    if family.versions or operation.method == "POST" or operation.name == "download_file":
        found.add(400)
    if "{" in operation.template or operation.reads == "json" or lists:
        found.add(404)
    if operation.method == "POST":
        found.add(409)
    if reads:
        found.add(413)
    if operation.name == "download_file":
        found.add(416)
    if operation.name == "delete_model":
        found.add(403)
    if not family.versions and (reads or lists):
        found.add(422)
    if any(has_other_methods(operation, one) for one in family.dialects if one not in dialects):
        found.add(405)
    return found


def has_other_methods(operation: Operation, dialect: Dialect) -> bool:
    """Whether a dialect without this operation has others on its path."""
    return any(one.template == operation.template and one.name in dialect.operations for one in OPERATIONS)


def refusals(family: Family, schemas: Schemas) -> Json:
    """The answers of a family where something goes wrong."""
    statuses = family.dialects[0].error_shapes
    return {
        f"{family.name}_{status}": response(
            REFUSED[status],
            {JSON: {"schema": schemas.answer(one.error_shapes[status] for one in family.dialects)}},
        )
        for status in statuses
    }


def response(description: str, content: Json) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": content,
    }


PART = response(
    "The part that `Range` asks for.", {BINARY: {"schema": {"type": "string", "format": "binary"}}}
)


def public(name: str, summary: str, schema: Json, *statuses: int) -> Json:
    return {
        "tags": ["server"],
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {
            "200": response("Yes.", {JSON: {"schema": schema}}),
            **{str(one): {"$ref": f"#/components/responses/{SERVER.name}_{one}"} for one in (*statuses, 500)},
        },
    }


OK: Json = {
    "type": "object",
    "properties": {"status": {"type": "string"}},
    "required": ["status"],
    "additionalProperties": False,
}
PUBLIC_PATHS = {
    "/healthz": {"get": public("healthz", "Whether the process answers", OK)},
    "/readyz": {"get": public("readyz", "Whether the database answers", OK, 503)},
    "/openapi.json": {"get": public("openapi", "This document", {"type": "object"})},
}
