"""What msgspec refuses is what the check finds broken, on bodies near valid ones; with words for it."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, inspect

from threadkeep.errors import Invalid, MalformedJSON, Problem
from threadkeep.http.caller import DIALECTS
from threadkeep.wire.base import Body, Dialect, encode
from threadkeep.wire.check import problems
from threadkeep.wire.shapes import LONGEST_TEXT, CreateMessageV2

QUIET = settings(deadline=None, derandomize=True, database=None, max_examples=150)
FOUR_BYTES = "\N{GRINNING FACE}"
SMALL = 1000
"""Limits up to this are tried out by generated values; larger ones have a test of their own."""

JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**18, "", "text", "\ud800", "https://a.example/b", FOUR_BYTES, [], {},
    ["text"], [None], {"type": "text"}, {"type": 1}, {"text": "text"}, {"\udfff": "a"}, {"a": {"b": []}},
]  # fmt: skip
"""JSON values that are right in some places and wrong in most."""

BODIES = [(dialect, name) for dialect in DIALECTS for name in dialect.bodies]
EVERY_BODY = pytest.mark.parametrize(("dialect", "name"), BODIES, ids=[f"{d.name} {n}" for d, n in BODIES])


@st.composite
def near(draw: st.DrawFn, kind: inspect.Type) -> Any:
    """A JSON value that is a `kind`, or nearly so."""
    if draw(st.integers(0, 11)) == 0:
        return draw(st.sampled_from(JUNK))
    match kind:
        case inspect.Metadata():
            return draw(near(kind.type))
        case inspect.UnionType():
            return draw(near(draw(st.sampled_from(kind.types))))
        case inspect.StructType():
            return draw(structs(kind))
        case inspect.ListType():
            return [draw(near(kind.item_type)) for _ in range(draw(sizes(kind.max_length)))]
        case inspect.DictType():
            names = [draw(near(kind.key_type)) for _ in range(draw(sizes(kind.max_length)))]
            return {f"{name}": draw(near(kind.value_type)) for name in distinct(names)}
        case inspect.StrType():
            return draw(st.sampled_from(["a", FOUR_BYTES, "https://a.example/b"])) * draw(
                sizes(kind.max_length)
            )
        case inspect.LiteralType():
            return draw(st.sampled_from([*kind.values, "other"]))
        case inspect.IntType():
            return draw(st.sampled_from([-1, 0, 1, 99, 100, 101, 2**63, 2**64]))
        case inspect.FloatType():
            return draw(st.floats(allow_nan=False, allow_infinity=False))
        case inspect.BoolType():
            return draw(st.booleans())
    return draw(st.sampled_from(JUNK))


@st.composite
def structs(draw: st.DrawFn, kind: inspect.StructType) -> dict[str, Any]:
    """An object whose fields come and go, at times with one that is unknown."""
    value: dict[str, Any] = {}
    if kind.tag_field:
        value[kind.tag_field] = kind.tag
    for field in kind.fields:
        if draw(st.integers(0, 9)) > (0 if field.required else 4):
            value[field.encode_name] = draw(near(field.type))
    if draw(st.integers(0, 9)) == 0:
        value["unknown"] = draw(st.sampled_from(JUNK))
    return value


def sizes(most: int | None) -> st.SearchStrategy[int]:
    """Small sizes, and those around a limit."""
    edges = [most - 1, most, most + 1] if most is not None and most <= SMALL else []
    return st.sampled_from([0, 1, 1, 2, *edges])


def distinct(names: list[Any]) -> Iterator[Any]:
    """Names of an object, all different; some grow longer by it."""
    for number, name in enumerate(names):
        yield f"{name}{number}" if number else name


def refusal_of(shape: type[Struct], text: bytes) -> str | None:
    """Why msgspec refuses a body, or None."""
    try:
        msgspec.json.decode(text, type=shape)
    except ValueError as refusal:
        return str(refusal)
    return None


@EVERY_BODY
@QUIET
@given(data=st.data())
def test_the_check_finds_something_exactly_where_msgspec_refuses_and_has_words_for_it(
    dialect: Dialect, name: str, data
):
    shape = dialect.bodies[name].shape
    value = data.draw(near(inspect.type_info(shape)))
    refusal = refusal_of(shape, json.dumps(value).encode())
    found = problems(shape, value)
    assert bool(found) == bool(refusal), (refusal, found)
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


def test_all_problems_are_found_missing_ones_first():
    value = {
        "content": [{"type": "image_url", "image_url": {"detail": "x"}}],
        "metadata": {"k" * 65: 1},
        "x": 1,
    }
    assert [(one.path, one.kind) for one in problems(CreateMessageV2, value)] == [
        (("role",), "missing"),
        (("content", 0, "image_url", "url"), "missing"),
        (("x",), "unknown"),
        (("content", 0, "image_url", "detail"), "enum"),
        (("metadata", "k" * 65), "name_too_long"),
        (("metadata", "k" * 65), "type"),
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
