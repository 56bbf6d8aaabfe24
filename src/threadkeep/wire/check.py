"""Every rule that a decoded JSON value breaks, found by walking the Struct that describes it.

msgspec decodes and validates in one pass and stops at the first fault, whose path and words are not
enough for the API's errors. So when it refuses, and only then, this walk says what is wrong, all of
it, as `Problem`s; each dialect puts them in its own words.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

from msgspec import inspect

from threadkeep.assistants.model import Ranker, ReasoningEffort
from threadkeep.errors import Problem
from threadkeep.files.model import Purpose
from threadkeep.messages.model import Detail, Role, ToolType
from threadkeep.runs.model import ToolChoiceWord

Path = tuple[str | int, ...]
Json = Any

ORDER = ["missing", "unknown"]
"""Kinds in the order in which the service reports them; all others follow."""

TO_THE_END = r"(?![\s\S])"
"""What Python's `$` lacks: nothing may follow it, not even a line break."""
URL = r'^[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x20"<>\\^`{|}]+$' + TO_THE_END

NoneOrAuto = Literal["none", "auto"]
"""v1's choices of a tool, and of a format."""
CHOICES = (Role, Detail, ToolType, Ranker, ReasoningEffort, ToolChoiceWord, NoneOrAuto, Purpose)
AS_PUBLISHED = {frozenset(get_args(one)): get_args(one) for one in CHOICES}
"""msgspec sorts the values of a Literal; errors list them in the reference's order."""

NAMES: dict[Any, str] = {
    inspect.StrType: "a string",
    inspect.IntType: "an integer",
    inspect.FloatType: "a decimal",
    inspect.BoolType: "a boolean",
    inspect.NoneType: "null",
    inspect.ListType: "an array",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
    inspect.LiteralType: "a string",
}


def name_of(kind: inspect.Type) -> str:
    """A type as the service names it."""
    return next(name for one, name in NAMES.items() if isinstance(kind, one))


def problems(shape: type, value: Json, where: str = "body") -> list[Problem]:
    """What keeps `value` from being a `shape`, in the order in which the service would report it.

    Where strings are not text nothing else is reported: they could not be written into an answer.
    """
    found = list(surrogates(value, ())) or list(walk(inspect.type_info(shape), value, ()))
    found.sort(key=lambda one: ORDER.index(one.kind) if one.kind in ORDER else len(ORDER))
    return found


def type_name(value: Json) -> str:
    """The JSON type of a value, as the service names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def walk(kind: inspect.Type, value: Json, path: Path) -> Iterator[Problem]:
    """The problems of `value` as a `kind`."""
    match kind:
        case inspect.Metadata():  # a type with something to add to its description
            yield from walk(kind.type, value, path)
        case inspect.UnionType():
            yield from walk_union(kind, value, path)
        case inspect.StructType():
            yield from walk_struct(kind, value, path)
        case inspect.ListType() if isinstance(value, list):
            yield from sizes(value, path, "array", kind.min_length, kind.max_length)
            for index, item in enumerate(value):
                yield from walk(kind.item_type, item, (*path, index))
        case inspect.DictType() if isinstance(value, dict):
            yield from walk_dict(kind, value, path)
        case inspect.StrType() if isinstance(value, str):
            yield from sizes(value, path, "string", kind.min_length, kind.max_length)
            if kind.pattern and not re.search(kind.pattern, value):
                rule = kind.pattern.removesuffix(TO_THE_END)
                yield Problem(path, "url" if kind.pattern == URL else "pattern", expected=rule, actual=value)
        case inspect.LiteralType() if isinstance(value, str):
            if value not in kind.values:
                values = AS_PUBLISHED.get(frozenset(kind.values), kind.values)
                yield Problem(path, "enum", actual=value, choices=tuple(map(str, values)))
        case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
            yield from bounds(kind, value, path)
        case inspect.FloatType() if accepts(kind, value):
            yield from bounds(kind, value, path)
        case inspect.AnyType() | inspect.RawType():
            return
        case _ if not accepts(kind, value):
            yield Problem(path, "type", expected=name_of(kind), actual=value)


def walk_struct(kind: inspect.StructType, value: Json, path: Path) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, "type", expected="an object", actual=value)
        return
    fields = {field.encode_name: field for field in kind.fields}
    for name, field in fields.items():
        if name in value:
            yield from walk(field.type, value[name], (*path, name))
        elif field.required:
            yield Problem((*path, name), "missing")
    if kind.forbid_unknown_fields:
        for name in value:
            if name not in fields and name != kind.tag_field:
                yield Problem((*path, name), "unknown")


def walk_dict(kind: inspect.DictType, value: dict[str, Json], path: Path) -> Iterator[Problem]:
    yield from sizes(value, path, "properties", kind.min_length, kind.max_length)
    for name, item in value.items():
        key = kind.key_type
        if isinstance(key, inspect.StrType) and key.max_length is not None and len(name) > key.max_length:
            yield Problem((*path, name), "name_too_long", actual=len(name), limit=key.max_length)
        yield from walk(kind.value_type, item, (*path, name))


def walk_union(kind: inspect.UnionType, value: Json, path: Path) -> Iterator[Problem]:
    """The one member that `value` means to be, or the whole choice if it is none of them."""
    structs = [one for one in kind.types if isinstance(one, inspect.StructType)]
    if structs and isinstance(value, dict) and structs[0].tag_field:
        yield from walk_tagged(structs, value, path)
        return
    for member in kind.types:
        if accepts(member, value):
            yield from walk(member, value, path)
            return
    yield Problem(path, "type", expected=expectation(kind), actual=value)


def walk_tagged(structs: list[inspect.StructType], value: Json, path: Path) -> Iterator[Problem]:
    field = structs[0].tag_field or ""
    tag = value.get(field)
    if field not in value:
        yield Problem((*path, field), "missing")
    elif not isinstance(tag, str):
        yield Problem((*path, field), "type", expected="a string", actual=tag)
    else:
        for struct in structs:
            if struct.tag == tag:
                yield from walk_struct(struct, value, path)
                return
        yield Problem((*path, field), "enum", actual=tag, choices=tuple(str(one.tag) for one in structs))


def expectation(kind: inspect.UnionType) -> str:
    """The choice in words; null goes without saying."""
    members = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    names = list(dict.fromkeys(plural_name(one) for one in members))
    return names[0] if len(names) == 1 else f"one of {' or '.join([', '.join(names[:-1]), names[-1]])}"


def plural_name(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return plural_name(kind.type)
    if isinstance(kind, inspect.ListType):
        inside = kind.item_type
        objects = isinstance(inside, inspect.UnionType | inspect.StructType)
        return "an array of objects" if objects else "an array of strings"
    return name_of(kind)


def accepts(kind: inspect.Type, value: Json) -> bool:
    """Whether `value` has the JSON type of `kind`, sizes and contents aside."""
    match kind:
        case inspect.Metadata():
            return accepts(kind.type, value)
        case inspect.StrType() | inspect.LiteralType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.NoneType():
            return value is None
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.DictType() | inspect.StructType():
            return isinstance(value, dict)
    return True


def sizes(value: Any, path: Path, what: str, least: int | None, most: int | None) -> Iterator[Problem]:
    if least is not None and len(value) < least:
        yield Problem(path, f"{what}_too_short", actual=len(value), limit=least)
    if most is not None and len(value) > most:
        kind = "properties_too_many" if what == "properties" else f"{what}_too_long"
        yield Problem(path, kind, actual=len(value), limit=most)


def bounds(kind: inspect.IntType | inspect.FloatType, value: float, path: Path) -> Iterator[Problem]:
    what = "integer" if isinstance(value, int) else "decimal"
    if kind.ge is not None and value < kind.ge:
        yield Problem(path, f"{what}_too_small", actual=value, limit=int(kind.ge))
    if kind.le is not None and value > kind.le:
        yield Problem(path, f"{what}_too_big", actual=value, limit=int(kind.le))


def surrogates(value: Json, path: Path) -> Iterator[Problem]:
    """Strings with half of a surrogate pair: JSON can write them, but they are not text."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield Problem(path, "surrogate")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from surrogates(item, (*path, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            unfit = list(surrogates(name, path))  # such a name cannot be part of a path either
            yield from unfit or surrogates(item, (*path, name))
