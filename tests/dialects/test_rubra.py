"""Rubra's form, under /rubra and /rubra/v1. Reference: Rubra's page "Create Message".

Rubra was built on FastAPI, so what it says of a refused body is what pydantic says of it: the tests
ask pydantic itself.
"""

import re
from enum import Enum
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.dialects.masks import masked
from tests.dialects.steps import done, every_tool, new_file, new_files, new_message, new_thread

# ---------------------------------------------------------------- create


@pytest.mark.promise("rubra.messages.create")
def test_a_message_is_created_as_the_page_has_it(rubra: httpx.Client) -> None:
    files, thread_id = new_files(rubra, 2), new_thread(rubra)
    made = new_message(rubra, thread_id, "Hello", file_ids=files, metadata={"a": "b"})
    assert list(made)[:2] == ["_id", "id"]
    assert re.fullmatch("[0-9a-f]{24}", made.pop("_id"))
    assert masked(made, [thread_id, *files]) == {
        "id": "<msg>",
        "object": "thread.message",
        "created_at": "<time>",
        "thread_id": thread_id,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "file_ids": files,
        "metadata": {"a": "b"},
    }


@pytest.mark.promise("rubra.messages.create")
def test_optional_fields_are_empty_when_left_out(rubra: httpx.Client) -> None:
    made = new_message(rubra, new_thread(rubra))
    assert (made["file_ids"], made["metadata"]) == ([], {})


@pytest.mark.promise("rubra.messages.limits")
@pytest.mark.parametrize("length", [1, 32_768])
def test_content_of_1_to_32768_characters_is_taken(rubra: httpx.Client, length: int) -> None:
    content = "\N{MUSICAL SYMBOL G CLEF}" * length  # characters, not bytes and not UTF-16 units
    made = new_message(rubra, new_thread(rubra), content)
    assert made["content"][0]["text"]["value"] == content


@pytest.mark.promise("rubra.messages.limits")
def test_ten_files_and_sixteen_pairs_are_taken(rubra: httpx.Client) -> None:
    files = new_files(rubra, 10)
    metadata = {f"{number:064}": "v" * 512 for number in range(16)}
    made = new_message(rubra, new_thread(rubra), file_ids=files, metadata=metadata)
    assert (made["file_ids"], made["metadata"]) == (files, metadata)


# ---------------------------------------------------------------- the rest


@pytest.mark.promise("rubra.object-id")
def test_the_object_id_is_the_same_on_every_read_and_another_for_every_message(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    path = f"/threads/{thread_id}/messages"
    made = [new_message(rubra, thread_id, str(number)) for number in range(3)]
    listed = done(rubra.get(path, params={"order": "asc"}))["data"]
    retrieved = [done(rubra.get(f"{path}/{one['id']}")) for one in made]
    modified = [done(rubra.post(f"{path}/{one['id']}", json={})) for one in made]
    assert made == listed == retrieved == modified
    assert len({one["_id"] for one in made}) == 3


@pytest.mark.promise("rubra.object-id")
def test_an_object_id_begins_with_its_time_as_mongodb_s_do(rubra: httpx.Client) -> None:
    made = new_message(rubra, new_thread(rubra))
    assert int(made["_id"][:8], 16) == made["created_at"]


@pytest.mark.promise("rubra.messages.list")
def test_messages_are_listed_in_pages(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    ids = [new_message(rubra, thread_id, str(number))["id"] for number in range(5)]
    page = done(rubra.get(f"/threads/{thread_id}/messages", params={"limit": 2, "after": ids[4]}))
    assert [one["id"] for one in page.pop("data")] == [ids[3], ids[2]]
    assert page == {"object": "list", "first_id": ids[3], "last_id": ids[2], "has_more": True}


@pytest.mark.promise("rubra.messages.modify")
def test_metadata_of_a_message_is_modified(rubra: httpx.Client) -> None:
    thread_id = new_thread(rubra)
    made = new_message(rubra, thread_id, metadata={"a": "1"})
    path = f"/threads/{thread_id}/messages/{made['id']}"
    modified = done(rubra.post(path, json={"metadata": {"b": "2"}}))
    assert modified == done(rubra.get(path)) == {**made, "metadata": {"b": "2"}}


@pytest.mark.promise("rubra.threads")
def test_a_thread_is_created_read_modified_and_deleted(rubra: httpx.Client) -> None:
    opening = {"role": "user", "content": "Hello"}
    made = done(rubra.post("/threads", json={"messages": [opening], "metadata": {"a": "1"}}))
    path = f"/threads/{made['id']}"
    read = done(rubra.get(path))
    modified = done(rubra.post(path, json={"metadata": {"b": "2"}}))
    messages = done(rubra.get(f"{path}/messages"))["data"]
    deleted = done(rubra.delete(path))
    shape = {"id": "<thread>", "object": "thread", "created_at": "<time>", "metadata": {"a": "1"}}
    assert masked(made) == {"_id": made["_id"], **shape}
    assert re.fullmatch("[0-9a-f]{24}", made["_id"])
    assert [read, modified] == [made, {**made, "metadata": {"b": "2"}}]
    assert [one["content"][0]["text"]["value"] for one in messages] == ["Hello"]
    assert deleted == {"id": made["id"], "object": "thread.deleted", "deleted": True}
    assert rubra.get(f"{path}/messages").status_code == 404


@pytest.mark.promise("rubra.two-addresses")
def test_both_addresses_serve_the_same(rubra: httpx.Client, house: Any) -> None:
    thread_id = new_thread(rubra)
    made = new_message(rubra, thread_id)
    for base in ("/rubra", "/rubra/v1"):
        url = f"{house.address}{base}/threads/{thread_id}/messages/{made['id']}"
        assert done(rubra.get(url)) == made


# ---------------------------------------------------------------- beside OpenAI


@pytest.mark.promise("rubra.reads-v2")
def test_a_message_of_v2_reads_well(rubra: httpx.Client, v2: httpx.Client) -> None:
    file_id, thread_id = new_file(v2), new_thread(v2)
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    attachments = [{"file_id": file_id, "tools": [{"type": "file_search"}]}] * 2
    content = [picture, {"type": "text", "text": "Here"}]
    made = new_message(v2, thread_id, content, role="assistant", attachments=attachments, metadata={"a": "b"})
    read = done(rubra.get(f"/threads/{thread_id}/messages/{made['id']}"))
    assert read == {
        "_id": read["_id"],
        "id": made["id"],
        "object": "thread.message",
        "created_at": made["created_at"],
        "thread_id": thread_id,
        "role": "assistant",
        "content": [{"type": "text", "text": {"value": "Here", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "file_ids": [file_id],
        "metadata": {"a": "b"},
    }


@pytest.mark.promise("rubra.read-by-v2")
def test_a_message_of_rubra_reads_in_v2_with_attachments(rubra: httpx.Client, v2: httpx.Client) -> None:
    files, thread_id = new_files(rubra, 2), new_thread(rubra)
    made = new_message(rubra, thread_id, file_ids=files)
    read = done(v2.get(f"/threads/{thread_id}/messages/{made['id']}"))
    shared = {name: value for name, value in made.items() if name not in ("_id", "file_ids")}
    state = {"status": "completed", "incomplete_details": None, "incomplete_at": None}
    assert read == {**shared, **state, "completed_at": made["created_at"], "attachments": every_tool(files)}


# ---------------------------------------------------------------- refused bodies


class Role(Enum):
    user = "user"


class Page(BaseModel):
    """The request body as the page describes it."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    content: Annotated[str, Field(min_length=1, max_length=32_768)]
    file_ids: Annotated[list[str], Field(max_length=10)] | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None


def pydantic_s(body: Any) -> list[dict[str, Any]]:
    """What FastAPI would answer, in the order of `loc`."""
    with pytest.raises(ValidationError) as caught:
        Page.model_validate(body)
    found = [
        {"loc": ["body", *one["loc"]], "msg": one["msg"], "type": one["type"]}
        for one in caught.value.errors()
    ]
    return in_order(found)


def in_order(detail: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted, and without the count that follows a size: pydantic says "not more" where it stops counting."""
    return sorted(({**one, "msg": one["msg"].partition(", not ")[0]} for one in detail), key=str)


FINE = {"role": "user", "content": "x"}
REFUSED: list[Any] = [
    {},
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
    assert {**told, "detail": in_order(told["detail"])} == {"detail": pydantic_s(body)}
    assert done(rubra.get(f"/threads/{thread_id}/messages"))["data"] == []


@pytest.mark.promise("rubra.errors.422")
def test_a_name_that_is_too_long_is_named(rubra: httpx.Client) -> None:
    name = "k" * 65
    refused = rubra.post("/threads", json={"messages": [{**FINE, "metadata": {name: "v"}}]})
    words = "String should have at most 64 characters"
    loc = ["body", "messages", 0, "metadata", name]
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
