"""Assistants and their files in v1, and how v2 sees them. Reference: protocol sections 1.1, 1.7 and 2."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.dialects.masks import masked
from tests.dialects.steps import done, new_file, new_files
from tests.support.errors import answered, refusal

CODE, RETRIEVAL = {"type": "code_interpreter"}, {"type": "retrieval"}
FUNCTION = {"name": "eval", "description": "Run some Ruby code", "parameters": {"type": "object"}}
ASSISTANT: dict[str, Any] = {
    "id": "<asst>",
    "object": "assistant",
    "created_at": "<time>",
    "name": None,
    "description": None,
    "model": "gpt-4",
    "instructions": None,
    "tools": [],
    "file_ids": [],
    "metadata": {},
}
"""A new assistant of which only the model was said, in the order of the wire."""
EMPTY: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def new(http: httpx.Client, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = done(http.post("/assistants", json={"model": "gpt-4", **body}))
    return made


def path_of(assistant: dict[str, Any]) -> str:
    return f"/assistants/{assistant['id']}"


def code_files(v2: httpx.Client, assistant: dict[str, Any]) -> list[str] | None:
    """What v2 shows of the files that an assistant's code is given."""
    resources = done(v2.get(path_of(assistant)))["tool_resources"]
    return resources["code_interpreter"]["file_ids"] if "code_interpreter" in resources else None


def listed(v1: httpx.Client, assistant: dict[str, Any], **query: Any) -> list[str]:
    return [one["id"] for one in done(v1.get(path_of(assistant) + "/files", params=query))["data"]]


def attach(v1: httpx.Client, assistant: dict[str, Any], file_id: str) -> Any:
    return done(v1.post(path_of(assistant) + "/files", json={"file_id": file_id}))


# ---------------------------------------------------------------- assistants


@pytest.mark.promise("v1.assistants.form")
def test_a_new_assistant_has_v1s_form(v1: httpx.Client) -> None:
    made = new(v1)
    assert json.dumps(masked(made)) == json.dumps(ASSISTANT)
    assert done(v1.get(path_of(made))) == made
    assert done(v1.get("/assistants"))["data"] == [made]


@pytest.mark.promise("v1.assistants.form")
def test_sampling_is_taken_and_not_shown(v1: httpx.Client, v2: httpx.Client) -> None:
    given = {"temperature": 0.5, "top_p": 0.25, "response_format": {"type": "json_object"}}
    made = new(v1, **given)
    assert masked(made) == ASSISTANT
    seen = done(v2.get(path_of(made)))
    assert {name: seen[name] for name in given} == given
    assert done(v1.post(path_of(made), json={"temperature": 1.5})) == made
    assert done(v2.get(path_of(made)))["temperature"] == 1.5


@pytest.mark.promise("v1.assistants.response-format")
@pytest.mark.parametrize(
    ("given", "stored"),
    [("none", "auto"), ("auto", "auto"), ({}, {"type": "text"}), ({"type": "text"}, {"type": "text"})],
)
def test_response_formats_are_stored_in_v2s_words(
    v1: httpx.Client, v2: httpx.Client, given: Any, stored: Any
) -> None:
    assert done(v2.get(path_of(new(v1, response_format=given))))["response_format"] == stored


@pytest.mark.promise("v1.assistants.tools")
def test_retrieval_is_v2s_file_search_and_functions_are_as_they_were(
    v1: httpx.Client, v2: httpx.Client
) -> None:
    tools = [RETRIEVAL, CODE, {"type": "function", "function": FUNCTION}]
    made = new(v1, tools=tools)
    assert made["tools"] == tools
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
    assert done(v2.get(path_of(made)))["tools"] == [
        {"type": "file_search", "file_search": {"ranking_options": ranking}},
        CODE,
        {"type": "function", "function": {**FUNCTION, "strict": False}},
    ]
    of_v2 = new(v2, tools=[{"type": "file_search", "file_search": {"max_num_results": 5}}])
    assert done(v1.get(path_of(of_v2)))["tools"] == [RETRIEVAL]


@pytest.mark.promise("v1.assistants.modify")
def test_null_clears_texts_and_what_is_absent_stays(v1: httpx.Client) -> None:
    texts = {"name": "n", "description": "d", "instructions": "i"}
    made = new(v1, **texts, tools=[CODE], metadata={"n": 1, "yes": True})
    assert made["metadata"] == {"n": "1", "yes": "True"}
    nulls = dict.fromkeys([*texts, "model", "tools", "file_ids", "metadata", "temperature"])
    assert done(v1.post(path_of(made), json=nulls)) == {**made, **dict.fromkeys(texts)}
    changed = done(v1.post(path_of(made), json={"name": "other"}))
    assert changed == {**made, **dict.fromkeys(texts), "name": "other"}


@pytest.mark.promise("v1.assistants.delete")
def test_delete(v1: httpx.Client) -> None:
    made = new(v1)
    assert done(v1.delete(path_of(made))) == {
        "id": made["id"],
        "object": "assistant.deleted",
        "deleted": True,
    }
    missing = refusal(404, f"No assistant found with id '{made['id']}'.")
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/files"), ("GET", "/files/f")):
        assert answered(v1.request(method, path_of(made) + path)) == missing
    assert answered(v1.get("/assistants/undefined"))[0] == 404


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "model", "none is not an allowed value (type=type_error.none.not_allowed)"),
    ({"tool_resources": {}}, "tool_resources", "extra fields not permitted (type=value_error.extra)"),
    (
        {"name": "n" * 257},
        "name",
        "ensure this value has at most 256 characters (type=value_error.any_str.max_length; limit_value=256)",
    ),
    (
        {"file_ids": ["f"] * 21},
        "file_ids",
        "ensure this value has at most 20 items (type=value_error.list.max_items; limit_value=20)",
    ),
    (
        {"temperature": 2.5},
        "temperature",
        "ensure this value is less than or equal to 2 (type=value_error.number.not_le; limit_value=2)",
    ),
    ({"top_p": "much"}, "top_p", "value is not a valid float (type=type_error.float)"),
    (
        {"tools": [{"type": "file_search"}]},
        "tools -> 0 -> type",
        "value is not a valid enumeration member; permitted: 'code_interpreter', 'function', 'retrieval' "
        "(type=type_error.enum; enum_values=['code_interpreter', 'function', 'retrieval'])",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "get weather"}}]},
        "tools -> 0 -> function -> name",
        'string does not match regex "^[a-zA-Z0-9_-]+$" '
        "(type=value_error.str.regex; pattern=^[a-zA-Z0-9_-]+$)",
    ),
]


@pytest.mark.promise("v1.assistants.validation")
@pytest.mark.parametrize(("body", "path", "words"), REFUSED, ids=[one[1] for one in REFUSED])
def test_a_broken_rule_is_told_as_v1s_validator_did(
    v1: httpx.Client, body: dict[str, Any], path: str, words: str
) -> None:
    message = f"1 validation error for Request\nbody -> {path}\n  {words}"
    assert answered(v1.post("/assistants", json={"model": "gpt-4", **body})) == refusal(400, message)


# ---------------------------------------------------------------- files


@pytest.mark.promise("v1.assistant-files.form")
def test_an_attached_file_has_v1s_form(v1: httpx.Client) -> None:
    made, file = new(v1), new_file(v1)
    attached = attach(v1, made, file)
    assert masked(attached, keep=[file, made["id"]]) == {
        "id": file,
        "object": "assistant.file",
        "created_at": "<time>",
        "assistant_id": made["id"],
    }
    assert list(attached) == ["id", "object", "created_at", "assistant_id"]
    assert done(v1.get(f"{path_of(made)}/files/{file}")) == attached
    assert attach(v1, made, file) == attached
    ends = {"first_id": file, "last_id": file, "has_more": False}
    assert done(v1.get(f"{path_of(made)}/files")) == {"object": "list", "data": [attached], **ends}
    assert done(v1.get(path_of(made)))["file_ids"] == [file]
    gone = done(v1.delete(f"{path_of(made)}/files/{file}"))
    assert gone == {"id": file, "object": "assistant.file.deleted", "deleted": True}
    assert done(v1.get(f"{path_of(made)}/files")) == EMPTY
    assert done(v1.get(path_of(made))) == made
    assert done(v1.get(f"/files/{file}"))["id"] == file


@pytest.mark.promise("v1.assistant-files.missing")
def test_what_is_not_attached_is_not_found(v1: httpx.Client) -> None:
    made, file = new(v1), new_file(v1)
    path = f"{path_of(made)}/files"
    missing = refusal(404, f"No assistant file found with id '{file}'.")
    assert answered(v1.get(f"{path}/{file}")) == missing
    assert answered(v1.delete(f"{path}/{file}")) == missing
    assert answered(v1.get(path, params={"after": file})) == missing
    unknown = refusal(404, "No file found with id 'file-x'.")
    assert answered(v1.post(path, json={"file_id": "file-x"})) == unknown
    assert answered(v1.post("/assistants", json={"model": "m", "file_ids": ["file-x"]})) == unknown
    assert answered(v1.post(path_of(made), json={"file_ids": ["file-x"], "name": "n"})) == unknown
    assert done(v1.get("/assistants"))["data"] == [made]


@pytest.mark.promise("v1.assistant-files.missing")
def test_a_body_must_name_a_file(v1: httpx.Client) -> None:
    words = "1 validation error for Request\nbody -> file_id\n  field required (type=value_error.missing)"
    assert answered(v1.post(f"{path_of(new(v1))}/files", json={})) == refusal(400, words)


@pytest.mark.promise("v1.assistant-files.list")
def test_files_are_listed_in_the_order_of_their_coming(v1: httpx.Client) -> None:
    ids = new_files(v1, 5)
    made = new(v1, file_ids=[*ids[:3], ids[0]])
    for id in ids[3:]:
        attach(v1, made, id)
    assert done(v1.get(path_of(made)))["file_ids"] == ids
    assert listed(v1, made) == ids[::-1]
    assert listed(v1, made, order="asc") == ids
    assert listed(v1, made, order="asc", after=ids[1], limit=2) == ids[2:4]
    assert listed(v1, made, before=ids[1]) == [ids[4], ids[3], ids[2]]
    assert done(v1.get(f"{path_of(made)}/files", params={"limit": 2}))["has_more"] is True


@pytest.mark.promise("v1.assistant-files.list")
def test_a_cursor_that_was_detached_keeps_its_place(v1: httpx.Client) -> None:
    ids = new_files(v1, 5)
    made = new(v1, file_ids=ids)
    done(v1.delete(f"{path_of(made)}/files/{ids[2]}"))
    done(v1.delete(f"/files/{ids[3]}"))
    assert listed(v1, made, order="asc", after=ids[2]) == [ids[4]]
    assert listed(v1, made, after=ids[3]) == [ids[1], ids[0]]
    attach(v1, made, ids[2])
    assert listed(v1, made, order="asc", after=ids[4]) == [ids[2]]
    assert listed(v1, made, order="asc", after=ids[2]) == []
    done(v1.delete(f"{path_of(made)}/files/{ids[2]}"))
    assert listed(v1, made, after=ids[2]) == [ids[4], ids[1], ids[0]]


@pytest.mark.promise("v1.assistants.modify")
def test_file_ids_that_are_given_replace_the_list(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b, c = new_files(v1, 3)
    made = new(v1, tools=[CODE], file_ids=[a, b])
    for given, left in (([b, c], [b, c]), (None, [b, c]), ([c, a, b, a], [c, a, b]), ([], [])):
        changed = done(v1.post(path_of(made), json={"file_ids": given}))
        assert (changed["file_ids"], listed(v1, made, order="asc")) == (left, left)
        assert done(v1.get(path_of(made))) == changed
        assert sorted(code_files(v2, made) or []) == sorted(left)


@pytest.mark.promise("v1.assistant-files.limit")
def test_an_assistant_has_at_most_twenty(v1: httpx.Client) -> None:
    ids = new_files(v1, 21)
    made = new(v1, file_ids=ids[:20])
    words = "ensure this value has at most 20 items (type=value_error.list.max_items; limit_value=20)"
    refused = refusal(400, f"1 validation error for Request\nbody -> file_ids\n  {words}")
    assert answered(v1.post(f"{path_of(made)}/files", json={"file_id": ids[20]})) == refused
    assert done(v1.get(path_of(made))) == made


# ---------------------------------------------------------------- and v2


@pytest.mark.promise("v1.assistant-files.in-v2")
def test_v2_sees_v1s_files_where_code_may_be_run(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b, c = new_files(v1, 3)
    with_code = new(v1, tools=[CODE], file_ids=[a])
    without = new(v1, tools=[RETRIEVAL], file_ids=[a])
    for made in (with_code, without):
        attach(v1, made, b)
    assert code_files(v2, with_code) == [a, b]
    assert code_files(v2, without) is None
    done(v2.post(path_of(without), json={"tools": [CODE]}))
    assert code_files(v2, without) == [a, b]
    attach(v1, without, c)
    assert code_files(v2, without) == [a, b, c]


@pytest.mark.promise("v1.assistant-files.in-v2")
def test_what_v2_says_its_code_works_with_is_what_it_gets(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b = new_files(v1, 2)
    made = new(v1, file_ids=[a])
    body = {"tools": [CODE], "tool_resources": {"code_interpreter": {"file_ids": [b]}}}
    done(v2.post(path_of(made), json=body))
    assert code_files(v2, made) == [b]
    assert listed(v1, made) == [a]


@pytest.mark.promise("v1.assistant-files.in-v2")
def test_what_v1_detaches_leaves_v2_too(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b = new_files(v1, 2)
    made = new(v1, tools=[CODE], file_ids=[a, b])
    done(v1.delete(f"{path_of(made)}/files/{a}"))
    assert code_files(v2, made) == [b]


@pytest.mark.promise("v1.assistant-files.v2-stays-out")
def test_what_v2_changes_never_reaches_v1(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b = new_files(v1, 2)
    made = new(v1, tools=[CODE], file_ids=[a])
    done(v2.post(path_of(made), json={"tool_resources": {"code_interpreter": {"file_ids": [b]}}}))
    assert (done(v1.get(path_of(made)))["file_ids"], listed(v1, made)) == ([a], [a])
    missing = refusal(404, f"No assistant file found with id '{b}'.")
    assert answered(v1.get(f"{path_of(made)}/files/{b}")) == missing
    assert answered(v1.delete(f"{path_of(made)}/files/{b}")) == missing
    done(v2.post(path_of(made), json={"tool_resources": {}}))
    assert (listed(v1, made), code_files(v2, made)) == ([a], [])
    of_v2 = new(v2, tools=[CODE], tool_resources={"code_interpreter": {"file_ids": [b]}})
    assert done(v1.get(path_of(of_v2)))["file_ids"] == []
    assert done(v1.get(f"{path_of(of_v2)}/files")) == EMPTY


@pytest.mark.promise("v1.assistant-files.deleted-file")
def test_a_deleted_file_leaves_both(v1: httpx.Client, v2: httpx.Client) -> None:
    a, b = new_files(v1, 2)
    made, other = new(v1, tools=[CODE], file_ids=[a, b]), new(v1, file_ids=[a])
    done(v1.delete(f"/files/{a}"))
    assert (listed(v1, made), listed(v1, other), code_files(v2, made)) == ([b], [], [b])
    assert done(v1.get(path_of(other)))["file_ids"] == []


@pytest.mark.promise("v1.assistant-files.only-v1")
def test_v2_has_no_files_of_assistants(v1: httpx.Client, v2: httpx.Client) -> None:
    made = new(v1)
    assert answered(v2.get(f"{path_of(made)}/files"))[0] == 404
    assert answered(v2.post(f"{path_of(made)}/files", json={"file_id": "file-x"}))[0] == 404


@pytest.mark.promise("v1.assistant-files.deleted-file")
def test_a_file_that_is_deleted_while_it_is_attached_is_nowhere(v1: httpx.Client, v2: httpx.Client) -> None:
    """Both take the locks of the file and of the assistant, in either order."""
    ids = new_files(v1, 12)
    made = [new(v1, tools=[CODE]) for _ in range(2)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        attaching = [
            pool.submit(v1.post, f"{path_of(one)}/files", json={"file_id": id}) for id in ids for one in made
        ]
        deleting = [pool.submit(v1.delete, f"/files/{id}") for id in ids]
        assert {one.result().status_code for one in attaching} <= {200, 404}
        assert {one.result().status_code for one in deleting} == {200}
    for one in made:
        assert (listed(v1, one), code_files(v2, one)) == ([], [])


@pytest.mark.promise("runs.v1.forms")
def test_a_run_shows_the_files_that_the_assistant_had(v1: httpx.Client, v2: httpx.Client) -> None:
    files = new_files(v1, 3)
    assistant = new(v1, model="echo", tools=[CODE, RETRIEVAL], file_ids=files[:2])
    thread = {"messages": [{"role": "user", "content": "Hi"}]}
    run = done(v1.post("/threads/runs", json={"assistant_id": assistant["id"], "thread": thread}))
    attach(v1, assistant, files[2])
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    assert run["file_ids"] == done(v1.get(path))["file_ids"] == files[:2]
    assert "file_ids" not in done(v2.get(path))
