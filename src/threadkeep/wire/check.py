"""Every rule that a decoded JSON value breaks, found by walking the Struct that describes it.

msgspec decodes and validates in one pass and stops at the first fault, whose path and words are not
enough for the API's errors. So when it refuses, and only then, this walk says what is wrong, as
`Problem`s; each dialect puts them in its own words. A body may be as large as the server takes, so the
walk ends at the hundredth problem, and what is right in a long array it leaves to msgspec.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, reduce
from itertools import islice
from operator import or_
from types import GenericAlias
from typing import Any, Literal, get_args

import msgspec
from msgspec import inspect

from threadkeep.assistants.model import Ranker, ReasoningEffort
from threadkeep.errors import Problem
from threadkeep.files.model import Purpose
from threadkeep.messages.model import Detail, Role, ToolType
from threadkeep.runs.model import ToolChoiceWord

Path = tuple[str | int, ...]
Json = Any

MOST_PROBLEMS = 100
"""That are told of one body."""
MOST_LOOKED_AT = 10_000
"""Values among which strings that are no text are searched."""
STRETCH = 256
"""Items of an array that are looked at together."""
LONGEST_PATH = 20
"""Steps. Filters hold each other, and reach 17 where they are as deep as they may be (`wire.search`)."""
LONGEST_NAME = 12
"""Of a choice that is told in full: the service was seen to shorten 13 characters, and not to shorten 9."""
INDEX = re.compile(r".* - at `\$\[(\d+)\]", re.DOTALL)
"""In what msgspec says of an array; before its last words there may be any, from a name in the body."""
ARTICLE = re.compile("^(an?|one of) ")
"""Only the first of several types has one: `one of a string or array of objects`."""

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
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}


def name_of(kind: inspect.Type) -> str:
    """A type as the service names what it expected; null goes without saying."""
    match kind:
        case inspect.Metadata():
            return name_of(kind.type)
        case inspect.UnionType():
            names = list(dict.fromkeys(name_of(one) for one in members(kind)))
            return one_of([names[0], *(ARTICLE.sub("", name) for name in names[1:])])
        case inspect.LiteralType():
            return one_of([f"'{shortened(value)}'" for value in choices_of(kind)])
        case inspect.ListType():
            objects = any(isinstance(one, inspect.StructType) for one in members(kind.item_type))
            return "an array of objects" if objects else "an array of strings"
    return next(name for one, name in NAMES.items() if isinstance(kind, one))


def members(kind: inspect.Type) -> list[inspect.Type]:
    """The types of a choice, null aside, or the one that is none."""
    if not isinstance(kind, inspect.UnionType):
        return [kind]
    return [one for one in kind.types if not isinstance(one, inspect.NoneType)]


def choices_of(kind: inspect.LiteralType) -> tuple[str, ...]:
    """The values of a literal, in the reference's order."""
    return tuple(map(str, AS_PUBLISHED.get(frozenset(kind.values), kind.values)))


def one_of(names: Sequence[str]) -> str:
    """`one of 'a', 'b', or 'c'`"""
    if len(names) == 1:
        return names[0]
    return f"one of {', '.join(names[:-1])}{',' if len(names) > 2 else ''} or {names[-1]}"


def shortened(name: str) -> str:
    """A long name, by its ends."""
    return f"{name[:3]}...{name[-3:]}" if len(name) > LONGEST_NAME else name


described = cache(inspect.type_info)


def problems(shape: type, value: Json) -> list[Problem]:
    """What keeps `value` from being a `shape`: declared fields in their order, then unknown ones.

    Where strings are not text nothing else is reported: they could not be written into an answer.
    Raises `RecursionError` where arrays and objects are too deep in each other.
    """
    if not is_text(value):
        return surrogates(value)
    return list(islice(walk(described(shape), value, ()), MOST_PROBLEMS))


def type_name(value: Json) -> str:
    """The JSON type of a value, as the service names what it got."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def walk(kind: inspect.Type, value: Json, path: Path) -> Iterator[Problem]:
    """The problems of `value` as a `kind`."""
    if len(path) > LONGEST_PATH:
        raise RecursionError
    match kind:
        case inspect.Metadata():  # a type with something to add to its description
            yield from walk(kind.type, value, path)
        case inspect.UnionType():
            yield from walk_union(kind, value, path)
        case inspect.StructType():
            yield from walk_struct(kind, value, path)
        case inspect.ListType() if isinstance(value, list):
            unfit = list(sizes(value, path, "array", kind.min_length, kind.max_length))
            yield from unfit or walk_items(kind.item_type, value, path)
        case inspect.DictType() if isinstance(value, dict):
            yield from walk_dict(kind, value, path)
        case inspect.StrType() if isinstance(value, str):
            yield from sizes(value, path, "string", kind.min_length, kind.max_length)
            if kind.pattern and not re.search(kind.pattern, value):
                rule = kind.pattern.removesuffix(TO_THE_END)
                yield Problem(path, "url" if kind.pattern == URL else "pattern", expected=rule, actual=value)
        case inspect.LiteralType() if isinstance(value, str):
            if value not in kind.values:
                yield Problem(path, "enum", actual=value, choices=choices_of(kind))
        case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
            yield from bounds(kind, value, path)
        case inspect.FloatType() if accepts(kind, value):
            yield from bounds(kind, value, path)
        case inspect.AnyType() | inspect.RawType():
            return
        case inspect.LiteralType():
            yield Problem(path, "type", expected=name_of(kind), actual=value, choices=choices_of(kind))
        case _ if not accepts(kind, value):
            yield Problem(path, "type", expected=name_of(kind), actual=value)


def walk_items(kind: inspect.Type, items: list[Json], path: Path) -> Iterator[Problem]:
    """The problems of every item. What is right in a long array is passed over in stretches."""
    structs = [one.cls for one in members(kind) if isinstance(one, inspect.StructType)]
    array = GenericAlias(list, (reduce(or_, structs),)) if structs else None  # all else comes in short ones
    index = 0
    while index < len(items):
        stretch = items[index : index + STRETCH]
        right = how_many_fit(array, stretch) if array else 0
        index += right
        if right < len(stretch):
            yield from walk(kind, items[index], (*path, index))
            index += 1


def how_many_fit(array: Any, items: list[Json]) -> int:
    """How many items are right before one is not. That msgspec tells far sooner than a walk."""
    try:
        msgspec.convert(items, array)
    except ValueError as refusal:
        place = INDEX.match(str(refusal))
        return int(place[1]) if place else 0
    return len(items)


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
    if unfit := list(sizes(value, path, "properties", kind.min_length, kind.max_length)):
        yield from unfit
        return
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
    known = members(kind)
    meant = [one for one in kind.types if accepts(one, value)] or known
    if meant is known and len(known) > 1:
        yield Problem(path, "type", expected=name_of(kind), actual=value)
    else:
        yield from walk(meant[0], value, path)


def walk_tagged(structs: list[inspect.StructType], value: Json, path: Path) -> Iterator[Problem]:
    field = structs[0].tag_field or ""
    tag = value.get(field)
    if field not in value:
        yield Problem((*path, field), "missing")
    else:
        for struct in structs:
            if struct.tag == tag:
                yield from walk_struct(struct, value, path)
                return
        yield from walk(inspect.LiteralType(tuple(one.tag for one in structs)), tag, (*path, field))


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
    what = "integer" if isinstance(kind, inspect.IntType) else "decimal"
    if kind.ge is not None and value < kind.ge:
        yield Problem(path, f"{what}_too_small", actual=value, limit=int(kind.ge))
    if kind.le is not None and value > kind.le:
        yield Problem(path, f"{what}_too_big", actual=value, limit=int(kind.le))


def is_text(value: Json) -> bool:
    """Whether no string has half of a surrogate pair: JSON can write them, but they are not text."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def surrogates(value: Json) -> list[Problem]:
    """The strings that are no text; the whole value where the search for them ends without one."""
    looked_at = islice(strings(value, ()), MOST_LOOKED_AT)
    found = (Problem(path, "surrogate") for path, string in looked_at if not is_text(string))
    return list(islice(found, MOST_PROBLEMS)) or [Problem((), "surrogate")]


def strings(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Every string and name in a value, and an empty one for all else, so that each value counts."""
    yield path, value if isinstance(value, str) else ""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield path, name
            if is_text(name):  # another cannot be part of a path either
                yield from strings(item, (*path, name))
