"""Component schemas, made from the Structs that dialects read and write."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.wire.base import Dialect

Schema = dict[str, Any]
REF = "#/components/schemas/"


class Schemas:
    """The components of a description, and the reference to each Struct's schema.

    What is sent and what is answered are apart, since the same Struct means something else on either
    side: a field with a default may be left out of a request, and is always there in an answer.
    """

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self.components: dict[str, Schema] = {}
        self._sent: dict[tuple[str, str], Schema] = {}
        self._answered: dict[type, Schema] = {}
        shapes: dict[type, None] = {}
        for dialect in dialects:
            self._add_bodies(dialect)
            shapes |= dict.fromkeys([*dialect.answers.values(), *dialect.error_shapes.values()])
        shapes.pop(bytes)
        self._add_answers(list(shapes))

    def _add_bodies(self, dialect: Dialect) -> None:
        shapes = [body.shape for body in dialect.bodies.values()]
        template = f"{REF}{dialect.name}.{{name}}"
        schemas, components = msgspec.json.schema_components(shapes, ref_template=template)
        for operation, schema in zip(dialect.bodies, schemas, strict=True):
            self._sent[dialect.name, operation] = schema
        for name, component in components.items():
            self.components[f"{dialect.name}.{name}"] = tidy(component)

    def _add_answers(self, shapes: list[type[Struct]]) -> None:
        schemas, components = msgspec.json.schema_components(shapes, ref_template=REF + "{name}")
        self._answered.update(zip(shapes, schemas, strict=True))
        self.components.update({name: complete(tidy(one)) for name, one in components.items()})

    def body(self, operation: str, dialects: Iterable[Dialect]) -> Schema:
        """What may be sent to an operation."""
        return any_of(self._sent[one.name, operation] for one in dialects)

    def answer(self, shapes: Iterable[type]) -> Schema:
        """What may come back."""
        return any_of(self._answered[shape] for shape in shapes)


def any_of(schemas: Iterable[Schema]) -> Schema:
    """One schema as it is, several as a choice."""
    distinct: list[Schema] = []
    for schema in schemas:
        if schema not in distinct:
            distinct.append(schema)
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def tidy(component: Schema) -> Schema:
    """A component whose prose has no line breaks of the source in it."""
    for part in parts(component):
        if isinstance(part.get("description"), str):
            part["description"] = " ".join(part["description"].split())
    return component


def complete(component: Schema) -> Schema:
    """A component of an answer: what has a default is there, and nothing else is."""
    for part in parts(component):
        properties = part.get("properties")
        if isinstance(properties, dict):
            given = [name for name, one in properties.items() if "default" in one]
            part["required"] = [name for name in properties if name in {*part["required"], *given}]
            part["additionalProperties"] = False
            for one in properties.values():
                one.pop("default", None)
    return component


def parts(schema: Any) -> Iterator[Schema]:
    """A schema and all schemas inside it."""
    if isinstance(schema, dict):
        yield schema
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in inside:
        yield from parts(part)
