"""What a model is told, from lists alone: the forms of messages and steps, and what fits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.assistants.model import CodeInterpreterTool, Function, FunctionTool
from threadkeep.engine import chat, prompt
from threadkeep.engine.tokens import at_most, count
from threadkeep.messages.model import (
    ImageFile,
    ImageFilePart,
    ImageUrl,
    ImageUrlPart,
    Message,
    Part,
    RefusalPart,
    Text,
    TextPart,
    plain_text,
)
from threadkeep.providers.base import Target
from threadkeep.runs.model import (
    CalledFunction,
    CodeInterpreterCall,
    FunctionToolCall,
    MessageCreation,
    MessageCreationDetails,
    Run,
    RunStep,
    ToolCallsDetails,
    Usage,
)

NAMED = {"type": "function", "function": {"name": "look"}}


def message(role: Any, *content: Part, id: str = "msg_1") -> Message:
    return Message(id=id, created_at=1, thread_id="thread_1", role=role, content=list(content))


def text(value: str) -> TextPart:
    return TextPart(Text(value))


def run(**given: Any) -> Run:
    return Run(id="run_1", created_at=1, assistant_id="asst_1", thread_id="thread_1", model="m", **given)


def step(details: Any, usage: Usage | None = None) -> RunStep:
    kind: Any = "tool_calls" if isinstance(details, ToolCallsDetails) else "message_creation"
    common: dict[str, Any] = {"run_id": "run_1", "assistant_id": "asst_1", "thread_id": "thread_1"}
    return RunStep(id="step_1", created_at=1, type=kind, step_details=details, usage=usage, **common)


def wrote(id: str) -> RunStep:
    return step(MessageCreationDetails(MessageCreation(id)))


def calls(*ids: str, output: str | None = "fine", usage: Usage | None = None) -> RunStep:
    made = [FunctionToolCall(id=id, function=CalledFunction("look", '{"x": 1}', output)) for id in ids]
    return step(ToolCallsDetails(list(made)), usage)


def target(context_tokens: int) -> Target:
    return Target(provider=None, model="m", context_tokens=context_tokens)  # type: ignore[arg-type]  # not asked


# ---------------------------------------------------------------- messages


def test_a_single_text_is_a_string():
    assert chat.spoken(message("user", text("hello"))) == {"role": "user", "content": "hello"}


def test_several_parts_stay_parts_and_keep_their_order():
    parts = (text("a"), ImageUrlPart(ImageUrl("https://x/y.png", "low")), text("b"))
    assert chat.spoken(message("user", *parts)) == {
        "role": "user",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            {"type": "text", "text": "b"},
        ],
    }


def test_an_assistant_speaks_in_strings():
    parts = (text("a"), RefusalPart("I will not."), ImageFilePart(ImageFile("file-1")))
    said = {"role": "assistant", "content": "a\nI will not.\n[image file-1]"}
    assert chat.spoken(message("assistant", *parts)) == said


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("content", [[], plain_text("")])
def test_a_message_that_says_nothing_is_left_out(role, content):
    assert chat.spoken(message(role, *content)) is None


def test_image_files_are_filled_in_or_mentioned():
    shows = (text("see"), ImageFilePart(ImageFile("file-1", "high")), ImageFilePart(ImageFile("file-2")))
    spoken = chat.spoken(message("user", *shows))
    assert spoken
    assert chat.unfilled(spoken) == ["file-1", "file-2"]
    assert chat.filled(spoken, {"file-1": "data:x"})["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "high"}},
        {"type": "text", "text": "[image file-2: not available]"},
    ]


# ---------------------------------------------------------------- steps


def test_text_and_calls_of_one_turn_are_one_message_with_every_output_after_it():
    steps = [wrote("msg_1"), calls("call_1", "call_2"), calls("call_3"), wrote("msg_2")]
    messages = {
        "msg_1": message("assistant", text("Let me see.")),
        "msg_2": message("assistant", text("So.")),
    }
    done = chat.done(steps, messages)
    assert [one["role"] for one in done] == ["assistant", "tool", "tool", "assistant", "tool", "assistant"]
    assert done[0]["content"] == "Let me see."
    assert [call["id"] for call in done[0]["tool_calls"]] == ["call_1", "call_2"]
    assert done[0]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"x": 1}'}
    assert done[1] == {"role": "tool", "tool_call_id": "call_1", "content": "fine"}
    assert done[3]["content"] is None
    assert done[5] == {"role": "assistant", "content": "So."}


def test_a_message_that_was_deleted_and_calls_of_other_tools_are_left_out():
    other = step(ToolCallsDetails([CodeInterpreterCall(id="call_1", code_interpreter={})]))
    assert chat.done([wrote("msg_1"), other], {}) == []


def test_a_call_without_output_is_answered_with_nothing_rather_than_not_at_all():
    assert chat.done([calls("call_1", output=None)], {})[1]["content"] == ""


# ---------------------------------------------------------------- beside the messages


@pytest.mark.promise("v2.runs.functions")
def test_functions_go_without_what_is_unset():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tools: list[Any] = [
        CodeInterpreterTool(),
        FunctionTool(Function("look", "looks", schema, True)),
        FunctionTool(Function("wait")),
    ]
    assert chat.functions(run(tools=tools)) == [
        {
            "type": "function",
            "function": {"name": "look", "description": "looks", "parameters": schema, "strict": True},
        },
        {
            "type": "function",
            "function": {"name": "wait", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.promise("v2.runs.forced-choice")
@pytest.mark.parametrize(
    ("given", "first", "later"),
    [
        ("auto", None, None),
        ("none", "none", "none"),
        ("required", "required", None),
        (NAMED, NAMED, None),
        ({"type": "file_search"}, None, None),
    ],
)
def test_a_forced_choice_holds_until_a_tool_was_called(given, first, later):
    asked = run(tool_choice=given)
    assert chat.choice(asked, []) == first
    assert chat.choice(asked, [wrote("msg_1")]) == first
    assert chat.choice(asked, [calls("call_1")]) == later


def test_only_a_format_that_says_something_is_given():
    assert chat.answer_format(run()) is None
    assert chat.answer_format(run(response_format={"type": "json_object"})) == {"type": "json_object"}


# ---------------------------------------------------------------- room


def test_the_room_is_the_models_without_what_an_answer_takes():
    assert prompt.room_for(run(), [], target(128_000)) == prompt.Room(128_000 - prompt.ANSWER, None, None)
    assert prompt.room_for(run(max_completion_tokens=300), [], target(1000)) == prompt.Room(700, None, 300)
    assert prompt.room_for(run(), [], target(1000)).prompt == 500  # half of it at least


def test_a_cap_counts_what_the_turns_before_have_used():
    steps = [calls("call_1", usage=Usage(200, 300, 500))]
    capped = run(max_prompt_tokens=500, max_completion_tokens=1000)
    assert prompt.room_for(capped, steps, target(128_000)) == prompt.Room(300, "max_prompt_tokens", 700)


def test_a_run_whose_answers_have_used_up_their_cap_is_over():
    steps = [calls("call_1", usage=Usage(200, 300, 500))]
    with pytest.raises(prompt.TooLong) as refusal:
        prompt.room_for(run(max_completion_tokens=300), steps, target(128_000))
    assert refusal.value.reason == "max_completion_tokens"


# ---------------------------------------------------------------- what fits


def test_the_oldest_are_dropped_first():
    assert prompt.that_fit([3, 3, 3], 0, 7) == [0, 1]


def test_the_last_message_of_the_user_stays_even_where_newer_ones_go():
    assert prompt.that_fit([3, 3, 3], 2, 6) == [0, 2]


def test_nothing_fits_where_the_last_message_of_the_user_does_not():
    assert prompt.that_fit([1, 9], 1, 8) is None
    assert prompt.that_fit([9], None, 8) is None
    assert prompt.that_fit([], None, -1) is None


def test_an_empty_thread_fits():
    assert prompt.that_fit([], None, 0) == []


SIZES = st.lists(st.integers(min_value=0, max_value=50), max_size=12)


@given(SIZES, st.integers(min_value=-5, max_value=300), st.data())
def test_what_is_kept_is_the_newest_that_fits(sizes, room, data):
    last = data.draw(st.none() | st.integers(0, len(sizes) - 1)) if sizes else None
    kept = prompt.that_fit(sizes, last, room)
    if kept is None:
        needed = 0 if last is None else sizes[last]
        assert room < needed or (last is None and sizes[0] > room)
        return
    assert kept == sorted(set(kept))
    assert sum(sizes[place] for place in kept) <= room
    assert last is None or last in kept
    newest = [place for place in kept if place != last]
    others = [place for place in range(len(sizes)) if place != last]
    assert newest == others[: len(newest)], "no gap but for the user's last message"
    if len(newest) < len(others):
        following = others[len(newest)]
        assert sum(sizes[place] for place in kept) + sizes[following] > room, "one more would not fit"


# ---------------------------------------------------------------- tokens


@given(st.lists(st.text(max_size=80), max_size=8))
def test_a_text_never_has_more_tokens_than_bytes(texts):
    assert all(
        number <= at_most(one) == len(one.encode()) for number, one in zip(count(texts), texts, strict=True)
    )


def test_tokens_are_counted_by_published_rules():
    assert count(["", "hello world", "水火木金土", "<|endoftext|>"]) == [0, 2, 5, 7]


@given(st.integers(0, 3), st.integers(0, 3))
def test_what_a_message_weighs(texts, images):
    parts = [text("ab")] * texts + [ImageFilePart(ImageFile("file-1", "low"))] * images
    spoken = chat.spoken(message("user", *parts))
    if spoken:
        weight = chat.weight(spoken)
        assert weight.at_most == 2 * texts + chat.PER_SMALL_IMAGE * images + chat.PER_MESSAGE
