"""Bodies that break a rule: each with the exact words, `param` and `code`. Reference: protocol 1.6."""

from typing import Any

import httpx
import pytest

from tests.support.errors import answered, refusal

USER = {"role": "user", "content": "x"}
LONG = "x" * 256_001
CONTENT_TYPES = "one of a string or array of objects"
ROLES = "one of 'user' or 'assistant'"
PARTS = "one of 'image_file', 'image_url', or 'text'"
Case = tuple[dict[str, Any], str, str, str]
"""A body, and the message, param and code of its refusal."""


def text(value: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": value}]}


def url(**image_url: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": image_url}]}


def missing(body: dict[str, Any], param: str) -> Case:
    return body, f"Missing required parameter: '{param}'.", param, "missing_required_parameter"


def unknown(body: dict[str, Any], param: str) -> Case:
    return body, f"Unknown parameter: '{param}'.", param, "unknown_parameter"


def wrong_type(body: dict[str, Any], param: str, expected: str, got: str) -> Case:
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return body, message, param, "invalid_type"


def bad_value(body: dict[str, Any], param: str, value: str, supported: str) -> Case:
    return body, f"Invalid value: '{value}'. Supported values are: {supported}.", param, "invalid_value"


def too_long(body: dict[str, Any], param: str, most: int, got: int) -> Case:
    lengths = f"Expected a string with maximum length {most}, but got a string with length {got} instead."
    return body, f"Invalid '{param}': string too long. {lengths}", param, "string_above_max_length"


def too_short(body: dict[str, Any], param: str, what: str) -> Case:
    article = "an" if what == "array" else "a"
    lengths = f"Expected {article} {what} with minimum length 1, but got an empty {what} instead."
    return body, f"Invalid '{param}': empty {what}. {lengths}", param, f"empty_{what}"


def bad_url(value: str) -> Case:
    param = "content[0].image_url.url"
    message = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
    return url(url=value), message, param, "invalid_value"


METADATA: list[Case] = [
    wrong_type({"metadata": "x"}, "metadata", "an object", "a string"),
    wrong_type({"metadata": [["a", "b"]]}, "metadata", "an object", "an array"),
    wrong_type({"metadata": {"modified": True}}, "metadata.modified", "a string", "a boolean"),
    wrong_type({"metadata": {"a": 1}}, "metadata.a", "a string", "an integer"),
    wrong_type({"metadata": {"a": 1.5}}, "metadata.a", "a string", "a decimal number"),
    wrong_type({"metadata": {"a": None}}, "metadata.a", "a string", "null"),
    wrong_type({"metadata": {"a": ["b"]}}, "metadata.a", "a string", "an array"),
    wrong_type({"metadata": {"a": {"b": "c"}}}, "metadata.a", "a string", "an object"),
    too_long({"metadata": {"a": "x" * 513}}, "metadata.a", 512, 513),
    (
        {"metadata": {f"k{number}": "" for number in range(17)}},
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an "
        "object with 17 properties instead.",
        "metadata",
        "object_above_max_properties",
    ),
    (
        {"metadata": {"k" * 65: ""}},
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length "
        "64, but got a string with length 65 instead.",
        f"metadata.{'k' * 65}",
        "property_name_above_max_length",
    ),
]

MESSAGE: list[Case] = [
    missing({}, "role"),
    missing({"content": "x"}, "role"),
    missing({"role": "user"}, "content"),
    missing({"role": "user", "content": [{"text": "x"}]}, "content[0].type"),
    missing({"role": "user", "content": [{"type": "text"}]}, "content[0].text"),
    missing({"role": "user", "content": [{"type": "image_url"}]}, "content[0].image_url"),
    missing(url(detail="low"), "content[0].image_url.url"),
    missing({"role": "user", "content": [{"type": "image_file", "image_file": {}}]},
            "content[0].image_file.file_id"),
    missing({**USER, "attachments": [{"tools": []}]}, "attachments[0].file_id"),
    missing({**USER, "attachments": [{"file_id": "f", "tools": [{}]}]}, "attachments[0].tools[0].type"),
    unknown({**USER, "file_ids": []}, "file_ids"),
    unknown({**USER, "zeta": 1, "alpha": 2}, "zeta"),
    unknown({"zeta": 1, "role": 5, "content": "x"}, "zeta"),
    missing({"zeta": 1, "role": 5}, "content"),
    bad_value({**USER, "role": "human"}, "role", "human", "'user' and 'assistant'"),
    bad_value({**USER, "role": ""}, "role", "", "'user' and 'assistant'"),
    bad_value({**USER, "role": "{param}"}, "role", "{param}", "'user' and 'assistant'"),
    wrong_type({**USER, "role": 1}, "role", ROLES, "an integer"),
    wrong_type({**USER, "role": None}, "role", ROLES, "null"),
    wrong_type({**USER, "content": 5}, "content", CONTENT_TYPES, "an integer"),
    wrong_type({**USER, "content": None}, "content", CONTENT_TYPES, "null"),
    wrong_type({**USER, "content": {"type": "text"}}, "content", CONTENT_TYPES, "an object"),
    wrong_type({**USER, "content": ["x"]}, "content[0]", "an object", "a string"),
    wrong_type(text({"value": "x"}), "content[0].text", "a string", "an object"),
    wrong_type({"role": "user", "content": [{"type": 1}]}, "content[0].type", PARTS, "an integer"),
    wrong_type(url(url=1), "content[0].image_url.url", "a string", "an integer"),
    wrong_type(url(url="https://example.com/a.png", detail=1), "content[0].image_url.detail",
               "one of 'auto', 'low', or 'high'", "an integer"),
    wrong_type({**USER, "attachments": {}}, "attachments", "an array of objects", "an object"),
    wrong_type({**USER, "attachments": ["f"]}, "attachments[0]", "an object", "a string"),
    wrong_type({**USER, "attachments": [{"file_id": "f", "tools": {}}]}, "attachments[0].tools",
               "an array of objects", "an object"),
    wrong_type({**USER, "attachments": [{"file_id": "f", "tools": [{"type": 1}]}]},
               "attachments[0].tools[0].type", "one of 'cod...ter' or 'file_search'", "an integer"),
    wrong_type({**USER, "attachments": [{"file_id": 1}]}, "attachments[0].file_id", "a string",
               "an integer"),
    too_short({**USER, "content": ""}, "content", "string"),
    too_short({**USER, "content": []}, "content", "array"),
    too_short(text(""), "content[0].text", "string"),
    too_long({**USER, "content": LONG}, "content", 256_000, 256_001),
    too_long(text(LONG), "content[0].text", 256_000, 256_001),
    bad_value({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "refusal"}]},
              "content[1].type", "refusal", "'image_file', 'image_url', and 'text'"),
    bad_value(url(url="https://example.com/a.png", detail="medium"), "content[0].image_url.detail", "medium",
              "'auto', 'low', and 'high'"),
    bad_value({**USER, "attachments": [{"file_id": "f", "tools": [{"type": "retrieval"}]}]},
              "attachments[0].tools[0].type", "retrieval", "'code_interpreter' and 'file_search'"),
    bad_url("example.com/a.png"),
    bad_url("https://example.com/a b.png"),
    bad_url("https://example.com/a.png\n"),
    bad_url("https:"),
    bad_url(""),
    *(({**USER, **body}, message, param, code) for body, message, param, code in METADATA),
]  # fmt: skip

THREAD: list[Case] = [
    *METADATA,
    unknown({"file_ids": []}, "file_ids"),
    wrong_type({"tool_resources": []}, "tool_resources", "an object", "an array"),
    unknown({"tool_resources": {"retrieval": {}}}, "tool_resources.retrieval"),
    unknown({"tool_resources": {"code_interpreter": {"files": []}}}, "tool_resources.code_interpreter.files"),
    wrong_type({"tool_resources": {"code_interpreter": {"file_ids": [1]}}},
               "tool_resources.code_interpreter.file_ids[0]", "a string", "an integer"),
    (
        {"tool_resources": {"code_interpreter": {"file_ids": ["f"] * 21}}},
        "Invalid 'tool_resources.code_interpreter.file_ids': array too long. Expected an array with maximum "
        "length 20, but got an array with length 21 instead.",
        "tool_resources.code_interpreter.file_ids",
        "array_above_max_length",
    ),
    (
        {"tool_resources": {"file_search": {"vector_store_ids": ["a", "b"]}}},
        "Invalid 'tool_resources.file_search.vector_store_ids': array too long. Expected an array with "
        "maximum length 1, but got an array with length 2 instead.",
        "tool_resources.file_search.vector_store_ids",
        "array_above_max_length",
    ),
]  # fmt: skip

CREATE_THREAD: list[Case] = [
    *THREAD,
    wrong_type({"messages": {}}, "messages", "an array of objects", "an object"),
    wrong_type({"messages": ["x"]}, "messages[0]", "an object", "a string"),
    missing({"messages": [USER, {"role": "user"}]}, "messages[1].content"),
    unknown({"messages": [{**USER, "file_ids": []}]}, "messages[0].file_ids"),
    too_short({"messages": [USER, text("")]}, "messages[1].content[0].text", "string"),
    bad_value({"messages": [{**USER, "role": "system"}]}, "messages[0].role", "system",
              "'user' and 'assistant'"),
]  # fmt: skip

MODIFY_MESSAGE: list[Case] = [*METADATA, unknown({"content": "x"}, "content"), unknown(USER, "role")]
MODIFY_THREAD: list[Case] = [*THREAD, unknown({"messages": [USER]}, "messages")]


@pytest.fixture
def paths(http: httpx.Client) -> dict[str, str]:
    """The path of each operation that reads a body."""
    thread = f"/v1/threads/{http.post('/v1/threads').json()['id']}"
    message = f"{thread}/messages/{http.post(f'{thread}/messages', json=USER).json()['id']}"
    return {
        "create_thread": "/v1/threads",
        "modify_thread": thread,
        "create_message": f"{thread}/messages",
        "modify_message": message,
    }


TABLES = {
    "create_message": MESSAGE,
    "create_thread": CREATE_THREAD,
    "modify_thread": MODIFY_THREAD,
    "modify_message": MODIFY_MESSAGE,
}
CASES = [
    pytest.param(operation, *case, id=f"{operation}-{case[3]}-{case[2][:40]}-{number}")
    for operation, table in TABLES.items()
    for number, case in enumerate(table)
]


@pytest.mark.promise("errors.validation")
@pytest.mark.parametrize(("operation", "body", "message", "param", "code"), CASES)
def test_a_body_that_breaks_a_rule_is_refused_in_the_services_words(
    http: httpx.Client, paths: dict[str, str], operation: str, body: Any, message: str, param: str, code: str
) -> None:
    assert answered(http.post(paths[operation], json=body)) == refusal(400, message, param, code)


@pytest.mark.promise("errors.validation")
@pytest.mark.parametrize("operation", TABLES)
@pytest.mark.parametrize(
    ("body", "got"),
    [("null", "null"), ("[]", "an array"), ("5", "an integer"), ('"x"', "a string"), ("true", "a boolean")],
)
def test_a_body_that_is_no_object_is_refused(
    http: httpx.Client, paths: dict[str, str], operation: str, body: str, got: str
) -> None:
    answer = http.post(paths[operation], content=body, headers={"Content-Type": "application/json"})
    message = f"Invalid type for the request body: expected an object, but got {got}."
    assert answered(answer) == refusal(400, message, None, "invalid_type")


@pytest.mark.promise("errors.validation")
def test_what_was_refused_left_nothing_behind(http: httpx.Client, paths: dict[str, str]) -> None:
    before = [http.get(paths[name]).json() for name in ("create_message", "modify_thread", "create_thread")]
    for operation, table in TABLES.items():
        for body, *_ in table:
            assert http.post(paths[operation], json=body).status_code == 400
    after = [http.get(paths[name]).json() for name in ("create_message", "modify_thread", "create_thread")]
    assert after == before
