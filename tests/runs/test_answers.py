"""Whatever a model may say: how the run ends, what its stream tells, and what is left."""

from typing import Any

import pytest

from tests.runs.scene import QUESTION, Scene
from tests.support.upstream import Call, Gate, Refusal, Say, Turn, Whole

PLAIN = "CQImpcidksK."
ASKING = "CQItpDA."
GO_ON = "sQImpcidksK."
MESSAGE = ("message_creation", "completed")
CALLS = ("tool_calls", "completed")


@pytest.mark.promise("runs.weather.streams")
def test_words_are_streamed_as_they_are_said(each: Scene):
    gate = Gate()
    each.says(Say("Good ", gate, "morning ", "to you."))
    with each.watched() as stream:
        stream.until("d")
        assert each.now(stream.run_id) == "in_progress"
        gate.open()
        assert stream.rest() == PLAIN
    left = each.left(stream.run_id)
    assert (left.status, left.steps) == ("completed", [MESSAGE])
    assert left.messages == [("Good morning to you.", None)]
    assert left.tokens == (20, 10)
    told = stream.events[-2][1]
    assert left.run == {**told, "tool_resources": {}}  # events always show the code interpreter's files


@pytest.mark.promise("runs.weather.streams")
@pytest.mark.parametrize(
    "turn",
    [
        Whole("Good morning."),
        Say("Good ", "morning.", every=True),
        Say("Good ", "morning.", done=False),
    ],
    ids=["as one JSON object", "with usage in every chunk", "without [DONE]"],
)
def test_other_forms_of_an_answer_do_as_well(scene: Scene, turn: Turn):
    scene.says(turn)
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.messages) == (PLAIN, "completed", [("Good morning.", None)])
    assert left.tokens == (20, 10)


@pytest.mark.promise("runs.weather.usage")
def test_usage_is_zero_where_the_upstream_does_not_count(scene: Scene):
    scene.says(Say("Good morning.", usage=None))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.tokens) == (PLAIN, (0, 0))


@pytest.mark.promise("providers.halves")
def test_an_emoji_in_two_halves_is_streamed_as_one_character(scene: Scene):
    halves = Call("weather", '{"in":"\ud83c', "\uddee\ud83c", '\uddf9"}')
    scene.says(Say("Sunny \ud83c", "\udf1e!", halves), Say("\ud83c", "\udf1e"))
    with scene.watched() as stream:
        assert stream.rest() == "CQImpcidkstpDA."
    pieces = [data["delta"] for name, data in stream.events if name == "thread.message.delta"]
    assert [one["content"][0]["text"]["value"] for one in pieces] == ["Sunny ", "🌞!"]
    (call,) = scene.calls(stream.run_id)
    assert call["function"]["arguments"] == '{"in":"🇮🇹"}'
    with scene.answered(stream.run_id, "sunny") as stream:
        assert stream.rest() == GO_ON
    assert scene.left(stream.run_id).messages == [("Sunny 🌞!", None), ("🌞", None)]


# ---------------------------------------------------------------- calls


@pytest.mark.promise("runs.weather.calls", "runs.weather.usage")
def test_parallel_calls_are_answered_together(each: Scene):
    each.says(
        Say(
            Call("weather", '{"in":', '"Rome"}', id="call_a"), Call("time", "{}", id="call_b"), usage=(20, 5)
        ),
        Say("Sunny, ", "at noon.", usage=(40, 7)),
    )
    run, order = each.whole()
    assert (order, each.now(run)) == (ASKING, "requires_action")
    assert [(one["id"], one["function"]) for one in each.calls(run)] == [
        ("call_a", {"name": "weather", "arguments": '{"in":"Rome"}'}),
        ("call_b", {"name": "time", "arguments": "{}"}),
    ]
    with each.answered(run, "sunny", "noon") as stream:
        assert stream.rest() == GO_ON
    left = each.left(run)
    assert (left.status, left.steps) == ("completed", [CALLS, MESSAGE])
    assert left.messages == [("Sunny, at noon.", None)]
    assert left.tokens == (60, 12)
    told = [(one["role"], one.get("tool_call_id"), one["content"]) for one in each.asked[1]["messages"][1:]]
    assert told == [
        ("assistant", None, None),
        ("tool", "call_a", "sunny"),
        ("tool", "call_b", "noon"),
    ]


@pytest.mark.promise("runs.weather.calls")
def test_what_is_said_before_a_call_is_a_message(scene: Scene):
    scene.says(Say("One moment.", Call("weather", "{}")), Say("Sunny."))
    run, order = scene.whole()
    assert order == "CQImpcidkstpDA."
    with scene.answered(run, "sunny") as stream:
        assert stream.rest() == GO_ON
    left = scene.left(run)
    assert left.steps == [MESSAGE, CALLS, MESSAGE]
    assert left.messages == [("One moment.", None), ("Sunny.", None)]
    assert left.tokens == (40, 20)


@pytest.mark.promise("runs.weather.calls")
@pytest.mark.parametrize("arguments", ['{"in": Rome', "", "null", '{"in": "Rome"}}', "\u2028 \\"])
def test_arguments_that_are_not_json_are_the_clients_to_judge(scene: Scene, arguments: str):
    scene.says(Say(Call("weather", arguments)), Say("Sunny."))
    run, order = scene.whole()
    assert order == ASKING
    (call,) = scene.calls(run)
    assert call["function"] == {"name": "weather", "arguments": arguments}
    with scene.answered(run, "I do not understand.") as stream:
        assert stream.rest() == GO_ON
    left = scene.left(run)
    assert (left.status, left.messages) == ("completed", [("Sunny.", None)])
    assert scene.asked[1]["messages"][1]["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.promise("runs.weather.calls")
def test_a_model_may_give_every_call_the_same_id(scene: Scene):
    scene.says(*[Say(Call("weather", "{}", id="call_0"))] * 3, Say("Sunny."))
    run, _ = scene.whole()
    for answer in ("fog", "rain", "sun"):
        with scene.answered(run, answer) as stream:
            stream.rest()
    left = scene.left(run)
    assert (left.status, left.steps) == ("completed", [CALLS, CALLS, CALLS, MESSAGE])
    told = [one["content"] for one in scene.asked[-1]["messages"] if one["role"] == "tool"]
    assert told == ["fog", "rain", "sun"]


ODD = 'a\0b "\\" \u2028\x85\r\n\x7f \ud83d\ude00'.encode("utf-16", "surrogatepass").decode("utf-16")
"""What is special to databases, to JSON, or to readers of lines."""


@pytest.mark.promise("runs.weather.odd-texts")
def test_odd_characters_come_through_everywhere(each: Scene):
    each.says(Say(ODD, ODD, Call(ODD, ODD, id="call_" + ODD)), Say(Refusal(ODD)))
    with each.watched() as stream:
        assert stream.rest() == "CQImpcidkstpDA."
    (call,) = each.calls(stream.run_id)
    assert call["id"] == "call_" + ODD
    assert call["function"] == {"name": ODD, "arguments": ODD}
    with each.answered(stream.run_id, ODD) as rest:
        assert rest.rest() == GO_ON
    left = each.left(stream.run_id)
    assert (left.status, left.messages) == ("completed", [(2 * ODD, None), (ODD, None)])
    assert each.asked[1]["messages"][1]["tool_calls"][0]["function"] == {"name": ODD, "arguments": ODD}
    assert each.asked[1]["messages"][2]["content"] == ODD


@pytest.mark.promise("runs.weather.odd-texts")
def test_halves_of_characters_do_not_end_a_run(scene: Scene):
    """Some servers lose one half of an emoji that they cut in two."""
    scene.says(Say("a", "\ud83d", "b", "\ude00", Call("weather", '{"\ud83d"')), Whole("\ude00"))
    run, order = scene.whole()
    assert (order, scene.calls(run)[0]["function"]["arguments"]) == ("CQImpcidkstpDA.", '{"\ufffd"')
    with scene.answered(run, "sunny") as stream:
        assert stream.rest() == GO_ON
    assert scene.left(run).messages == [("a\ufffdb\ufffd", None), ("\ufffd", None)]


# ---------------------------------------------------------------- answers of other kinds


@pytest.mark.promise("runs.weather.empty")
@pytest.mark.parametrize("turn", [Say(), Whole()])
def test_an_empty_answer_is_an_empty_message(scene: Scene, turn: Turn):
    scene.says(turn)
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status) == ("CQImpciksK.", "completed")
    assert (left.messages, left.steps) == ([("", None)], [MESSAGE])


@pytest.mark.promise("runs.weather.refusal")
def test_a_refusal_is_a_part_of_the_message(scene: Scene):
    scene.says(Say(Refusal("I will "), Refusal("not.")))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.messages) == (PLAIN, "completed", [("I will not.", None)])
    (message,) = scene.get(f"/v1/threads/{scene.thread}/messages?run_id={run}")["data"]
    assert message["content"] == [{"type": "refusal", "refusal": "I will not."}]


CUT_OFF = "CQImpcidnsN."


@pytest.mark.promise("runs.weather.content-filter")
def test_what_the_content_filter_stops_is_incomplete(scene: Scene):
    scene.says(Say("Half an ans", finish="content_filter"))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.run["incomplete_details"]) == (CUT_OFF, "incomplete", None)
    assert (left.messages, left.steps) == ([("Half an ans", "content_filter")], [MESSAGE])
    assert left.tokens == (20, 10)


@pytest.mark.promise("runs.weather.caps")
def test_an_answer_that_is_too_long_is_incomplete(scene: Scene):
    scene.says(Say("Half an ans", finish="length"))
    run, order = scene.whole(max_completion_tokens=10)
    left = scene.left(run)
    assert (order, left.status) == (CUT_OFF, "incomplete")
    assert left.run["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert (left.messages, left.steps) == ([("Half an ans", "max_tokens")], [MESSAGE])
    assert left.tokens == (20, 10)


@pytest.mark.promise("runs.weather.caps", "runs.weather.content-filter")
@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_calls_that_are_cut_off_are_not_asked_for(scene: Scene, finish: str):
    scene.says(Say("One moment.", Call("weather", '{"in":'), finish=finish), Say("Good morning."))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.steps) == ("CQImpcidkstpDsN.", "incomplete", [MESSAGE, CALLS])
    assert (left.messages, left.tokens) == ([("One moment.", None)], (20, 10))
    run, order = scene.whole()
    assert (order, scene.left(run).status) == (PLAIN, "completed")


@pytest.mark.promise("runs.weather.streams")
def test_a_model_that_announces_calls_and_makes_none(scene: Scene):
    scene.says(Say("Good morning.", finish="tool_calls"))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.messages) == (PLAIN, "completed", [("Good morning.", None)])


@pytest.mark.promise("runs.weather.caps")
def test_a_cap_on_what_is_said_counts_over_all_turns(scene: Scene):
    scene.says(Say(Call("weather", "{}")), Say("Half an ans", usage=(40, 5), finish="length"))
    run, _ = scene.whole(max_completion_tokens=15)
    with scene.answered(run, "sunny") as stream:
        assert stream.rest() == "sQImpcidnsN."
    left = scene.left(run)
    assert left.run["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert [one["max_completion_tokens"] for one in scene.asked] == [15, 5]
    assert left.messages == [("Half an ans", "max_tokens")]
    assert left.tokens == (60, 15)


@pytest.mark.promise("runs.weather.caps")
@pytest.mark.parametrize(
    ("caps", "usage"),
    [
        ({"max_completion_tokens": 10}, (20, 10)),
        ({"max_prompt_tokens": 1000}, (990, 10)),
    ],
)
def test_a_turn_for_which_nothing_is_left_is_not_asked_for(
    scene: Scene, caps: dict[str, int], usage: tuple[int, int]
):
    scene.says(Say("One moment.", Call("weather", "{}"), usage=usage))
    run, _ = scene.whole(**caps)
    with scene.answered(run, "sunny") as stream:
        assert stream.rest() == "sQIN."
    left = scene.left(run)
    assert (left.status, left.run["incomplete_details"]) == ("incomplete", {"reason": next(iter(caps))})
    assert left.steps == [MESSAGE, CALLS]
    assert (left.messages, left.tokens) == ([("One moment.", None)], usage)
    assert len(scene.asked) == 1


# ---------------------------------------------------------------- what this server does not have


@pytest.mark.promise("runs.weather.tools")
def test_a_tool_that_is_not_offered_fails_the_run_at_once(scene: Scene):
    run, order = scene.whole(tools=[{"type": "code_interpreter"}, {"type": "file_search"}])
    left = scene.left(run)
    assert (order, left.status) == ("CQIF.", "failed")
    assert left.run["last_error"] == {
        "code": "server_error",
        "message": "This server does not offer the tool 'code_interpreter'. Leave it out of the run's tools, "
        "or set tool_choice to 'none'.",
    }
    assert (left.steps, left.messages, left.tokens) == ([], [], (0, 0))
    assert scene.asked == []


@pytest.mark.promise("runs.weather.tools")
def test_a_run_that_chooses_no_tool_does_without(scene: Scene):
    scene.says(Say("Good morning."))
    tools: list[Any] = [{"type": "code_interpreter"}, {"type": "file_search"}]
    run, order = scene.whole(tools=tools, tool_choice="none")
    left = scene.left(run)
    assert (order, left.status, left.messages) == (PLAIN, "completed", [("Good morning.", None)])
    (asked,) = scene.asked
    assert "tools" not in asked
    assert asked["messages"] == [{"role": "user", "content": QUESTION}]
