"""How runs and steps look in each dialect."""

import json
from typing import Any

import msgspec
import pytest

from tests.wire import told
from threadkeep.assistants.model import FileSearchTool, Function, FunctionTool
from threadkeep.runs.model import (
    CodeInterpreterCall,
    FileSearchCall,
    IncompleteRun,
    MessageCreation,
    MessageCreationDetails,
    Run,
    RunStep,
    ToolCall,
    ToolCallsDetails,
    moved,
)
from threadkeep.threads.model import CodeInterpreterResources, ToolResources
from threadkeep.wire import openai_v1, openai_v2

V1, V2 = openai_v1.DIALECT, openai_v2.DIALECT
FOUND = {"file_id": "file-1", "file_name": "a", "score": 0.5, "attributes": {}}
TEXTS = [{"type": "text", "text": "found"}]


def run(**values: Any) -> Run:
    return msgspec.structs.replace(told.WORKED, **values)


@pytest.mark.promise("runs.v1.forms")
def test_v1_leaves_out_what_came_later() -> None:
    one = run(
        tools=[FileSearchTool(), FunctionTool(Function("f", strict=True))],
        tool_resources=ToolResources(CodeInterpreterResources(["file-1"])),
        usage=told.USAGE,
        tool_choice={"type": "file_search"},
    )
    later = {"tool_resources", "reasoning_effort", "parallel_tool_calls"}
    v1, v2 = json.loads(V1.run(one)), json.loads(V2.run(one))
    assert [name if name != "file_ids" else "tool_resources" for name in v1] == [
        name for name in v2 if name not in later - {"tool_resources"}
    ]
    assert v1["tools"] == [
        {"type": "retrieval"},
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert (v1["file_ids"], v1["tool_choice"]) == (["file-1"], {"type": "retrieval"})
    assert v1["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.promise("runs.v1.incomplete")
def test_v1_calls_a_run_at_its_cap_completed_and_says_why_it_ended() -> None:
    ended = moved(
        told.WORKED, "incomplete", completed_at=3, incomplete_details=IncompleteRun("max_completion_tokens")
    )
    shown = json.loads(V1.run(ended))
    assert (shown["status"], shown["incomplete_details"]) == (
        "completed",
        {"reason": "max_completion_tokens"},
    )


@pytest.mark.promise("runs.v1.forms")
@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"tool_choice": "required"}, {"tool_choice": "auto"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            {"response_format": "auto"},
        ),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ],
)
def test_v1_shows_the_default_where_it_has_no_word(values: dict[str, Any], shown: dict[str, Any]) -> None:
    assert json.loads(V1.run(run(**values))).items() >= shown.items()


# ---------------------------------------------------------------- steps


def message_step(**values: Any) -> RunStep:
    details = MessageCreationDetails(MessageCreation("msg_1"))
    return told.step_of(type="message_creation", step_details=details, **values)


@pytest.mark.promise("steps.forms")
@pytest.mark.parametrize("dialect", [V1, V2], ids=["v1", "v2"])
def test_a_step_has_what_the_service_sent_and_what_the_reference_names(dialect: Any) -> None:
    assert json.loads(dialect.step(message_step())) == {
        "id": "step_1",
        "object": "thread.run.step",
        "created_at": 2,
        "run_id": "run_1",
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "type": "message_creation",
        "status": "in_progress",
        "cancelled_at": None,
        "completed_at": None,
        "expires_at": 601,
        "expired_at": None,
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "message_creation", "message_creation": {"message_id": "msg_1"}},
        "usage": None,
        "metadata": {},
    }


@pytest.mark.promise("steps.forms")
@pytest.mark.parametrize("dialect", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_a_step_that_is_over_expires_no_more(dialect: Any, status: str) -> None:
    assert json.loads(dialect.step(message_step(status=status)))["expires_at"] is None


def search_step() -> RunStep:
    searched = {"ranking_options": {"ranker": "default_2024_08_21"}, "results": [{**FOUND, "content": TEXTS}]}
    calls: list[ToolCall] = [
        FileSearchCall(id="call_1", file_search=searched),
        CodeInterpreterCall(id="call_2", code_interpreter={"input": "1", "outputs": []}),
    ]
    return told.step_of(type="tool_calls", step_details=ToolCallsDetails(calls))


@pytest.mark.promise("steps.content")
def test_the_text_that_was_found_is_shown_where_it_is_asked_for() -> None:
    shown = [
        json.loads(render(search_step()))["step_details"]["tool_calls"][0]["file_search"]["results"]
        for render in (V2.step, V2.step_with_content)
    ]
    assert shown == [[FOUND], [{**FOUND, "content": TEXTS}]]


@pytest.mark.promise("runs.v1.forms")
def test_v1_calls_a_search_retrieval_and_shows_nothing_of_it() -> None:
    calls = json.loads(V1.step_with_content(search_step()))["step_details"]["tool_calls"]
    assert calls == [
        {"type": "retrieval", "id": "call_1", "retrieval": {}},
        {"type": "code_interpreter", "id": "call_2", "code_interpreter": {"input": "1", "outputs": []}},
    ]
