"""Request bodies drawn from the JSON Schema that KNIME's node gives its user, and broken ones.

A strategy is made by walking the schema: optional keys come and go, what is nullable is null at times,
and objects that are open have keys that nobody knows. On top stand the documented limits, which the
schema leaves out. A broken body is a valid one with one thing done to it.
"""

import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import strategies as st

Schema = dict[str, Any]
Place = tuple[tuple[str | int, ...], Schema]
"""The path to a value in a body, and the schema that the value obeys."""
Draw = Callable[[st.SearchStrategy[Any]], Any]

SCHEMA: Schema = json.loads(Path(__file__).with_name("knime-create-message.schema.json").read_text())
FILES = ("a file", "another file")
"""Stand for two files that exist."""
MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512


def in_json_schema(schema: Any) -> Any:
    """The schema with OpenAPI's `nullable` in words that a validator of JSON Schema knows."""
    if isinstance(schema, list):
        return [in_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {name: in_json_schema(value) for name, value in schema.items()}
    return {"anyOf": [inside, {"type": "null"}]} if inside.pop("nullable", False) else inside


def fits(schema: Schema, value: Any) -> bool:
    """Whether a value obeys a part of the schema."""
    return jsonschema.Draft202012Validator(in_json_schema(schema)).is_valid(value)


# ---------------------------------------------------------------- valid bodies

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(TEXT, inside, max_size=2),
    max_leaves=4,
)
URI_CHARACTERS = string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%"
URIS = st.builds(
    "{}:{}".format,
    st.sampled_from(["https", "http", "data", "s3", "urn", "x-own+1.0"]),
    st.text(URI_CHARACTERS, min_size=1, max_size=40),
)
METADATA = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=LONGEST_KEY),
    st.text(st.characters(codec="utf-8"), max_size=LONGEST_VALUE),
    max_size=MOST_PAIRS,
)
ALSO_REQUIRED = {"file_id"}
"""An attachment needs its file; the schema says so, but one level too high to have an effect."""


def values(schema: Schema, name: str = "") -> st.SearchStrategy[Any]:
    """What may stand under `name`."""
    if schema.get("nullable"):
        return st.none() | values({**schema, "nullable": False}, name)
    if "oneOf" in schema:
        return st.one_of([values(one, name) for one in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "array":
            return st.lists(values(schema["items"], name), min_size=schema.get("minItems", 0), max_size=3)
        case "object" if "properties" in schema:
            return objects(schema)
        case "object":
            return METADATA
    return strings(schema, name)


def strings(schema: Schema, name: str) -> st.SearchStrategy[str]:
    if schema.get("format") == "uri":
        return URIS
    return st.sampled_from(FILES) if name == "file_id" else TEXT.filter(bool)


def objects(schema: Schema) -> st.SearchStrategy[Any]:
    inside = {name: values(one, name) for name, one in schema["properties"].items()}
    required = {*schema.get("required", ()), *(inside.keys() & ALSO_REQUIRED)}
    known = st.fixed_dictionaries(
        {name: one for name, one in inside.items() if name in required},
        optional={name: one for name, one in inside.items() if name not in required},
    )
    if schema.get("additionalProperties") is False:
        return known
    unknown = st.dictionaries(TEXT.filter(lambda name: name not in inside), ANY_JSON, max_size=2)
    return st.builds(lambda more, own: {**more, **own}, unknown, known)


BODIES = values(SCHEMA)


# ---------------------------------------------------------------- broken bodies


def places(schema: Schema, value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Every value in a valid body, with the schema that it obeys."""
    yield path, schema
    if "oneOf" in schema:
        [schema] = [one for one in schema["oneOf"] if fits(one, value)]
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(schema["items"], item, (*path, index))
    elif isinstance(value, dict):
        for name, one in schema.get("properties", {}).items():
            if name in value:
                yield from places(one, value[name], (*path, name))


def chosen(draw: Draw, body: Any, wanted: Callable[[Schema], Any]) -> Place:
    """One place of a body whose schema is wanted."""
    found = [place for place in places(SCHEMA, body) if wanted(place[1])]
    return draw(st.sampled_from(found))


def put(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """`body` with another value at `path`."""
    if not path:
        return value
    copy: Any = list(body) if isinstance(body, list) else dict(body)
    copy[path[0]] = put(copy[path[0]], path[1:], value)
    return copy


def at(body: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        body = body[step]
    return body


def without_a_required_key(draw: Draw, body: Any) -> Any:
    """One required key is gone: role, content, a part's type, an image's url, ..."""
    choices = [
        (path, name)
        for path, schema in places(SCHEMA, body)
        for name in needed(schema)
        if isinstance(at(body, path), dict) and name in at(body, path)
    ]
    path, gone = draw(st.sampled_from(choices))
    return put(body, path, {name: value for name, value in at(body, path).items() if name != gone})


def needed(schema: Schema) -> set[str]:
    own = {*schema.get("required", ()), *(schema.get("properties", {}).keys() & ALSO_REQUIRED)}
    return own.union(*(needed(one) for one in schema.get("oneOf", ())))


def with_a_wrong_type(draw: Draw, body: Any) -> Any:
    """One value is of a kind that its schema does not have; sometimes it is the body itself."""
    path, schema = chosen(draw, body, lambda schema: "enum" not in schema)
    kinds = [None, True, 0, 7, 1.5, "text", [], [1], {}, {"a": 1}]
    return put(body, path, draw(st.sampled_from([one for one in kinds if not fits(schema, one)])))


def with_a_bad_enum(draw: Draw, body: Any) -> Any:
    path, _ = chosen(draw, body, lambda schema: "enum" in schema)
    bad = ["", "User", "system", "AUTO", "medium", "image", "retrieval", "function", None, 1, ["user"]]
    return put(body, path, draw(st.sampled_from(bad)))


def with_an_unknown_key(draw: Draw, body: Any) -> Any:
    # v1 has `file_ids` beside what KNIME knows, so that name is left alone.
    name = draw(TEXT.filter(lambda name: name not in {*SCHEMA["properties"], "file_ids"}))
    return {**body, name: draw(ANY_JSON)}


def with_a_bad_uri(draw: Draw, body: Any) -> Any:
    bad = ["", "cat.png", "/cat.png", "//example.com/cat.png", "https://exa mple.com", "https://a\n", ":a"]
    part = {"type": "image_url", "image_url": {"url": draw(st.sampled_from(bad))}}
    return {**body, "content": [{"type": "text", "text": "x"}, part]}


def with_empty_content(draw: Draw, body: Any) -> Any:
    full, none = {"type": "text", "text": "x"}, {"type": "text", "text": ""}
    empty = ["", [], [none], [full, none]]
    return {**body, "content": draw(st.sampled_from(empty))}


def with_too_much_metadata(draw: Draw, body: Any) -> Any:
    pairs = {str(number): "" for number in range(MOST_PAIRS + 1)}
    too_much = [pairs, {"k" * (LONGEST_KEY + 1): ""}, {"k": "v" * (LONGEST_VALUE + 1)}, {"é" * 65: "é" * 513}]
    return {**body, "metadata": draw(st.sampled_from(too_much))}


def with_metadata_that_is_no_string(draw: Draw, body: Any) -> Any:
    pairs = dict(list((body.get("metadata") or {}).items())[: MOST_PAIRS - 1])
    return {**body, "metadata": {**pairs, "a": draw(ANY_JSON.filter(lambda one: not isinstance(one, str)))}}


def with_an_attachment_without_file(draw: Draw, body: Any) -> Any:
    bare = [{}, {"tools": []}, {"tools": [{"type": "file_search"}]}, {"file": FILES[0]}]
    return {**body, "attachments": [{"file_id": FILES[0]}, draw(st.sampled_from(bare))]}


AGAINST_THE_SCHEMA = [
    without_a_required_key,
    with_a_wrong_type,
    with_a_bad_enum,
    with_an_unknown_key,
    with_a_bad_uri,
]
AGAINST_THE_LIMITS = [
    with_empty_content,
    with_too_much_metadata,
    with_metadata_that_is_no_string,
    with_an_attachment_without_file,
]


def broken(way: Callable[[Draw, Any], Any]) -> st.SearchStrategy[Any]:
    """Valid bodies with one thing done to them."""
    return st.composite(lambda draw: way(draw, draw(BODIES)))()
