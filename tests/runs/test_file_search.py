"""Runs whose model searches files: what it is told, what is kept, what of its answer is a citation."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from openai import AssistantEventHandler, OpenAI

from tests.runs.scene import TIME, Scene, Stream
from tests.support.upstream import Call, Gate, Say
from tests.support.waiting import until

SEARCH: Any = {"type": "file_search"}
CONTENT = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}
TEXT = "The moon is made of green cheese, says the miller."
OTHER = "Elephants are afraid of mice, cheese or no cheese."
ASKS = Call("file_search", '{"query": "green ', 'cheese"}', id="call_1")
SEARCHED = [("tool_calls", "completed"), ("message_creation", "completed")]


def upload(scene: Scene, name: str, text: str) -> str:
    answer = scene.http.post(
        "/v1/files", files={"file": (name, text.encode())}, data={"purpose": "assistants"}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def store_with(scene: Scene, name: str, text: str) -> tuple[str, str]:
    """A store in which a file can be found; both ids."""
    file = upload(scene, name, text)
    store = scene.post("/v1/vector_stores", {"file_ids": [file]})["id"]
    until(lambda: scene.get(f"/v1/vector_stores/{store}")["file_counts"]["completed"] == 1)
    return store, file


def give(scene: Scene, path: str, store: str) -> None:
    scene.post(path, {"tool_resources": {"file_search": {"vector_store_ids": [store]}}})


@pytest.fixture
def searching(each: Scene) -> tuple[Scene, str, str]:
    """A scene whose assistant and thread have a file each."""
    mine, file = store_with(each, "moon.txt", TEXT)
    theirs, other = store_with(each, "elephants.txt", OTHER)
    give(each, f"/v1/assistants/{each.assistant}", mine)
    give(each, f"/v1/threads/{each.thread}", theirs)
    return each, file, other


def search_of(scene: Scene, run: str, **params: Any) -> dict[str, Any]:
    """The first search of a run as its step shows it."""
    path = f"{scene.runs}/{run}/steps"
    answer = scene.http.get(path, params={"order": "asc", **params})
    found: dict[str, Any] = answer.json()["data"][0]["step_details"]["tool_calls"][0]
    return found


def last_message(scene: Scene, headers: Any = None) -> dict[str, Any]:
    """What the assistant said last, as a text with annotations."""
    messages = scene.get(f"/v1/threads/{scene.thread}/messages?limit=20", headers)["data"]
    found: dict[str, Any] = next(one for one in messages if one["run_id"])["content"][0]["text"]
    return found


@pytest.mark.promise("runs.file-search.searches")
def test_the_stores_of_assistant_and_thread_are_searched_together(searching: tuple[Scene, str, str]):
    scene, file, other = searching
    scene.says(Say(ASKS), Say("Cheese."))
    run, order = scene.whole(tools=[SEARCH])
    assert order == "CQItpDsmpcidksK."
    left = scene.left(run)
    assert (left.status, left.steps) == ("completed", SEARCHED)
    assert left.messages == [("Cheese.", None)]
    assert left.tokens == (40, 20)
    call = search_of(scene, run)
    assert (call["id"], call["type"]) == ("call_1", "file_search")
    search = call["file_search"]
    assert search["ranking_options"] == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert {(one["file_id"], one["file_name"]) for one in search["results"]} == {
        (file, "moon.txt"),
        (other, "elephants.txt"),
    }
    assert all(set(one) == {"file_id", "file_name", "score", "attributes"} for one in search["results"])
    shown = search_of(scene, run, **CONTENT)["file_search"]["results"][0]
    assert (shown["file_name"], shown["content"]) == ("moon.txt", [{"type": "text", "text": TEXT}])


@pytest.mark.promise("steps.content")
@pytest.mark.parametrize("with_content", [False, True])
def test_streams_of_a_run_that_was_created_with_include_show_what_was_found(
    searching: tuple[Scene, str, str], with_content: bool
):
    scene, _, _ = searching
    scene.says(Say(ASKS), Say(ASKS, Call("time", "{}")), Say("Noon."))
    path = scene.runs + ("?" + urlencode(CONTENT) if with_content else "")
    body = {"assistant_id": scene.assistant, "tools": [SEARCH, TIME], "stream": True}
    key = {"Idempotency-Key": scene.thread}
    streams = []
    for _ in range(2):  # live, and told from what is stored
        with scene.http.stream("POST", path, json=body, headers=key) as response:
            streams.append(Stream(response))
            streams[-1].rest()
    with scene.answered(streams[0].run_id, "noon") as stream:
        streams.append(stream)
        stream.rest()
    for stream in streams:
        step = next(data for name, data in stream.events if name == "thread.run.step.completed")
        found = step["step_details"]["tool_calls"][0]["file_search"]["results"]
        assert [one.get("content") for one in found] == (
            [[{"type": "text", "text": text}] for text in (TEXT, OTHER)] if with_content else [None, None]
        )


@pytest.mark.promise("runs.file-search.searches")
def test_the_model_is_told_what_was_found_and_where(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say("One moment.", ASKS), Say("Cheese."))
    run, order = scene.whole(tools=[SEARCH, TIME])
    assert order == "CQImpcidkstpDsmpcidksK."
    first, second = scene.asked
    assert [tool["function"]["name"] for tool in first["tools"]] == ["time", "file_search"]
    said, told = second["messages"][-2:]
    (call,) = said["tool_calls"]
    assert said["content"] == "One moment."
    assert (call["id"], json.loads(call["function"]["arguments"])) == ("call_1", {"query": "green cheese"})
    assert (told["role"], told["tool_call_id"]) == ("tool", "call_1")
    assert told["content"] == f"【0:0†moon.txt】\n{TEXT}\n\n【0:1†elephants.txt】\n{OTHER}"
    assert scene.left(run).tokens == (40, 20)


@pytest.mark.promise("runs.file-search.options")
def test_the_options_of_the_tool_hold(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS), Say("Cheese."), Say(ASKS), Say("Nothing."))
    few = {"max_num_results": 1, "ranking_options": {"score_threshold": 0.0}}
    run, _ = scene.whole(tools=[{**SEARCH, "file_search": few}])
    assert len(search_of(scene, run)["file_search"]["results"]) == 1
    strict = {"ranking_options": {"ranker": "auto", "score_threshold": 1.0}}
    run, _ = scene.whole(tools=[{**SEARCH, "file_search": strict}], tool_choice=SEARCH)
    search = search_of(scene, run)["file_search"]
    assert search["ranking_options"] == {"ranker": "auto", "score_threshold": 1.0}
    assert all(one["score"] == 1.0 for one in search["results"])
    assert scene.asked[2]["tool_choice"] == {"type": "function", "function": {"name": "file_search"}}
    assert scene.asked[3].get("tool_choice") is None


@pytest.mark.promise("runs.file-search.searches")
@pytest.mark.parametrize("arguments", ['{"query": "cheese"}', "{}", "cheese"])
def test_without_a_store_nothing_is_found(scene: Scene, arguments: str):
    scene.says(Say(Call("file_search", arguments)), Say("I do not know. 【0:0†moon.txt】"))
    run, order = scene.whole(tools=[SEARCH])
    assert (order, scene.left(run).steps) == ("CQItpDsmpcidksK.", SEARCHED)
    assert search_of(scene, run)["file_search"]["results"] == []
    assert scene.asked[1]["messages"][-1]["content"] == "Nothing was found."
    assert last_message(scene)["annotations"] == []


@pytest.mark.promise("runs.file-search.mixed")
def test_functions_of_the_same_turn_go_to_the_client(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS, Call("time", "{}", id="call_2")), Say("It is late. 【0:0†moon.txt】"))
    run, order = scene.whole(tools=[SEARCH, TIME])
    assert order == "CQItpDA."
    assert [call["id"] for call in scene.calls(run)] == ["call_2"]
    with scene.answered(run, "midnight") as stream:
        assert stream.rest() == "sQImpcidksK."
    left = scene.left(run)
    assert (left.status, left.steps, left.tokens) == ("completed", SEARCHED, (40, 20))
    tools = [one["content"] for one in scene.asked[1]["messages"] if one["role"] == "tool"]
    assert tools[0].startswith("【0:0†moon.txt】\n")
    assert tools[1:] == ["midnight"]
    assert len(last_message(scene)["annotations"]) == 1


# ---------------------------------------------------------------- citations

ANSWER = "Grün 😀【0:0†moon.txt】 and 【9:9†none】, 【0:1†elephants.txt】."


@pytest.mark.promise("runs.file-search.citations")
@pytest.mark.promise("runs.file-search.quotes")
def test_markers_become_citations(searching: tuple[Scene, str, str]):
    scene, file, other = searching
    scene.says(Say(ASKS), Say(*ANSWER))
    with scene.watched(tools=[SEARCH]) as stream:
        stream.rest()
    text = last_message(scene)
    assert text["value"] == ANSWER
    assert text["annotations"] == [
        cited(ANSWER, "【0:0†moon.txt】", file),
        cited(ANSWER, "【0:1†elephants.txt】", other),
    ]
    deltas = [
        part["text"]
        for name, data in stream.events
        if name == "thread.message.delta"
        for part in data["delta"]["content"]
    ]
    told = [one for delta in deltas for one in delta.get("annotations", [])]
    assert [one.pop("index") for one in told] == [0, 1]
    assert [one["file_citation"].pop("quote") for one in told] == ["", ""]
    assert told == text["annotations"]
    old = last_message(scene, {"OpenAI-Beta": "assistants=v1"})["annotations"]
    assert [one["file_citation"]["quote"] for one in old] == [TEXT, OTHER]
    steps = scene.get(f"{scene.runs}/{stream.run_id}/steps?order=asc", {"OpenAI-Beta": "assistants=v1"})
    assert steps["data"][0]["step_details"]["tool_calls"] == [
        {"id": "call_1", "type": "retrieval", "retrieval": {}}
    ]


def cited(text: str, marker: str, file_id: str) -> dict[str, Any]:
    start = text.index(marker)
    return {
        "type": "file_citation",
        "text": marker,
        "start_index": start,
        "end_index": start + len(marker),
        "file_citation": {"file_id": file_id},
    }


@pytest.mark.promise("runs.file-search.citations")
def test_a_text_that_breaks_off_in_a_marker_is_told_to_its_end(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS), Say("Cheese ", "【0:0†mo", finish="length"))
    run, order = scene.whole(tools=[SEARCH])
    assert order == "CQItpDsmpcidnsN."
    assert scene.left(run).messages == [("Cheese 【0:0†mo", "max_tokens")]


@pytest.mark.promise("runs.file-search.citations")
def test_the_official_client_adds_a_stream_up(searching: tuple[Scene, str, str]):
    scene, file, _ = searching
    scene.says(Say(ASKS), Say("Cheese ", "【0:0†", "moon.txt】", "."))
    client = OpenAI(base_url=scene.house.base_url, api_key=scene.key)
    handler = AssistantEventHandler()
    with client.beta.threads.runs.stream(
        thread_id=scene.thread,
        assistant_id=scene.assistant,
        tools=[SEARCH],
        event_handler=handler,
    ) as stream:
        stream.until_done()
        (message,) = stream.get_final_messages()
        steps = stream.get_final_run_steps()
    text: Any = message.content[0]
    assert text.text.value == "Cheese 【0:0†moon.txt】."
    assert [one.file_citation.file_id for one in text.text.annotations] == [file]
    assert [step.type for step in steps] == ["tool_calls", "message_creation"]
    client.close()


# ---------------------------------------------------------------- ends


@pytest.mark.promise("runs.file-search.ends")
def test_a_model_that_searches_without_end_is_stopped(scene: Scene):
    scene.says(*[Say(Call("file_search", '{"query": "x"}'))] * 11)
    run, _ = scene.whole(tools=[SEARCH])
    left = scene.left(run)
    assert (left.status, left.tokens) == ("failed", (220, 110))
    assert left.steps == [("tool_calls", "completed")] * 10 + [("tool_calls", "failed")]
    assert "tools" in scene.asked[9]
    assert not scene.asked[10].get("tools")


@pytest.mark.promise("runs.file-search.ends")
def test_cancelling_after_a_search_keeps_the_search(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS), Say("Never", Gate(), " said"))
    with scene.watched(tools=[SEARCH]) as stream:
        stream.until("d")
        scene.cancel(stream.run_id)
        assert stream.rest() == "CQItpDsmpcidLnxX."
    left = scene.left(stream.run_id)
    assert left.steps == [("tool_calls", "completed"), ("message_creation", "cancelled")]
    assert left.tokens == (20, 10)


@pytest.mark.promise("runs.file-search.ends")
def test_caps_hold_over_all_turns(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS, usage=(20, 16)))
    run, order = scene.whole(tools=[SEARCH], max_completion_tokens=16)
    left = scene.left(run)
    assert (order, left.status, left.tokens) == ("CQItpDsN.", "incomplete", (20, 16))
    assert left.run["incomplete_details"] == {"reason": "max_completion_tokens"}


# ---------------------------------------------------------------- stores


@pytest.mark.promise("runs.file-search.stores")
def test_a_run_waits_until_the_files_of_its_thread_can_be_found(each: Scene):
    file = upload(each, "moon.txt", TEXT)
    message = {
        "role": "user",
        "content": "What is the moon made of?",
        "attachments": [{"file_id": file, "tools": [SEARCH]}],
    }
    each.says(Say(ASKS), Say("Cheese."))
    each.post(f"/v1/threads/{each.thread}/messages", message)
    run, _ = each.whole(tools=[SEARCH])
    results = search_of(each, run)["file_search"]["results"]
    assert [one["file_id"] for one in results] == [file]


@pytest.mark.promise("runs.file-search.once")
def test_a_file_of_the_assistant_that_the_thread_has_too_is_told_once(each: Scene):
    old = {"OpenAI-Beta": "assistants=v1"}
    file, other = upload(each, "moon.txt", TEXT), upload(each, "elephants.txt", OTHER)
    made = {"model": each.model, "tools": [{"type": "retrieval"}], "file_ids": [file, other]}
    assistant = each.http.post("/v1/assistants", json=made, headers=old).json()["id"]
    message = {"role": "user", "content": "What is the moon made of?", "file_ids": [file]}
    each.http.post(f"/v1/threads/{each.thread}/messages", json=message, headers=old).raise_for_status()
    each.says(Say(ASKS), Say("Cheese ", "【0:0†moon.txt】", "."))
    run, _ = each.whole(assistant_id=assistant)
    results = search_of(each, run)["file_search"]["results"]
    assert [one["file_id"] for one in results] == [file, other]
    assert last_message(each, old)["annotations"][0]["file_citation"] == {"file_id": file, "quote": TEXT}
    assert json.dumps(each.asked[1]["messages"]).count(TEXT) == 1


@pytest.mark.promise("runs.file-search.stores")
def test_an_expired_store_fails_the_run(each: Scene):
    store, _ = store_with(each, "moon.txt", TEXT)
    each.post(f"/v1/vector_stores/{store}", {"expires_after": {"anchor": "last_active_at", "days": 1}})
    give(each, f"/v1/threads/{each.thread}", store)
    each.house.pass_time(24 * 3600)
    run, order = each.whole(tools=[SEARCH])
    assert order == "CQIF."
    assert each.left(run).run["last_error"] == {
        "code": "server_error",
        "message": f"The vector store '{store}' has expired, and can no longer be searched.",
    }


@pytest.mark.promise("runs.file-search.stores")
def test_a_search_is_a_use_of_the_store(each: Scene):
    store, _ = store_with(each, "moon.txt", TEXT)
    give(each, f"/v1/threads/{each.thread}", store)
    before = each.get(f"/v1/vector_stores/{store}")["last_active_at"]
    each.house.pass_time(100)
    each.says(Say(ASKS), Say("Cheese."))
    each.whole(tools=[SEARCH])
    assert each.get(f"/v1/vector_stores/{store}")["last_active_at"] >= before + 100


@pytest.mark.promise("runs.file-search.stores")
def test_a_store_that_is_gone_finds_nothing(scene: Scene):
    store, _ = store_with(scene, "moon.txt", TEXT)
    give(scene, f"/v1/threads/{scene.thread}", store)
    scene.http.delete(f"/v1/vector_stores/{store}")
    scene.says(Say(ASKS), Say("Nothing."))
    run, _ = scene.whole(tools=[SEARCH])
    assert search_of(scene, run)["file_search"]["results"] == []


@pytest.mark.promise("runs.file-search.citations")
def test_a_stream_that_is_told_again_has_the_search_and_its_citations(searching: tuple[Scene, str, str]):
    scene, _, _ = searching
    scene.says(Say(ASKS), Say("Cheese ", "【0:0†moon.txt】", "."))
    body = {"assistant_id": scene.assistant, "stream": True, "tools": [SEARCH]}
    streams = []
    for _ in range(2):
        with scene.http.stream(
            "POST", scene.runs, json=body, headers={"Idempotency-Key": scene.thread}
        ) as response:
            streams.append(Stream(response))
            assert streams[-1].rest() == "CQItpDsmpcidksK."
    first, again = ([one for one in stream.events if ".delta" in one[0]] for stream in streams)
    assert first[0] == again[0]
    assert cited_in(first) == cited_in(again) != []


def cited_in(deltas: list[Any]) -> list[Any]:
    texts = [part["text"] for _, data in deltas for part in data["delta"].get("content", [])]
    return [one for text in texts for one in text.get("annotations", [])]
