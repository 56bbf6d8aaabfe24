"""How Rubra refuses, under /rubra and /rubra/v1. Reference: Rubra's page "Create Message".

Rubra was built on FastAPI, so what it says of a refused body is what pydantic says of it: the tests
ask pydantic itself.
"""

from enum import Enum
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tests.dialects.steps import done, new_thread

# ---------------------------------------------------------------- refused bodies


class Role(Enum):
    user = "user"


Key = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(max_length=512)]


class Page(BaseModel):
    """The request body as the page describes it."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    content: Annotated[str, Field(min_length=1, max_length=32_768)]
    file_ids: Annotated[list[str], Field(max_length=10)] | None = None
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] | None = None


def pydantic_s(shape: Any, value: Any, where: str = "body") -> list[dict[str, Any]]:
    """What FastAPI would answer."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(shape).validate_python(value, from_attributes=True)
    return [
        {"loc": [where, *one["loc"]], "msg": one["msg"], "type": one["type"]} for one in caught.value.errors()
    ]


FINE = {"role": "user", "content": "x"}
REFUSED: list[Any] = [
    [],
    {},
    {"role": 1, "content": "x"},
    {"role": None, "content": "x"},
    {"role": "user"},
    {"role": "assistant", "content": "x"},
    {"role": "tool_call", "content": ""},
    {"role": "user", "content": "x" * 32_769},
    {"role": "user", "content": None},
    {"role": "user", "content": [{"type": "text", "text": "x"}]},
    {**FINE, "attachments": []},
    {**FINE, "file_ids": ["file-a"] * 11},
    {**FINE, "file_ids": "file-a"},
    {**FINE, "file_ids": [1, "file-a", None]},
    {**FINE, "metadata": {str(number): "" for number in range(17)}},
    {**FINE, "metadata": ["a"]},
    {**FINE, "metadata": {"metadata": 1, "k" * 65: None}},
    {"one": 1, "metadata": {"a": 1}, "role": "user"},
    {**FINE, "metadata": {"a": True, "b": "x" * 513, "c": "x" * 512}},
    {"role": "bot", "content": "", "file_ids": {}, "metadata": {"a": 1}, "one": 1, "two": 2},
]


@pytest.mark.promise("rubra.messages.limits")
@pytest.mark.promise("rubra.errors.422")
@pytest.mark.parametrize("body", REFUSED, ids=range(len(REFUSED)))
def test_every_broken_field_is_named_at_once_in_pydantic_s_words(rubra: httpx.Client, body: Any) -> None:
    thread_id = new_thread(rubra)
    refused = rubra.post(f"/threads/{thread_id}/messages", json=body)
    told = refused.json()
    assert refused.status_code == 422
    assert told == {"detail": pydantic_s(Page, body)}
    assert done(rubra.get(f"/threads/{thread_id}/messages"))["data"] == []


@pytest.mark.promise("rubra.errors.422")
def test_a_name_that_is_too_long_is_named(rubra: httpx.Client) -> None:
    name = "k" * 65
    refused = rubra.post("/threads", json={"messages": [{**FINE, "metadata": {name: "v"}}]})
    words = "String should have at most 64 characters"
    loc = ["body", "messages", 0, "metadata", name, "[key]"]
    assert (refused.status_code, refused.json()) == (
        422,
        {"detail": [{"loc": loc, "msg": words, "type": "string_too_long"}]},
    )


@pytest.mark.promise("rubra.errors.422")
def test_a_refused_query_names_every_parameter(rubra: httpx.Client) -> None:
    path = f"/threads/{new_thread(rubra)}/messages"
    refused = rubra.get(path, params={"limit": 101, "order": "up"})
    assert refused.status_code == 422
    assert sorted(refused.json()["detail"], key=str) == [
        {
            "loc": ["query", "limit"],
            "msg": "Input should be less than or equal to 100",
            "type": "less_than_equal",
        },
        {"loc": ["query", "order"], "msg": "Input should be 'asc' or 'desc'", "type": "enum"},
    ]


@pytest.mark.promise("rubra.errors.422")
@pytest.mark.parametrize("limit", ["abc", "1.5", "0", "101"])
def test_a_limit_that_cannot_be_is_refused_in_pydantic_s_words(rubra: httpx.Client, limit: str) -> None:
    refused = rubra.get(f"/threads/{new_thread(rubra)}/messages", params={"limit": limit})
    expected = pydantic_s(Annotated[int, Field(ge=1, le=100)], limit, "query")
    assert refused.json() == {"detail": [{**one, "loc": ["query", "limit"]} for one in expected]}


@pytest.mark.promise("rubra.errors.422")
def test_a_form_is_no_object(rubra: httpx.Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = rubra.post("/threads", content=b"role=user", headers=headers)
    assert (refused.status_code, refused.json()) == (422, {"detail": pydantic_s(Page, b"role=user")})


@pytest.mark.promise("rubra.errors.422")
def test_a_body_that_is_no_json_is_422(rubra: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    refused = rubra.post("/threads", content=b'{"messages": [', headers=headers)
    [told] = refused.json()["detail"]
    assert (refused.status_code, told["loc"], told["type"]) == (422, ["body"], "json_invalid")


# ---------------------------------------------------------------- other refusals


@pytest.mark.promise("rubra.errors.detail")
def test_what_is_not_there_is_404_with_a_detail(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    fine = {**FINE, "file_ids": ["file-neverwas"]}
    answers = [
        rubra.get("/threads/thread_neverwas"),
        rubra.get(f"/threads/{thread_id}/messages/msg_neverwas"),
        rubra.get(f"/threads/{thread_id}/messages", params={"after": "msg_neverwas"}),
        rubra.post(f"/threads/{thread_id}/messages", json=fine),
    ]
    assert [(one.status_code, one.json()) for one in answers] == [
        (404, {"detail": "No thread found with id 'thread_neverwas'."}),
        (404, {"detail": "No message found with id 'msg_neverwas'."}),
        (404, {"detail": "No message found with id 'msg_neverwas'."}),
        (404, {"detail": "No file found with id 'file-neverwas'."}),
    ]


@pytest.mark.promise("rubra.errors.detail")
@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Authorization": "Bearer sk-wrong"}, "Incorrect API key provided: "),
        ({"Authorization": ""}, "You didn't provide an API key."),
    ],
)
def test_without_a_good_key_all_is_401_with_a_detail(
    rubra: httpx.Client, headers: dict[str, str], words: str
) -> None:
    refused = rubra.post("/threads", json={}, headers=headers)
    [(name, detail)] = refused.json().items()
    assert (refused.status_code, name) == (401, "detail")
    assert detail.startswith(words)


@pytest.mark.promise("rubra.errors.detail")
def test_another_project_s_thread_is_not_there(rubra: httpx.Client, other_key: str) -> None:
    thread_id = new_thread(rubra)
    foreign = rubra.get(f"/threads/{thread_id}", headers={"Authorization": f"Bearer {other_key}"})
    detail = f"No thread found with id '{thread_id}'."
    assert (foreign.status_code, foreign.json()) == (404, {"detail": detail})


@pytest.mark.promise("rubra.errors.detail")
def test_a_wrong_method_and_an_unknown_path_have_a_detail(rubra: httpx.Client) -> None:
    wrong, unknown = rubra.patch("/threads"), rubra.get("/nowhere")
    assert (wrong.status_code, list(wrong.json()), wrong.headers["allow"]) == (405, ["detail"], "GET, POST")
    assert (unknown.status_code, list(unknown.json())) == (404, ["detail"])
