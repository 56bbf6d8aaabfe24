"""Events of runs as the engine tells them: whole small runs, and recorded streams read back."""

from collections.abc import Iterator
from typing import Any

import msgspec

from threadkeep.engine.events import (
    CallDelta,
    Done,
    Event,
    MessageEvent,
    RunEvent,
    StepEvent,
    TextDelta,
    ThreadCreated,
)
from threadkeep.messages.model import Message, Part, RefusalPart, plain_text
from threadkeep.runs.model import (
    CalledFunction,
    FunctionCall,
    FunctionToolCall,
    MessageCreation,
    MessageCreationDetails,
    RequiredAction,
    RequiredCall,
    Run,
    RunStep,
    SubmitToolOutputs,
    ToolCallsDetails,
    Usage,
    moved,
)
from threadkeep.threads.model import Thread

RUN = Run(id="run_1", created_at=1, assistant_id="asst_1", thread_id="thread_1", model="m", expires_at=601)
WORKED = moved(RUN, "in_progress", started_at=2)
USAGE = Usage(3, 4, 7)
WORDS = ["Hel", "lo,", " “wörld”\n", "\u2028\u2029\x85", "\N{WAVING HAND SIGN}"]
TEXT = "".join(WORDS)
CALLS = [("call_1", "get_weather", ['{"city":', ' "Malmö"}']), ("call_2", "get_time", ["{}"])]


def beginning() -> list[Event]:
    return [RunEvent("created", RUN), RunEvent("queued", RUN), RunEvent("in_progress", WORKED)]


def step_of(**values: Any) -> RunStep:
    given = {"id": "step_1", "created_at": 2, "run_id": "run_1", "assistant_id": "asst_1"}
    return RunStep(**{**given, "thread_id": "thread_1", "expires_at": 601, **values})


def said(*, refusal: bool = False) -> Iterator[Event]:
    """A message, told in pieces."""
    step = step_of(type="message_creation", step_details=MessageCreationDetails(MessageCreation("msg_1")))
    parts: list[Part] = [RefusalPart(TEXT)] if refusal else plain_text(TEXT)
    message = Message(
        id="msg_1",
        created_at=2,
        assistant_id="asst_1",
        thread_id="thread_1",
        run_id="run_1",
        status="in_progress",
        role="assistant",
        content=parts,  # which the events of its making leave out
    )
    yield StepEvent("created", step)
    yield StepEvent("in_progress", step)
    yield MessageEvent("created", message)
    yield MessageEvent("in_progress", message)
    for number, word in enumerate(WORDS):
        yield TextDelta("msg_1", 0, word, first=number == 0, refusal=refusal)
    yield MessageEvent("completed", msgspec.structs.replace(message, status="completed", completed_at=3))
    yield StepEvent(
        "completed", msgspec.structs.replace(step, status="completed", completed_at=3, usage=USAGE)
    )


def plain() -> list[Event]:
    """A run that says something."""
    ended = moved(WORKED, "completed", completed_at=3, usage=USAGE)
    return [*beginning(), *said(), RunEvent("completed", ended), Done()]


def refused() -> list[Event]:
    """A run whose model refuses."""
    ended = moved(WORKED, "completed", completed_at=3, usage=USAGE)
    return [*beginning(), *said(refusal=True), RunEvent("completed", ended), Done()]


def cut_off() -> list[Event]:
    """A run that came to its token cap."""
    ended = moved(WORKED, "incomplete", completed_at=3, usage=USAGE)
    return [*beginning(), *said(), RunEvent("incomplete", ended), Done()]


def called() -> list[Event]:
    """A run that calls two functions at once."""
    calls = [
        FunctionToolCall(id=id, function=CalledFunction(name, "".join(pieces))) for id, name, pieces in CALLS
    ]
    step = step_of(type="tool_calls", step_details=ToolCallsDetails(list(calls)))
    asked = [
        RequiredCall(id=one.id, function=FunctionCall(one.function.name, one.function.arguments))
        for one in calls
    ]
    waiting = moved(
        WORKED,
        "requires_action",
        required_action=RequiredAction(submit_tool_outputs=SubmitToolOutputs(asked)),
    )
    pieces: list[Event] = []
    for index, (id, name, arguments) in enumerate(CALLS):
        pieces.append(CallDelta("step_1", index, "", id, name))
        pieces += [CallDelta("step_1", index, piece) for piece in arguments]
    opened: list[Event] = [StepEvent("created", step), StepEvent("in_progress", step)]
    return [*beginning(), *opened, *pieces, RunEvent("requires_action", waiting), Done()]


# ---------------------------------------------------------------- recorded


def event_of(name: str, data: Any) -> Event | None:
    """What was told when the live service sent this; None for what this server never tells."""
    kind, _, last = name.removeprefix("thread.").rpartition(".")
    if name == "done":
        return Done()
    if name == "thread.created":
        return ThreadCreated(msgspec.convert(data, Thread))
    if name == "thread.message.delta":
        (part,) = data["delta"]["content"]
        text = part["text"]
        return TextDelta(data["id"], part["index"], text["value"], first="annotations" in text)
    if name == "thread.run.step.delta":
        (call,) = data["delta"]["step_details"]["tool_calls"]
        if call["type"] != "function":
            return None
        index, function = call["index"], call["function"]
        return CallDelta(data["id"], index, function["arguments"], call.get("id"), function.get("name"))
    events = {"run": (RunEvent, Run), "run.step": (StepEvent, RunStep), "message": (MessageEvent, Message)}
    event, shape = events[kind]
    return event(last, msgspec.convert(data, shape))
