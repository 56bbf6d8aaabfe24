"""Bodies of runs: what they mean, and what is refused in which words."""

import json
from typing import Any

import pytest

from threadkeep.assistants.model import FileSearchTool, FunctionTool
from threadkeep.errors import ThreadkeepError
from threadkeep.messages.model import NewMessage, plain_text
from threadkeep.runs.model import NewRun, NewThreadAndRun, ToolOutput, ToolOutputs, TruncationStrategy
from threadkeep.threads.model import CodeInterpreterResources, NewThread, ToolResources
from threadkeep.wire import openai_v1, openai_v2

V1, V2 = openai_v1.DIALECT, openai_v2.DIALECT
DIALECTS = {"v1": V1, "v2": V2}
BOTH = pytest.mark.parametrize("version", DIALECTS)
FUNCTION = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}


def read(version: str, operation: str, body: dict[str, Any]) -> Any:
    return DIALECTS[version].bodies[operation].parse(json.dumps(body).encode())


def read_run(version: str, **body: Any) -> Any:
    return read(version, "create_run", {"assistant_id": "asst_1", **body})


def refusal(version: str, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """The error that answers a body."""
    with pytest.raises(ThreadkeepError) as caught:
        read(version, operation, body)
    reply = DIALECTS[version].error(caught.value)
    assert reply.status == 400
    error: dict[str, Any] = reply.body["error"]
    return error


@pytest.mark.promise("runs.bodies")
def test_all_that_a_run_can_be_given_is_understood() -> None:
    run = read_run(
        "v2",
        model="m",
        instructions="Be kind.",
        additional_instructions="Be brief.",
        additional_messages=[{"role": "user", "content": "Hi"}],
        tools=[FUNCTION, {"type": "file_search"}],
        metadata={"a": "b"},
        temperature=0,
        top_p=0.5,
        reasoning_effort="low",
        stream=True,
        max_prompt_tokens=1,
        max_completion_tokens=2,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        tool_choice=FUNCTION,
        parallel_tool_calls=False,
        response_format=SCHEMA,
    )
    tools = run.tools
    assert [type(one) for one in tools] == [FunctionTool, FileSearchTool]
    assert run == NewRun(
        assistant_id="asst_1",
        model="m",
        instructions="Be kind.",
        additional_instructions="Be brief.",
        additional_messages=[NewMessage("user", plain_text("Hi"))],
        tools=tools,
        metadata={"a": "b"},
        temperature=0.0,
        top_p=0.5,
        reasoning_effort="low",
        stream=True,
        max_prompt_tokens=1,
        max_completion_tokens=2,
        truncation_strategy=TruncationStrategy("last_messages", 3),
        tool_choice=FUNCTION,
        parallel_tool_calls=False,
        response_format=SCHEMA,
    )


NULLS = (
    "model",
    "instructions",
    "additional_instructions",
    "additional_messages",
    "tools",
    "metadata",
    "temperature",
    "top_p",
    "stream",
    "max_prompt_tokens",
    "max_completion_tokens",
    "truncation_strategy",
    "tool_choice",
    "response_format",
)


@BOTH
@pytest.mark.promise("runs.bodies.null")
def test_null_is_not_given(version: str) -> None:
    names = NULLS + (("parallel_tool_calls", "reasoning_effort") if version == "v2" else ())
    assert read_run(version, **dict.fromkeys(names)) == read_run(version)
    assert read_run("v2") == NewRun(assistant_id="asst_1")


@BOTH
@pytest.mark.promise("runs.bodies")
@pytest.mark.parametrize("choice", ["none", "auto", FUNCTION, {"type": "code_interpreter"}])
def test_a_choice_of_tools_is_kept_as_it_was_made(version: str, choice: Any) -> None:
    assert read_run(version, tool_choice=choice).tool_choice == choice


@pytest.mark.promise("runs.bodies")
def test_a_thread_may_be_made_with_its_run_and_both_be_given_files() -> None:
    files = {"code_interpreter": {"file_ids": ["file-1"]}}
    resources = ToolResources(CodeInterpreterResources(["file-1"]))
    thread = {"messages": [{"role": "user", "content": "Hi"}], "tool_resources": files}
    body = {"assistant_id": "asst_1", "thread": thread, "tool_resources": files}
    assert read("v2", "create_thread_and_run", body) == NewThreadAndRun(
        NewThread([NewMessage("user", plain_text("Hi"))], tool_resources=resources),
        NewRun(assistant_id="asst_1", tool_resources=resources),
    )


@BOTH
@pytest.mark.promise("runs.bodies")
@pytest.mark.parametrize("more", [{}, {"thread": None}, {"thread": {}}])
def test_the_thread_of_a_run_may_be_left_out(version: str, more: dict[str, Any]) -> None:
    made = read(version, "create_thread_and_run", {"assistant_id": "asst_1", **more})
    assert made.thread == NewThread()


@BOTH
@pytest.mark.promise("runs.tool-outputs.bodies")
def test_outputs_are_read(version: str) -> None:
    outputs = [{"tool_call_id": "call_1", "output": ""}, {"tool_call_id": "call_2", "output": "x"}]
    read_outputs = read(version, "submit_tool_outputs", {"tool_outputs": outputs, "stream": True})
    assert read_outputs == ToolOutputs([ToolOutput("call_1", ""), ToolOutput("call_2", "x")], stream=True)


# ---------------------------------------------------------------- what is refused

A = {"assistant_id": "asst_1"}
CODE = {"type": "code_interpreter"}
REFUSED = [
    ("create_run", {}, "missing_required_parameter", "assistant_id"),
    ("create_run", {"assistant_id": None}, "invalid_type", "assistant_id"),
    ("create_run", {**A, "thread": {}}, "unknown_parameter", "thread"),
    ("create_run", {**A, "tool_resources": {}}, "unknown_parameter", "tool_resources"),
    ("create_run", {**A, "tools": [CODE] * 21}, "array_above_max_length", "tools"),
    ("create_run", {**A, "tools": [{"type": "retrieval"}]}, "invalid_value", "tools[0].type"),
    ("create_run", {**A, "instructions": "x" * 256_001}, "string_above_max_length", "instructions"),
    ("create_run", {**A, "temperature": 2.5}, "decimal_above_max_value", "temperature"),
    ("create_run", {**A, "top_p": -0.5}, "decimal_below_min_value", "top_p"),
    ("create_run", {**A, "max_prompt_tokens": 0}, "integer_below_min_value", "max_prompt_tokens"),
    ("create_run", {**A, "max_completion_tokens": 1.5}, "invalid_type", "max_completion_tokens"),
    ("create_run", {**A, "stream": "yes"}, "invalid_type", "stream"),
    ("create_run", {**A, "reasoning_effort": "huge"}, "invalid_value", "reasoning_effort"),
    ("create_run", {**A, "tool_choice": "any"}, "invalid_value", "tool_choice"),
    (
        "create_run",
        {**A, "tool_choice": {"type": "function"}},
        "missing_required_parameter",
        "tool_choice.function",
    ),
    ("create_run", {**A, "response_format": "json"}, "invalid_value", "response_format"),
    ("create_run", {**A, "truncation_strategy": {"type": "x"}}, "invalid_value", "truncation_strategy.type"),
    (
        "create_run",
        {**A, "truncation_strategy": {"type": "last_messages"}},
        "missing_required_parameter",
        "truncation_strategy.last_messages",
    ),
    (
        "create_run",
        {**A, "truncation_strategy": {"type": "last_messages", "last_messages": 0}},
        "integer_below_min_value",
        "truncation_strategy.last_messages",
    ),
    (
        "create_run",
        {**A, "additional_messages": [{"role": "user"}]},
        "missing_required_parameter",
        "additional_messages[0].content",
    ),
    ("create_thread_and_run", {}, "missing_required_parameter", "assistant_id"),
    ("create_thread_and_run", {**A, "additional_messages": []}, "unknown_parameter", "additional_messages"),
    (
        "create_thread_and_run",
        {**A, "additional_instructions": ""},
        "unknown_parameter",
        "additional_instructions",
    ),
    ("create_thread_and_run", {**A, "reasoning_effort": "low"}, "unknown_parameter", "reasoning_effort"),
    (
        "create_thread_and_run",
        {**A, "tool_resources": {"file_search": {"vector_stores": [{}]}}},
        "unknown_parameter",
        "tool_resources.file_search.vector_stores",
    ),
    (
        "create_thread_and_run",
        {
            **A,
            "thread": {
                "tool_resources": {"file_search": {"vector_stores": [{}], "vector_store_ids": ["vs_x"]}}
            },
        },
        "mutually_exclusive_parameters",
        "thread.tool_resources.file_search.vector_stores",
    ),
    ("modify_run", {"status": "completed"}, "unknown_parameter", "status"),
    ("submit_tool_outputs", {}, "missing_required_parameter", "tool_outputs"),
    (
        "submit_tool_outputs",
        {"tool_outputs": [{"output": "x"}]},
        "missing_required_parameter",
        "tool_outputs[0].tool_call_id",
    ),
    (
        "submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": "call_1", "output": {"a": 1}}]},
        "invalid_type",
        "tool_outputs[0].output",
    ),
]


@pytest.mark.promise("runs.bodies.refused")
@pytest.mark.parametrize(
    ("operation", "body", "code", "param"), REFUSED, ids=[f"{one[0]}-{one[3]}" for one in REFUSED]
)
def test_what_breaks_a_rule_is_refused_by_name(
    operation: str, body: dict[str, Any], code: str, param: str
) -> None:
    error = refusal("v2", operation, body)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.promise("runs.bodies.refused")
def test_choices_are_listed_as_the_reference_has_them() -> None:
    error = refusal("v2", "create_run", {**A, "tool_choice": "any"})
    assert error["message"] == "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'."


@pytest.mark.promise("runs.bodies.refused")
@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        (
            "create_run",
            {**A, "tool_choice": 7},
            "Invalid type for 'tool_choice': expected one of one of 'none', 'auto', or 'required' or object, "
            "but got an integer instead.",
        ),
        (
            "create_run",
            {**A, "temperature": 3},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        ),
        (
            "create_run",
            {**A, "truncation_strategy": {"type": 1}},
            "Invalid type for 'truncation_strategy.type': expected one of 'auto' or 'las...ges', but got an "
            "integer instead.",
        ),
        (
            "submit_tool_outputs",
            {"tool_outputs": {}},
            "Invalid type for 'tool_outputs': expected an array of objects, but got an object instead.",
        ),
        (
            "submit_tool_outputs",
            {"tool_outputs": None},
            "Invalid type for 'tool_outputs': expected an array of objects, but got null instead.",
        ),
    ],
)
def test_wrong_types_are_told_in_the_service_s_words(operation: str, body: Any, message: str) -> None:
    assert refusal("v2", operation, body)["message"] == message


# ---------------------------------------------------------------- v1


@pytest.mark.promise("runs.v1.bodies")
def test_v1_says_retrieval_for_file_search() -> None:
    run = read_run("v1", tools=[{"type": "retrieval"}], tool_choice={"type": "retrieval"})
    assert (run.tools, run.tool_choice) == ([FileSearchTool()], {"type": "file_search"})


@pytest.mark.promise("runs.v1.bodies")
def test_v1_runs_what_has_nothing_to_say() -> None:
    made = read("v1", "create_thread_and_run", A).run
    assert [one.needs_something_to_say for one in (read_run("v1"), read_run("v2"), made)] == [
        False,
        True,
        False,
    ]


@pytest.mark.promise("runs.v1.bodies")
def test_v1_takes_files_with_additional_messages_and_numbers_as_metadata() -> None:
    message = {"role": "user", "content": "Hi", "file_ids": ["file-1"]}
    run = read_run("v1", additional_messages=[message], metadata={"a": True})
    (added,) = run.additional_messages
    assert ([one.file_id for one in added.attachments], run.metadata) == (["file-1"], {"a": "True"})


LONG = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Hi", "metadata": {"a": 10**600}}]
"""Of what v1 turns into a string, no more than 512 characters may come."""


@pytest.mark.promise("runs.v1.bodies")
@pytest.mark.parametrize(
    ("operation", "body", "place"),
    [
        ("create_message", LONG[1], "metadata -> a"),
        ("create_thread", {"messages": LONG}, "messages -> 1 -> metadata -> a"),
        ("create_run", {**A, "additional_messages": LONG}, "additional_messages -> 1 -> metadata -> a"),
        ("create_thread_and_run", {**A, "thread": {"metadata": {"a": 10**600}}}, "thread -> metadata -> a"),
        (
            "create_thread_and_run",
            {**A, "thread": {"messages": LONG}},
            "thread -> messages -> 1 -> metadata -> a",
        ),
    ],
)
def test_a_number_that_is_too_long_as_metadata_is_found_by_its_path(
    operation: str, body: dict[str, Any], place: str
) -> None:
    error = refusal("v1", operation, body)
    assert error["message"].splitlines()[1] == f"body -> {place}"


@pytest.mark.promise("runs.v1.bodies")
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice -> type"),
        ({"tools": [{"type": "file_search"}]}, "tools -> 0 -> type"),
        ({"response_format": SCHEMA}, "response_format -> type"),
    ],
)
def test_v1_does_not_know_what_came_later(body: dict[str, Any], place: str) -> None:
    error = refusal("v1", "create_run", {**A, **body})
    assert error["message"].splitlines()[1] == f"body -> {place}"
