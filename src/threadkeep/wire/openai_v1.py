"""OpenAI v1, over the same rows: `file_ids` where v2 has attachments. Reference: protocol section 1.7.

What v1 cannot say is left out of what it is shown (section 12.12); nothing stored changes by reading.
Validation errors are the texts of the validator that the service used then.
"""

from typing import Literal

from msgspec import Struct

from threadkeep import errors
from threadkeep.engine.events import SearchDelta, TextDelta
from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import (
    IncompleteDetails,
    Message,
    Role,
    TextPart,
    message_files_of,
    message_of,
)
from threadkeep.metadata import Metadata
from threadkeep.threads.model import Thread
from threadkeep.wire import assistants_v1, openai_v2, runs, runs_v1, sse
from threadkeep.wire.answers import OPENAI_ERRORS, answers, of_assistants
from threadkeep.wire.base import Body, Dialect, ErrorReply, text_of
from threadkeep.wire.openai_errors import COMMON, envelope
from threadkeep.wire.threads_v1 import (
    CreateMessage,
    CreateThread,
    Modify,
    metadata_change,
    new_message,
    new_thread,
    thread_change,
)

# ---------------------------------------------------------------- objects


class MessageV1(Struct, frozen=True, kw_only=True):
    """A message as v1 shows it, in the order of late v1."""

    id: str
    object: Literal["thread.message"]
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    status: Literal["in_progress", "incomplete", "completed"]
    incomplete_details: IncompleteDetails | None
    incomplete_at: int | None
    completed_at: int | None
    role: Role
    content: list[TextPart]
    file_ids: list[str]
    metadata: Metadata


def texts_of(message: Message) -> list[TextPart]:
    """The parts that v1 knows."""
    return [part for part in message.content if isinstance(part, TextPart)]


def message(body: str) -> str:
    return text_of(message_v1(message_of(body)))


def message_v1(stored: Message) -> MessageV1:
    values = {name: getattr(stored, name) for name in stored.__struct_fields__ if name != "attachments"}
    values["content"] = texts_of(stored)
    return MessageV1(file_ids=message_files_of(stored), **values)


class ThreadV1(Struct, frozen=True):
    id: str
    object: Literal["thread"]
    created_at: int
    metadata: Metadata


def thread(stored: Thread) -> str:
    return text_of(ThreadV1(stored.id, stored.object, stored.created_at, stored.metadata))


# ---------------------------------------------------------------- events

EVENTS: sse.Forms = {
    **sse.forms(
        thread,
        lambda told: text_of(message_v1(told)),
        runs_v1.run,
        runs_v1.step_in_stream,
        runs_v1.NAMES,
    ),
    TextDelta: lambda delta: "" if delta.refusal else sse.quoted_text_delta(delta),
    SearchDelta: sse.retrieval_delta,
}
"""v1 has no refusals: neither their pieces nor their parts are shown."""

# ---------------------------------------------------------------- errors

TYPES = {
    "a string": ("str type expected", "type_error.str"),
    "an integer": ("value is not a valid integer", "type_error.integer"),
    "a decimal": ("value is not a valid float", "type_error.float"),
    "an object": ("value is not a valid dict", "type_error.dict"),
    "an array of strings": ("value is not a valid list", "type_error.list"),
    "an array of objects": ("value is not a valid list", "type_error.list"),
    "a boolean": ("value could not be parsed to a boolean", "type_error.bool"),
}


def line(problem: Problem) -> tuple[str, str]:
    """What the validator said of one problem, and its type with details."""
    limit = problem.limit
    match problem.kind:
        case "missing":
            return "field required", "value_error.missing"
        case "unknown":
            return "extra fields not permitted", "value_error.extra"
        case "type" if problem.actual is None:
            return "none is not an allowed value", "type_error.none.not_allowed"
        case "type" if not problem.choices:
            return TYPES.get(problem.expected, TYPES["a string"])
        case "type" | "enum":
            permitted = ", ".join(f"'{value}'" for value in problem.choices)
            words = f"value is not a valid enumeration member; permitted: {permitted}"
            return words, f"type_error.enum; enum_values=[{permitted}]"
        case "string_too_long" | "name_too_long":
            words = f"ensure this value has at most {limit} characters"
            return words, f"value_error.any_str.max_length; limit_value={limit}"
        case "string_too_short":
            words = f"ensure this value has at least {limit} characters"
            return words, f"value_error.any_str.min_length; limit_value={limit}"
        case "array_too_long" | "properties_too_many":
            words = f"ensure this value has at most {limit} items"
            return words, f"value_error.list.max_items; limit_value={limit}"
        case "array_too_short":
            words = f"ensure this value has at least {limit} items"
            return words, f"value_error.list.min_items; limit_value={limit}"
        case "integer_too_big" | "decimal_too_big":
            words = f"ensure this value is less than or equal to {limit}"
            return words, f"value_error.number.not_le; limit_value={limit}"
        case "integer_too_small" | "decimal_too_small":
            words = f"ensure this value is greater than or equal to {limit}"
            return words, f"value_error.number.not_ge; limit_value={limit}"
        case "pattern":
            pattern = problem.expected
            words = f'string does not match regex "{pattern}"'
            return words, f"value_error.str.regex; pattern={pattern}"
        case "url":
            return "invalid or missing URL scheme", "value_error.url.scheme"
    return openai_v2.WORDS[problem.kind][0].format(
        param=openai_v2.dotted(problem.path) or "body", limit=limit
    ), "value_error"


def invalid(refusal: Invalid) -> ErrorReply:
    """v1 names every problem in one message."""
    count = len(refusal.problems)
    lines = [f"{count} validation error{'s' if count > 1 else ''} for Request"]
    for problem in refusal.problems:
        words, kind = line(problem)
        lines.append(" -> ".join([problem.where, *map(str, problem.path)]))
        lines.append(f"  {words} (type={kind})")
    return envelope(400, "\n".join(lines))


def wrong_content_type(_: errors.UnsupportedContentType) -> ErrorReply:
    """v1 read any body, and then missed the object in it."""
    return invalid(Invalid(Problem((), "type", expected="an object", actual="")))


# ---------------------------------------------------------------- the table

V2_ONLY = {"delete_message", *openai_v2.UPLOADS, *openai_v2.VECTOR_STORES}
OPERATIONS = {*openai_v2.operations()} - V2_ONLY
ASSISTANT_FILES = {
    "create_assistant_file",
    "list_assistant_files",
    "retrieve_assistant_file",
    "delete_assistant_file",
}
MESSAGE_FILES = {"list_message_files", "retrieve_message_file"}

DIALECT = Dialect(
    name="openai_v1",
    operations=frozenset(OPERATIONS | ASSISTANT_FILES | MESSAGE_FILES),
    bodies={
        "create_assistant": Body(assistants_v1.CreateAssistant, assistants_v1.new_assistant),
        "modify_assistant": Body(assistants_v1.ModifyAssistant, assistants_v1.assistant_change),
        "create_assistant_file": Body(assistants_v1.CreateAssistantFile, assistants_v1.attached_file),
        "create_thread": Body(CreateThread, new_thread),
        "modify_thread": Body(Modify, thread_change),
        "create_message": Body(CreateMessage, new_message),
        "modify_message": Body(Modify, metadata_change),
        "create_run": Body(runs_v1.CreateRun, runs_v1.new_run),
        "create_thread_and_run": Body(runs_v1.CreateThreadAndRun, runs_v1.new_thread_and_run),
        "modify_run": Body(Modify, metadata_change),
        "submit_tool_outputs": Body(runs.SubmitToolOutputs, runs.submitted),
    },
    id_prefixes={},
    assistant=assistants_v1.assistant,
    assistant_file=text_of,
    message=message,
    thread=thread,
    file=text_of,
    message_file=text_of,
    run=runs_v1.run,
    step=runs_v1.step,
    step_with_content=runs_v1.step,
    events=sse.writer(EVENTS),
    events_with_content=sse.writer(EVENTS),
    errors={**COMMON, Invalid: invalid, errors.UnsupportedContentType: wrong_content_type},
    answers={
        **of_assistants(assistants_v1.AssistantV1),
        **answers(ThreadV1, MessageV1, runs_v1.RunV1, runs_v1.RunStepV1),
    },
    error_shapes=OPENAI_ERRORS,
)
