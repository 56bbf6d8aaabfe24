"""The check of answers, which stands in every other test: it must let right ones pass and no others."""

import json
from typing import Any

import pytest

from tests.support.amendments import AMENDED, Amendment
from tests.support.shapes import CONTRACT, check, dialect_of

THREAD = {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": {}}
ERROR = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}


def wrong(status: int, body: Any, version: str = "v2", call: str = "GET /threads/thread_1") -> str:
    """What the check says of an answer; '' where it is content."""
    method, path = call.split()
    try:
        check(method, path, version, status, json.dumps(body).encode())
    except AssertionError as problem:
        return str(problem)
    return ""


def test_a_right_answer_passes() -> None:
    assert wrong(200, THREAD) == ""


@pytest.mark.parametrize("name", THREAD)
def test_a_missing_key_does_not_pass(name: str) -> None:
    without = {key: value for key, value in THREAD.items() if key != name}
    assert f"'{name}' is a required property" in wrong(200, without)


def test_an_unknown_key_does_not_pass() -> None:
    assert "'extra' was unexpected" in wrong(200, {**THREAD, "extra": 1})


def test_an_unknown_key_inside_does_not_pass() -> None:
    tool_resources = {"code_interpreter": {"file_ids": [], "extra": 1}}
    assert "tool_resources" in wrong(200, {**THREAD, "tool_resources": tool_resources})


def test_a_wrong_type_does_not_pass() -> None:
    assert "$.created_at" in wrong(200, {**THREAD, "created_at": "1"})


def test_a_key_of_another_version_does_not_pass() -> None:
    assert "'tool_resources' was unexpected" in wrong(200, THREAD, "v1")


def test_an_error_without_all_four_keys_does_not_pass() -> None:
    error = dict(ERROR)
    assert wrong(404, {"error": error}) == ""
    del error["code"]
    assert "'code' is a required property" in wrong(404, {"error": error})


def test_an_error_in_another_dialects_envelope_does_not_pass() -> None:
    assert wrong(404, {"detail": "No."}, "rubra") == ""
    assert "'error' is a required property" in wrong(404, {"detail": "No."})


def test_a_list_whose_ends_are_not_its_ends_does_not_pass() -> None:
    page = {"object": "list", "data": [THREAD], "first_id": "thread_1", "has_more": False}
    assert wrong(200, {**page, "last_id": "thread_1"}, call="GET /threads") == ""
    assert "at the ends of data" in wrong(200, {**page, "last_id": "thread_2"}, call="GET /threads")


def test_an_answer_to_an_operation_that_does_not_exist_does_not_pass() -> None:
    assert "no operation of this dialect" in wrong(200, THREAD, "v1", "DELETE /threads/t/messages/m")


def test_path_and_header_choose_the_dialect() -> None:
    assert [
        dialect_of("/v1/threads", None),
        dialect_of("/v1/threads", "assistants=v1"),
        dialect_of("/rubra/threads", None),
        dialect_of("/rubra/v1/threads", "assistants=v1"),
    ] == [("v2", "/threads"), ("v1", "/threads"), ("rubra", "/threads"), ("rubra", "/threads")]


@pytest.mark.parametrize("amendment", AMENDED, ids=lambda one: f"{one.definition}.{one.property}")
def test_every_amendment_changes_what_is_published(amendment: Amendment) -> None:
    name = amendment.property
    for version in amendment.versions:
        published = json.loads((CONTRACT / f"shapes-{version}.json").read_text())["$defs"][
            amendment.definition
        ]
        before = (published["properties"].get(name), name in published["required"])
        assert before != (amendment.schema, amendment.required)
