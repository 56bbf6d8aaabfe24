"""Assistants through the official client, v2. Reference: protocol section 2."""

import json
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.errors import answered, refusal
from tests.support.masking import masked

ASSISTANT: dict[str, Any] = {
    "id": "asst_*",
    "object": "assistant",
    "created_at": "now",
    "name": None,
    "description": None,
    "model": "gpt-4o",
    "instructions": None,
    "tools": [],
    "top_p": 1.0,
    "temperature": 1.0,
    "reasoning_effort": None,
    "tool_resources": {},
    "metadata": {},
    "response_format": "auto",
}
"""A new assistant of which only the model was said, in the order of the wire."""
GIVEN: dict[str, Any] = {
    "model": "the operator's own/model:7b",
    "name": "n" * 256,
    "description": "d" * 512,
    "instructions": "Answer in verse. ünïcödé 🎈",
    "temperature": 0,
    "top_p": 0.25,
    "reasoning_effort": "xhigh",
    "metadata": {"a": "b"},
    "response_format": {"type": "json_object"},
}
"""Every field that is answered as it was sent."""
TEXTS = ("name", "description", "instructions")


def new(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/assistants", json={"model": "gpt-4o", **body})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def new_files(client: OpenAI, count: int) -> list[str]:
    return [client.files.create(file=("a.txt", b"a"), purpose="assistants").id for _ in range(count)]


# ---------------------------------------------------------------- create


@pytest.mark.promise("assistants.create.defaults")
def test_what_was_not_given_is_filled_in_and_keys_are_in_the_services_order(http: httpx.Client) -> None:
    made = new(http)
    assert json.dumps(masked(made)) == json.dumps(ASSISTANT)
    assert http.get(f"/v1/assistants/{made['id']}").json() == made


@pytest.mark.promise("assistants.create.echo", "assistants.model.any")
def test_what_was_given_is_answered_and_kept(client: OpenAI) -> None:
    made = client.beta.assistants.create(**GIVEN)
    assert masked(made) == {**ASSISTANT, **GIVEN}
    assert client.beta.assistants.retrieve(made.id).to_dict() == made.to_dict()


@pytest.mark.promise("assistants.create.null")
def test_null_on_create_means_not_given(http: httpx.Client) -> None:
    absent = dict.fromkeys([*GIVEN, "tools", "tool_resources"])
    assert masked(new(http, **{**absent, "model": "gpt-4o"})) == ASSISTANT


PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
WEIGHTS = {"embedding_weight": 0.7, "text_weight": 0.3}
TOOLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # name of the tool, what is sent and what is answered of it
    (
        "function",
        {"name": "weather"},
        {"name": "weather", "parameters": NO_PARAMETERS, "strict": False},
    ),
    (
        "function",
        {"strict": None, "parameters": None, "description": None, "name": "weather"},
        {"name": "weather", "parameters": NO_PARAMETERS, "strict": False},
    ),
    (
        "function",
        {"description": "", "strict": True, "parameters": PARAMETERS, "name": "get_The-weather9"},
        {"name": "get_The-weather9", "description": "", "parameters": PARAMETERS, "strict": True},
    ),
    ("file_search", {}, {"ranking_options": RANKING}),
    ("file_search", {"max_num_results": None, "ranking_options": None}, {"ranking_options": RANKING}),
    (
        "file_search",
        {"max_num_results": 50, "ranking_options": {"ranker": "auto", "score_threshold": 0.5}},
        {
            "max_num_results": 50,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.5, "hybrid_search": None},
        },
    ),
    (
        "file_search",
        {"ranking_options": {"score_threshold": 1, "hybrid_search": WEIGHTS}},
        {"ranking_options": {**RANKING, "score_threshold": 1.0, "hybrid_search": WEIGHTS}},
    ),
]


@pytest.mark.promise("assistants.tools.echo")
@pytest.mark.parametrize(("tool", "sent", "shown"), TOOLS)
def test_tools_are_answered_with_what_was_left_out(
    http: httpx.Client, tool: str, sent: dict[str, Any], shown: dict[str, Any]
) -> None:
    made = new(http, tools=[{"type": tool, tool: sent}])
    assert json.dumps(made["tools"]) == json.dumps([{"type": tool, tool: shown}])
    assert made["tool_resources"] == {}


@pytest.mark.promise("assistants.tools.echo")
def test_tools_keep_their_order_and_may_have_no_options(http: httpx.Client) -> None:
    types = [{"type": "file_search"}, {"type": "code_interpreter"}]
    tools = new(http, tools=types)["tools"]
    search = {"type": "file_search", "file_search": {"ranking_options": RANKING}}
    assert tools == [search, {"type": "code_interpreter"}]


FORMATS: list[Any] = [
    "auto",
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "answer"}},
    {
        "type": "json_schema",
        "json_schema": {
            "name": "answer-1_B",
            "description": "An answer.",
            "schema": PARAMETERS,
            "strict": True,
        },
    },
]


@pytest.mark.promise("assistants.response-format")
@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_response_formats_are_answered_as_sent(client: OpenAI, format: Any) -> None:
    made = client.beta.assistants.create(model="gpt-4o", response_format=format)
    assert made.to_dict()["response_format"] == format
    assert client.beta.assistants.retrieve(made.id).to_dict() == made.to_dict()


# ---------------------------------------------------------------- tool resources


@pytest.mark.promise("assistants.tool-resources.shown")
def test_code_has_a_list_of_files_be_it_empty(client: OpenAI) -> None:
    code: Any = [{"type": "code_interpreter"}]
    assistants = client.beta.assistants
    made = assistants.create(model="gpt-4o", tools=code)
    assert made.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    assert assistants.update(made.id, tools=[]).to_dict()["tool_resources"] == {}
    again = assistants.update(made.id, tools=code)
    assert again.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}}


@pytest.mark.promise("assistants.tool-resources.modify")
def test_tool_resources_that_are_given_replace_what_was_there(client: OpenAI) -> None:
    assistants, ids = client.beta.assistants, new_files(client, 3)
    first: Any = {"code_interpreter": {"file_ids": [ids[1], ids[0], ids[1]]}}
    made = assistants.create(model="gpt-4o", tools=[{"type": "code_interpreter"}], tool_resources=first)
    shown = {"code_interpreter": {"file_ids": [ids[1], ids[0]]}}
    assert made.to_dict()["tool_resources"] == shown
    changes: list[tuple[dict[str, Any], list[str]]] = [
        ({"name": "other"}, [ids[1], ids[0]]),
        ({"tool_resources": None}, [ids[1], ids[0]]),
        ({"tool_resources": {"code_interpreter": {"file_ids": ids[2:]}}}, ids[2:]),
        ({"tool_resources": {}}, []),
    ]
    for change, left in changes:
        changed = assistants.update(made.id, **change)
        assert changed.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": left}}
        assert assistants.retrieve(made.id).to_dict() == changed.to_dict()


@pytest.mark.promise("assistants.tool-resources.deleted-file")
def test_a_deleted_file_leaves_every_assistant(client: OpenAI) -> None:
    assistants, ids = client.beta.assistants, new_files(client, 2)
    code: Any = {"code_interpreter": {"file_ids": ids}}
    with_tool = assistants.create(model="gpt-4o", tools=[{"type": "code_interpreter"}], tool_resources=code)
    without_tool = assistants.create(model="gpt-4o", tool_resources=code)
    client.files.delete(ids[0])
    for made in (with_tool, without_tool):
        left = assistants.retrieve(made.id).to_dict()
        assert left == {**made.to_dict(), "tool_resources": {"code_interpreter": {"file_ids": ids[1:]}}}
    client.files.delete(ids[1])
    shown = [assistants.retrieve(one.id).to_dict()["tool_resources"] for one in (with_tool, without_tool)]
    assert shown == [{"code_interpreter": {"file_ids": []}}, {}]


MISSING = [
    ({"code_interpreter": {"file_ids": ["file-x"]}}, refusal(404, "No file found with id 'file-x'.")),
    (
        {"file_search": {"vector_store_ids": ["vs_x"]}},
        refusal(404, "No vector store found with id 'vs_x'."),
    ),
]


@pytest.mark.promise("assistants.tool-resources.missing")
@pytest.mark.parametrize(("resources", "refused"), MISSING)
def test_what_tools_are_given_must_exist(http: httpx.Client, resources: Any, refused: Any) -> None:
    made = new(http)
    body = {"model": "m", "name": "other", "tool_resources": resources}
    assert answered(http.post("/v1/assistants", json=body)) == refused
    assert answered(http.post(f"/v1/assistants/{made['id']}", json=body)) == refused
    assert http.get("/v1/assistants").json()["data"] == [made]


# ---------------------------------------------------------------- modify


@pytest.mark.promise("assistants.modify")
@pytest.mark.parametrize("name", GIVEN)
def test_a_change_replaces_what_it_names_and_keeps_the_rest(client: OpenAI, name: str) -> None:
    made = client.beta.assistants.create(model="gpt-4o", tools=[{"type": "code_interpreter"}])
    changed = client.beta.assistants.update(made.id, **{name: GIVEN[name]})
    assert changed.to_dict() == {**made.to_dict(), name: GIVEN[name]}
    assert client.beta.assistants.retrieve(made.id).to_dict() == changed.to_dict()


@pytest.mark.promise("assistants.modify")
def test_tools_are_replaced_as_a_whole(client: OpenAI) -> None:
    made = client.beta.assistants.create(model="gpt-4o", tools=[{"type": "file_search"}])
    function = {"name": "f", "parameters": PARAMETERS, "strict": True}
    tools: Any = [{"type": "function", "function": function}]
    for sent, shown in ((tools, tools), (None, tools), ([], [])):
        assert client.beta.assistants.update(made.id, tools=sent).to_dict()["tools"] == shown  # type: ignore[arg-type]


@pytest.mark.promise("assistants.modify.null")
def test_null_clears_texts_and_nothing_else(http: httpx.Client) -> None:
    made = new(http, **GIVEN, tools=[{"type": "code_interpreter"}])
    path = f"/v1/assistants/{made['id']}"
    nulls = dict.fromkeys([*GIVEN, "tools", "tool_resources"])
    changed = http.post(path, json=nulls).json()
    assert changed == {**made, **dict.fromkeys(TEXTS)}
    assert http.get(path).json() == changed


@pytest.mark.promise("assistants.modify.null")
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_empty_change_changes_nothing(http: httpx.Client, body: bytes) -> None:
    made = new(http, **GIVEN)
    assert http.post(f"/v1/assistants/{made['id']}", content=body).json() == made


# ---------------------------------------------------------------- list


def page(http: httpx.Client, made: list[str], **query: Any) -> tuple[list[int], bool]:
    """The numbers of the assistants on a page, and whether there are more."""
    answer = http.get("/v1/assistants", params=query).json()
    return [made.index(one["id"]) for one in answer["data"]], answer["has_more"]


PAGES: list[tuple[dict[str, Any], list[int], bool]] = [
    ({}, [4, 3, 2, 1, 0], False),
    ({"order": "asc", "limit": 2}, [0, 1], True),
    ({"after": 3, "limit": 2}, [2, 1], True),
    ({"after": 1, "order": "asc"}, [2, 3, 4], False),
    ({"before": 1}, [4, 3, 2], False),
    ({"before": 1, "limit": 1}, [2], True),
    ({"before": 3, "order": "asc", "limit": 2}, [1, 2], True),
    ({"after": 4, "before": 1}, [3, 2], False),
]


@pytest.mark.promise("assistants.list")
@pytest.mark.parametrize(("query", "numbers", "more"), PAGES, ids=[str(one[0]) for one in PAGES])
def test_a_page_holds_what_its_query_asks_for(
    http: httpx.Client, query: dict[str, Any], numbers: list[int], more: bool
) -> None:
    made = [new(http)["id"] for _ in range(5)]
    asked = {name: made[value] if name in ("after", "before") else value for name, value in query.items()}
    assert page(http, made, **asked) == (numbers, more)


@pytest.mark.promise("assistants.list")
def test_the_official_client_walks_through_all_pages(client: OpenAI) -> None:
    made = [client.beta.assistants.create(model="m", name=str(n)) for n in range(5)]
    listed = client.beta.assistants.list(limit=2)
    assert [one.to_dict() for one in listed] == [one.to_dict() for one in reversed(made)]


@pytest.mark.promise("assistants.list")
def test_a_page_has_twenty_unless_asked_otherwise_and_an_empty_one_null_at_its_ends(
    http: httpx.Client,
) -> None:
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert http.get("/v1/assistants").json() == empty
    made = [new(http)["id"] for _ in range(21)]
    assert page(http, made) == ([*range(20, 0, -1)], True)


@pytest.mark.promise("assistants.list.cursors")
def test_a_deleted_cursor_keeps_its_place(http: httpx.Client) -> None:
    made = [new(http)["id"] for _ in range(5)]
    for number in (2, 3):
        assert http.delete(f"/v1/assistants/{made[number]}").status_code == 200
    assert page(http, made, after=made[3]) == ([1, 0], False)
    assert page(http, made, before=made[2]) == ([4], False)
    assert page(http, made, after=made[2], order="asc") == ([4], False)


@pytest.mark.promise("assistants.list.cursors")
def test_a_cursor_that_never_was_is_not_found(http: httpx.Client) -> None:
    thread = http.post("/v1/threads").json()["id"]
    for cursor in ("asst_x", thread):
        refused = refusal(404, f"No assistant found with id '{cursor}'.")
        for name in ("after", "before"):
            assert answered(http.get("/v1/assistants", params={name: cursor})) == refused


# ---------------------------------------------------------------- delete


@pytest.mark.promise("assistants.delete")
def test_a_deleted_assistant_is_gone_and_its_files_stay(client: OpenAI) -> None:
    assistants, (file,) = client.beta.assistants, new_files(client, 1)
    made = assistants.create(model="m", tool_resources={"code_interpreter": {"file_ids": [file]}})
    deleted = assistants.delete(made.id)
    assert deleted.to_dict() == {"id": made.id, "object": "assistant.deleted", "deleted": True}
    calls: list[Any] = [assistants.retrieve, assistants.update, assistants.delete]
    for call in calls:
        with pytest.raises(NotFoundError, match=f"No assistant found with id '{made.id}'"):
            call(made.id)
    assert client.files.retrieve(file).id == file
    client.files.delete(file)


@pytest.mark.promise("assistants.id-prefix")
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_id_that_cannot_be_an_assistants_is_refused(http: httpx.Client, method: str) -> None:
    answer = http.request(method, "/v1/assistants/undefined")
    words = "Invalid 'assistant_id': 'undefined'. Expected an ID that begins with 'asst'."
    assert answered(answer) == refusal(400, words, "assistant_id", "invalid_value")


@pytest.mark.promise("assistants.id-prefix")
def test_the_official_client_raises_it(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="Expected an ID that begins with 'asst'"):
        client.beta.assistants.retrieve("thread_1")


@pytest.mark.promise("assistants.delete.runs-stay")
def test_threads_and_runs_survive_their_assistant(client: OpenAI) -> None:
    beta = client.beta
    made = beta.assistants.create(model="echo", instructions="Be brief.")
    thread = beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
    before = [one.to_dict() for one in beta.threads.messages.list(thread.id)]
    beta.assistants.delete(made.id)
    kept = beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert (run.status, kept.to_dict()) == ("completed", run.to_dict())
    assert beta.threads.retrieve(thread.id).to_dict() == thread.to_dict()
    assert [one.to_dict() for one in beta.threads.messages.list(thread.id)] == before
    with pytest.raises(NotFoundError, match=f"No assistant found with id '{made.id}'"):
        beta.threads.runs.create(thread.id, assistant_id=made.id)
