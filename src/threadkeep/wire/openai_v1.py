"""OpenAI v1, over the same rows: `file_ids` where v2 has attachments. Reference: protocol section 1.7.

What v1 cannot say is left out of what it is shown (section 12.12); nothing stored changes by reading.
Validation errors are the texts of the validator that the service used then.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from threadkeep import errors
from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import (
    Attachment,
    IncompleteDetails,
    Message,
    NewMessage,
    Role,
    TextPart,
    file_ids_of,
    message_of,
)
from threadkeep.metadata import MAX_PAIRS, MAX_VALUE, Key, Metadata, Value
from threadkeep.threads.model import NewThread, Thread, ThreadChange
from threadkeep.wire import openai_v2
from threadkeep.wire.answers import OPENAI_ERRORS, answers
from threadkeep.wire.base import Body, Dialect, ErrorReply, text_of
from threadkeep.wire.openai_errors import COMMON, envelope
from threadkeep.wire.shapes import MAX_MESSAGE_FILES, Content, attachments_of, parts_of

# ---------------------------------------------------------------- bodies

V1Metadata = Annotated[dict[Key, Value | int | float | bool], Meta(max_length=MAX_PAIRS)]
"""v1 turned other scalars into strings."""


class CreateMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content parts and attachments are v2's; they are taken here too, since some clients send the old
    header with the new body (KNIME's node lets its user choose)."""

    role: Role
    content: Content
    file_ids: Annotated[list[str], Meta(max_length=MAX_MESSAGE_FILES)] | None = None
    attachments: list[Attachment] | None = None
    metadata: V1Metadata | None = None


class CreateThread(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[CreateMessage] | None = None
    metadata: V1Metadata | None = None


class Modify(Struct, frozen=True, forbid_unknown_fields=True):
    metadata: V1Metadata | None = None


def new_message(body: CreateMessage) -> NewMessage:
    attachments = attachments_of(body.file_ids or []) + (body.attachments or [])
    return NewMessage(body.role, parts_of(body.content), attachments, strings(body.metadata) or {})


def new_thread(body: CreateThread) -> NewThread:
    return NewThread([new_message(one) for one in body.messages or []], strings(body.metadata) or {})


def metadata_change(body: Modify) -> Metadata | None:
    return strings(body.metadata)


def thread_change(body: Modify) -> ThreadChange:
    return ThreadChange(strings(body.metadata))


def strings(metadata: dict[str, str | int | float | bool] | None) -> Metadata | None:
    """Every value as v1 wrote it: `True`, `1`, `1.5`."""
    if metadata is None:
        return None
    written = {key: str(value) for key, value in metadata.items()}
    for key, value in written.items():
        if len(value) > MAX_VALUE:
            problem = Problem(("metadata", key), "string_too_long", actual=len(value), limit=MAX_VALUE)
            raise Invalid(problem)
    return written


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
    return MessageV1(file_ids=file_ids_of(stored)[:MAX_MESSAGE_FILES], **values)


class ThreadV1(Struct, frozen=True):
    id: str
    object: Literal["thread"]
    created_at: int
    metadata: Metadata


def thread(stored: Thread) -> str:
    return text_of(ThreadV1(stored.id, stored.object, stored.created_at, stored.metadata))


# ---------------------------------------------------------------- errors

TYPES = {
    "a string": ("str type expected", "type_error.str"),
    "an integer": ("value is not a valid integer", "type_error.integer"),
    "an object": ("value is not a valid dict", "type_error.dict"),
    "an array": ("value is not a valid list", "type_error.list"),
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
        case "type":
            return TYPES.get(problem.expected, TYPES["a string"])
        case "enum":
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
        case "integer_too_big":
            words = f"ensure this value is less than or equal to {limit}"
            return words, f"value_error.number.not_le; limit_value={limit}"
        case "integer_too_small":
            words = f"ensure this value is greater than or equal to {limit}"
            return words, f"value_error.number.not_ge; limit_value={limit}"
        case "pattern":
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

OPERATIONS = {*openai_v2.THREADS, *openai_v2.MESSAGES, *openai_v2.FILES} - {"delete_message"}
MESSAGE_FILES = {"list_message_files", "retrieve_message_file"}

DIALECT = Dialect(
    name="openai_v1",
    operations=frozenset(OPERATIONS | MESSAGE_FILES),
    bodies={
        "create_thread": Body(CreateThread, new_thread),
        "modify_thread": Body(Modify, thread_change),
        "create_message": Body(CreateMessage, new_message),
        "modify_message": Body(Modify, metadata_change),
    },
    id_prefixes={},
    message=message,
    thread=thread,
    file=text_of,
    message_file=text_of,
    errors={**COMMON, Invalid: invalid, errors.UnsupportedContentType: wrong_content_type},
    answers=answers(ThreadV1, MessageV1),
    error_shapes=OPENAI_ERRORS,
)
