"""How OpenAI v1 refuses. Reference: the recordings of the live service, whose validator was pydantic 1."""

from typing import Any

import httpx
import pytest

from tests.dialects.steps import done, new_file, new_message, new_thread


def problems_of(answer: httpx.Response) -> dict[str, str]:
    """From the path of each problem to its words; the text must have v1's form to the letter."""
    error = answer.json()["error"]
    head, *lines = error["message"].split("\n")
    found = {path: words.removeprefix("  ") for path, words in zip(lines[::2], lines[1::2], strict=True)}
    assert all(words.startswith("  ") for words in lines[1::2])
    assert head == f"{len(found)} validation error{'s' if len(found) > 1 else ''} for Request"
    assert answer.status_code == 400
    assert {**error, "message": ""} == {
        "message": "",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    return found


REQUIRED = "field required (type=value_error.missing)"
EXTRA = "extra fields not permitted (type=value_error.extra)"
NO_STRING = "str type expected (type=type_error.str)"
NO_LIST = "value is not a valid list (type=type_error.list)"
NO_DICT = "value is not a valid dict (type=type_error.dict)"
NONE = "none is not an allowed value (type=type_error.none.not_allowed)"
NO_MEMBER = (
    "value is not a valid enumeration member; permitted: 'user', 'assistant' "
    "(type=type_error.enum; enum_values=['user', 'assistant'])"
)
EMPTY = "ensure this value has at least 1 characters (type=value_error.any_str.min_length; limit_value=1)"


def too_long(limit: int) -> str:
    words = f"ensure this value has at most {limit} characters"
    return f"{words} (type=value_error.any_str.max_length; limit_value={limit})"


def too_many(limit: int) -> str:
    words = f"ensure this value has at most {limit} items"
    return f"{words} (type=value_error.list.max_items; limit_value={limit})"


SEVENTEEN = {str(number): "" for number in range(17)}
REFUSED: list[tuple[Any, dict[str, str]]] = [
    ([], {"body": NO_DICT}),
    ({}, {"body -> role": REQUIRED, "body -> content": REQUIRED}),
    (
        {"role": "human", "content": 5, "one": 1, "two": 2},
        {"body -> role": NO_MEMBER, "body -> content": NO_STRING, "body -> one": EXTRA, "body -> two": EXTRA},
    ),
    ({"role": 7, "content": "x"}, {"body -> role": NO_MEMBER}),
    ({"role": None, "content": None}, {"body -> role": NONE, "body -> content": NONE}),
    (
        {"role": "user", "content": "", "file_ids": ["file-a"] * 11, "metadata": SEVENTEEN},
        {"body -> content": EMPTY, "body -> file_ids": too_many(10), "body -> metadata": too_many(16)},
    ),
    (
        {"role": "user", "content": "x", "file_ids": "file-a", "metadata": []},
        {"body -> file_ids": NO_LIST, "body -> metadata": NO_DICT},
    ),
    (
        {"role": "user", "content": "", "metadata": {"a": None, "b": [1], "c": "x" * 513}},
        {
            "body -> content": EMPTY,
            "body -> metadata -> a": NONE,
            "body -> metadata -> b": NO_STRING,
            "body -> metadata -> c": too_long(512),
        },
    ),
    (
        {"role": "user", "content": "x", "metadata": {"k" * 65: "v"}, "file_ids": [1, "file-a", {}]},
        {
            "body -> file_ids -> 0": NO_STRING,
            "body -> file_ids -> 2": NO_STRING,
            f"body -> metadata -> {'k' * 65}": too_long(64),
        },
    ),
]


@pytest.mark.promise("v1.messages.content")
def test_content_holds_256000_characters_and_no_more(v1: httpx.Client) -> None:
    longest = "\N{MUSICAL SYMBOL G CLEF}" * 256_000
    thread_id = new_thread(v1)
    made = new_message(v1, thread_id, longest)
    refused = v1.post(f"/threads/{thread_id}/messages", json={"role": "user", "content": longest + "x"})
    assert made["content"][0]["text"]["value"] == longest
    assert problems_of(refused) == {
        "body -> content": "ensure this value has at most 256000 characters "
        "(type=value_error.any_str.max_length; limit_value=256000)"
    }


@pytest.mark.promise("v1.errors.all-problems")
@pytest.mark.parametrize(("body", "expected"), REFUSED)
def test_a_refused_message_hears_of_every_problem(
    v1: httpx.Client, body: Any, expected: dict[str, str]
) -> None:
    thread_id = new_thread(v1)
    assert problems_of(v1.post(f"/threads/{thread_id}/messages", json=body)) == expected
    assert done(v1.get(f"/threads/{thread_id}/messages"))["data"] == []


@pytest.mark.promise("v1.errors.all-problems")
def test_problems_inside_a_thread_s_messages_are_found_by_their_path(v1: httpx.Client) -> None:
    good, bad = {"role": "user", "content": "x"}, {"role": "user", "metadata": {"k": "v" * 513}}
    refused = v1.post("/threads", json={"messages": [good, bad], "tool_resources": {}})
    assert problems_of(refused) == {
        "body -> messages -> 1 -> content": REQUIRED,
        "body -> messages -> 1 -> metadata -> k": too_long(512),
        "body -> tool_resources": EXTRA,
    }


@pytest.mark.promise("v1.errors.all-problems")
def test_a_refused_query_hears_of_every_problem(v1: httpx.Client) -> None:
    path = f"/threads/{new_thread(v1)}/messages"
    words = "value is not a valid enumeration member; permitted: 'asc', 'desc'"
    assert problems_of(v1.get(path, params={"limit": 101, "order": "up"})) == {
        "query -> limit": "ensure this value is less than or equal to 100 "
        "(type=value_error.number.not_le; limit_value=100)",
        "query -> order": f"{words} (type=type_error.enum; enum_values=['asc', 'desc'])",
    }


@pytest.mark.promise("v1.errors.ids")
def test_an_id_of_any_form_that_names_nothing_is_404(v1: httpx.Client) -> None:
    answer = v1.get("/threads/undefined/messages")
    message = "No thread found with id 'undefined'."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    assert (answer.status_code, answer.json()) == (404, {"error": error})


@pytest.mark.promise("v1.errors.unknown-file")
def test_a_file_that_never_was_is_404_and_leaves_no_message(v1: httpx.Client) -> None:
    thread_id = new_thread(v1)
    body = {"role": "user", "content": "x", "file_ids": [new_file(v1), "file-neverwas"]}
    refused = v1.post(f"/threads/{thread_id}/messages", json=body)
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        404,
        "No file found with id 'file-neverwas'.",
    )
    assert done(v1.get(f"/threads/{thread_id}/messages"))["data"] == []
