"""What msgspec refuses is what the check finds broken, on bodies near valid ones; with words for it."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import Struct, inspect

from threadkeep.errors import Invalid, MalformedJSON, Problem
from threadkeep.http.caller import DIALECTS
from threadkeep.wire.base import Body, Dialect, encode
from threadkeep.wire.check import problems
from threadkeep.wire.openai_v2 import dotted
from threadkeep.wire.shapes import LONGEST_TEXT, CreateMessageV2

EXAMPLES = 300
"""For each body; the same at every run."""
SLIPS = 0.005, 0.1
"""How probable it is that a part of a value is not what it should be."""
FOUR_BYTES = "\N{GRINNING FACE}"
SMALL = 1000
"""Limits up to this are tried out by chance; larger ones have a test of their own."""

JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**18, "", "text", "\ud800", "https://a.example/b", FOUR_BYTES, [], {},
    ["text"], [None], {"type": "text"}, {"type": 1}, {"text": "text"}, {"\udfff": "a"}, {"a": {"b": []}},
]  # fmt: skip
"""JSON values that are right in some places and wrong in most."""
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.0, 2.5, 1e-9, 1e300, -1e300, 5e-324, 2.0**53, 2.0**64]

BODIES = [(dialect, name) for dialect in DIALECTS for name in dialect.bodies]
EVERY_BODY = pytest.mark.parametrize(("dialect", "name"), BODIES, ids=[f"{d.name} {n}" for d, n in BODIES])


class Chance(Random):
    """Decides what a value is. Half of the values are hardly ever wrong, the others in most cases."""

    slip = 0.0

    def slips(self) -> bool:
        return self.random() < self.slip


def near(kind: inspect.Type, chance: Chance) -> Any:
    """A JSON value that is a `kind`, or nearly so."""
    if chance.slips():
        return chance.choice(JUNK)
    match kind:
        case inspect.Metadata():
            return near(kind.type, chance)
        case inspect.UnionType():
            return near(chance.choice(kind.types), chance)
        case inspect.StructType():
            return struct(kind, chance)
        case inspect.ListType():
            return [near(kind.item_type, chance) for _ in range(size(kind.max_length, chance))]
        case inspect.DictType():
            names = [near(kind.key_type, chance) for _ in range(size(kind.max_length, chance))]
            return {name: near(kind.value_type, chance) for name in distinct(names)}
        case inspect.StrType():
            return chance.choice(["a", FOUR_BYTES, "https://a.example/b"]) * size(kind.max_length, chance)
        case inspect.LiteralType():
            return "other" if chance.slips() else chance.choice(kind.values)
        case inspect.IntType():
            return chance.choice([-1, 0, 1, 99, 100, 101, 2**63, 2**64])
        case inspect.FloatType():
            return chance.choice(FLOATS)
        case inspect.BoolType():
            return chance.choice([False, True])
    return chance.choice(JUNK)


def struct(kind: inspect.StructType, chance: Chance) -> dict[str, Any]:
    """An object whose fields come and go, at times with one that is unknown."""
    value: dict[str, Any] = {}
    if kind.tag_field:
        value[kind.tag_field] = kind.tag
    for field in kind.fields:
        if not chance.slips() if field.required else chance.random() < 0.5:
            value[field.encode_name] = near(field.type, chance)
    if chance.slips():
        value["unknown"] = chance.choice(JUNK)
    return value


def size(most: int | None, chance: Chance) -> int:
    """A small size, or one around a limit."""
    edges = [most - 1, most, most + 1] if most is not None and most <= SMALL else []
    return chance.choice([0, 1, 1, 2, *edges])


def distinct(names: list[Any]) -> Iterator[str]:
    """Names of an object, all different; some grow longer by it."""
    for number, name in enumerate(names):
        yield f"{name}{number}" if number else f"{name}"


def refusal_of(shape: type[Struct], text: bytes) -> str | None:
    """Why msgspec refuses a body, or None."""
    try:
        msgspec.json.decode(text, type=shape)
    except ValueError as refusal:
        return str(refusal)
    return None


@EVERY_BODY
def test_the_check_finds_something_exactly_where_msgspec_refuses_and_has_words_for_it(
    dialect: Dialect, name: str
):
    shape, chance = dialect.bodies[name].shape, Chance(name)
    kind = inspect.type_info(shape)
    for number in range(EXAMPLES):
        chance.slip = SLIPS[number % 2]
        value = near(kind, chance)
        refusal = refusal_of(shape, json.dumps(value).encode())
        found = problems(shape, value)
        assert bool(found) == bool(refusal), (value, refusal, found)
        if found:
            reply = dialect.error(Invalid(*found))
            assert reply.status in (400, 422)
            assert encode(reply.body)


@pytest.mark.parametrize("character", ["a", FOUR_BYTES])
def test_long_text_is_measured_in_code_points(character):
    whole = {"role": "user", "content": character * LONGEST_TEXT}
    long = {"role": "user", "content": character * (LONGEST_TEXT + 1)}
    assert refusal_of(CreateMessageV2, json.dumps(whole, ensure_ascii=False).encode()) is None
    assert problems(CreateMessageV2, whole) == []
    assert refusal_of(CreateMessageV2, json.dumps(long, ensure_ascii=False).encode())
    assert problems(CreateMessageV2, long) == [
        Problem(("content",), "string_too_long", actual=LONGEST_TEXT + 1, limit=LONGEST_TEXT)
    ]


def test_all_problems_are_found_in_the_order_of_fields_and_v2_tells_missing_ones_first():
    value = {
        "content": [{"type": "image_url", "image_url": {"detail": "x"}}],
        "metadata": {"k" * 65: 1},
        "x": 1,
    }
    found = problems(CreateMessageV2, value)
    assert [(one.path, one.kind) for one in found] == [
        (("role",), "missing"),
        (("content", 0, "image_url", "url"), "missing"),
        (("content", 0, "image_url", "detail"), "enum"),
        (("metadata", "k" * 65), "name_too_long"),
        (("metadata", "k" * 65), "type"),
        (("x",), "unknown"),
    ]
    told = []
    while found:
        told.append(DIALECTS[0].error(Invalid(*found)).body["error"]["param"])
        found = [one for one in found if dotted(one.path) != told[-1]]
    assert told == [
        "role",
        "content[0].image_url.url",
        "x",
        "content[0].image_url.detail",
        f"metadata.{'k' * 65}",
    ]


NOT_JSON = {
    "nothing but a bracket": b"{",
    "a trailing comma": b'{"role": "user",}',
    "not a number": b'{"role": NaN}',
    "an endless number": b'{"role": Infinity}',
    "bytes that are no UTF-8": b'{"role": "\xff"}',
    "UTF-16": '{"role": "user"}'.encode("utf-16"),
    "two values": b"{} {}",
    "a depth that no reader bears": b"[" * 100_000,
    "a depth that is closed again": b'{"metadata":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a control character in a string": b'{"role": "a\nb"}',
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_a_body_that_is_no_json_is_refused_as_such_or_for_what_it_holds(name):
    body: Body = DIALECTS[0].bodies["create_message"]
    with pytest.raises((MalformedJSON, Invalid)) as refused:
        body.parse(NOT_JSON[name])
    reply = DIALECTS[0].error(refused.value)
    assert reply.status == 400
    assert encode(reply.body)
