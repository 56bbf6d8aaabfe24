"""What happens in a run as server-sent events. Reference: protocol sections 7 and 13.9.

A dialect is a table of forms, one for each kind of event. Pieces of text are the hot path: they are
written from a template into which only the text is encoded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from threadkeep.engine.events import (
    CallDelta,
    Done,
    Event,
    MessageEvent,
    RunEvent,
    SearchDelta,
    StepEvent,
    StreamError,
    TextDelta,
    ThreadCreated,
)
from threadkeep.messages.model import Message
from threadkeep.runs.model import Run, RunStep, ToolCallsDetails
from threadkeep.threads.model import Thread
from threadkeep.wire.base import encode, text_of
from threadkeep.wire.citations import with_empty_quotes

Forms = Mapping[type, Callable[[Any], str]]

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which readers of events pass over."""
OPENED = ("created", "in_progress")


def forms(
    thread: Callable[[Thread], str],
    message: Callable[[Message], str],
    run: Callable[[Run], str],
    step: Callable[[RunStep], str],
    renamed: Mapping[str, str] | None = None,
) -> Forms:
    """The table of a dialect that writes objects like this; `renamed` are events of runs that it calls
    something else."""
    names = renamed or {}
    return {
        ThreadCreated: lambda event: named("thread.created", thread(event.thread)),
        RunEvent: lambda event: named(f"thread.run.{names.get(event.name, event.name)}", run(event.run)),
        StepEvent: lambda event: named(f"thread.run.step.{event.name}", step(step_of(event))),
        MessageEvent: lambda event: named(f"thread.message.{event.name}", message(message_of(event))),
        TextDelta: text_delta,
        CallDelta: call_delta,
        SearchDelta: search_delta,
        StreamError: stream_error,
        Done: done,
    }


def writer(table: Forms) -> Callable[[Sequence[Event]], bytes]:
    """The function that writes events down, however many."""

    def events(batch: Sequence[Event]) -> bytes:
        text = "".join([table[type(event)](event) for event in batch])
        return text.encode() if text.isascii() else without_line_breaks(text).encode()

    return events


def without_line_breaks(text: str) -> str:
    """`text` with Unicode's own line breaks as JSON escapes: a line of data must not end at them, as it
    does for readers that split lines as Python does (the official client up to 1.20)."""
    for character in "\x85\u2028\u2029":
        if character in text:
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def named(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


# ---------------------------------------------------------------- objects on their way


def message_of(event: MessageEvent) -> Message:
    """Without content as long as deltas follow: readers add them to what is there."""
    message = event.message
    if event.name in OPENED and message.content:
        return msgspec.structs.replace(message, content=[])
    return message


def step_of(event: StepEvent) -> RunStep:
    """Likewise without calls."""
    step, details = event.step, event.step.step_details
    if event.name in OPENED and isinstance(details, ToolCallsDetails) and details.tool_calls:
        return msgspec.structs.replace(step, step_details=ToolCallsDetails([]))
    return step


# ---------------------------------------------------------------- pieces


def text_delta(event: TextDelta) -> str:
    """The first piece has a list of annotations, be it empty; later ones have those that are new, since
    readers add lists up, too."""
    return piece_of_text(event, with_empty_quotes(event.annotations) if event.annotations else ())


def quoted_text_delta(event: TextDelta) -> str:
    """Likewise, with the passages that are cited."""
    return piece_of_text(event, event.annotations)


def piece_of_text(event: TextDelta, annotations: Sequence[Any]) -> str:
    value = encode(event.value).decode()
    if event.refusal:
        content = f'"type":"refusal","refusal":{value}'
    elif annotations:
        content = f'"type":"text","text":{{"value":{value},"annotations":{encode(annotations).decode()}}}'
    elif event.first:
        content = f'"type":"text","text":{{"value":{value},"annotations":[]}}'
    else:
        content = f'"type":"text","text":{{"value":{value}}}'
    return (
        f'event: thread.message.delta\ndata: {{"id":"{event.message_id}","object":"thread.message.delta",'
        f'"delta":{{"content":[{{"index":{event.index},{content}}}]}}}}\n\n'
    )


def call_delta(event: CallDelta) -> str:
    """Id and name come once: readers add strings up. Empty arguments go with them, then the pieces."""
    pieces = ""
    if event.id is not None:
        function = f'{{"name":{encode(event.name or "").decode()},"arguments":"","output":null}}'
        opening = f'"id":{encode(event.id).decode()},"type":"function","function":{function}'
        pieces = step_delta(event, opening)
    if event.arguments:
        arguments = encode(event.arguments).decode()
        pieces += step_delta(event, f'"type":"function","function":{{"arguments":{arguments}}}')
    return pieces


def search_delta(event: SearchDelta) -> str:
    """Nothing is found yet."""
    search = encode({"ranking_options": event.ranking_options, "results": []}).decode()
    return step_delta(event, f'"id":{encode(event.id).decode()},"type":"file_search","file_search":{search}')


def retrieval_delta(event: SearchDelta) -> str:
    """In v1, which shows no more of it than that."""
    return step_delta(event, f'"id":{encode(event.id).decode()},"type":"retrieval","retrieval":{{}}')


def step_delta(event: CallDelta | SearchDelta, call: str) -> str:
    return (
        f'event: thread.run.step.delta\ndata: {{"id":"{event.step_id}","object":"thread.run.step.delta",'
        f'"delta":{{"step_details":{{"type":"tool_calls","tool_calls":[{{"index":{event.index},{call}}}]}}}}}}\n\n'
    )


# ---------------------------------------------------------------- ends


def stream_error(event: StreamError) -> str:
    """In an envelope, so that official clients raise it (protocol section 12.15)."""
    error = {"message": event.message, "type": "server_error", "param": None, "code": event.code}
    return named("error", text_of({"error": error}))


def done(_: Done) -> str:
    return "event: done\ndata: [DONE]\n\n"
