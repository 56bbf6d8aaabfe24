"""Rubra's form: `_id` beside `id`, and validation as 422 `detail[]`.

Reference: Rubra's "Create Message" page. Errors other than validation are FastAPI's
`{"detail": "..."}`, since Rubra was built on it.
"""

import hashlib
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from threadkeep import errors
from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import (
    MAX_MESSAGE_FILES,
    NewMessage,
    TextPart,
    message_files_of,
    message_of,
    plain_text,
)
from threadkeep.metadata import CheckedMetadata, Metadata
from threadkeep.runs.model import Run, RunStep
from threadkeep.threads.model import NewThread, Thread, ThreadChange
from threadkeep.wire import openai_v1, openai_v2, runs, sse
from threadkeep.wire.answers import RUBRA_ERRORS, answers
from threadkeep.wire.base import Body, Dialect, ErrorReply, text_of
from threadkeep.wire.openai_errors import COMMON
from threadkeep.wire.shapes import (
    ModifyMetadata,
    attachments_of,
    metadata_change,
)

LONGEST_CONTENT = 32_768

# ---------------------------------------------------------------- bodies


class CreateMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Literal["user"]
    content: Annotated[str, Meta(min_length=1, max_length=LONGEST_CONTENT)]
    file_ids: Annotated[list[str], Meta(max_length=MAX_MESSAGE_FILES)] | None = None
    metadata: CheckedMetadata | None = None


class CreateThread(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[CreateMessage] | None = None
    metadata: CheckedMetadata | None = None


def new_message(body: CreateMessage) -> NewMessage:
    attachments = attachments_of(body.file_ids or [])
    return NewMessage(body.role, plain_text(body.content), attachments, body.metadata or {})


def new_thread(body: CreateThread) -> NewThread:
    return NewThread([new_message(one) for one in body.messages or []], body.metadata or {})


def thread_change(body: ModifyMetadata) -> ThreadChange:
    return ThreadChange(body.metadata)


# ---------------------------------------------------------------- objects


def object_id(created_at: int, id: str) -> str:
    """A MongoDB ObjectID made from the object itself: the same on every read, stored nowhere."""
    return f"{created_at & 0xFFFFFFFF:08x}{hashlib.blake2b(id.encode(), digest_size=8).hexdigest()}"


class RubraMessage(Struct, frozen=True, kw_only=True, rename={"object_id": "_id"}):
    object_id: str
    id: str
    object: Literal["thread.message"]
    created_at: int
    thread_id: str
    role: Literal["user", "assistant", "tool_call", "tool_output"]
    content: list[TextPart]
    assistant_id: str | None
    run_id: str | None
    file_ids: list[str]
    metadata: Metadata


def message(body: str) -> str:
    stored = message_of(body)
    return text_of(
        RubraMessage(
            object_id=object_id(stored.created_at, stored.id),
            id=stored.id,
            object=stored.object,
            created_at=stored.created_at,
            thread_id=stored.thread_id,
            role=stored.role,
            content=openai_v1.texts_of(stored),
            assistant_id=stored.assistant_id,
            run_id=stored.run_id,
            file_ids=message_files_of(stored),
            metadata=stored.metadata,
        )
    )


class RubraThread(Struct, frozen=True, kw_only=True, rename={"object_id": "_id"}):
    object_id: str
    id: str
    object: Literal["thread"]
    created_at: int
    metadata: Metadata


def thread(stored: Thread) -> str:
    return text_of(
        RubraThread(
            object_id=object_id(stored.created_at, stored.id),
            id=stored.id,
            object=stored.object,
            created_at=stored.created_at,
            metadata=stored.metadata,
        )
    )


# ---------------------------------------------------------------- errors

TYPES = {
    "a string": ("Input should be a valid string", "string_type"),
    "an integer": ("Input should be a valid integer, unable to parse string as an integer", "int_parsing"),
    "an object": (
        "Input should be a valid dictionary or object to extract fields from",
        "model_attributes_type",
    ),
    "an array of strings": ("Input should be a valid list", "list_type"),
    "an array of objects": ("Input should be a valid list", "list_type"),
}


def finding(problem: Problem) -> tuple[str, str]:
    """The message and type of one problem, as pydantic words it."""
    limit, actual = problem.limit, problem.actual
    match problem.kind:
        case "missing":
            return "Field required", "missing"
        case "unknown":
            return "Extra inputs are not permitted", "extra_forbidden"
        case "type" if problem.expected == "an object" and problem.path[-1:] == ("metadata",):
            return "Input should be a valid dictionary", "dict_type"
        case "type" if not problem.choices:
            return TYPES.get(problem.expected, TYPES["a string"])
        case "type" | "enum":
            names = [f"'{value}'" for value in problem.choices]
            return f"Input should be {' or '.join(names)}", "enum"
        case "string_too_long" | "name_too_long":
            return f"String should have at most {limit} characters", "string_too_long"
        case "string_too_short":
            return f"String should have at least {limit} character", "string_too_short"
        case "array_too_long":
            return f"List should have at most {limit} items after validation, not {actual}", "too_long"
        case "properties_too_many":
            return f"Dictionary should have at most {limit} items after validation, not more", "too_long"
        case "integer_too_big":
            return f"Input should be less than or equal to {limit}", "less_than_equal"
        case "integer_too_small":
            return f"Input should be greater than or equal to {limit}", "greater_than_equal"
        case "surrogate":
            return "Input should be a valid string, unable to parse raw data as a unicode string", (
                "string_unicode"
            )
    return openai_v2.WORDS[problem.kind][0].format(param=problem.path, limit=limit), "value_error"


def invalid(refusal: Invalid) -> ErrorReply:
    """Every broken field at once."""
    detail = []
    for problem in refusal.problems:
        words, kind = finding(problem)
        key = ["[key]"] if problem.kind == "name_too_long" else []
        detail.append({"loc": [problem.where, *problem.path, *key], "msg": words, "type": kind})
    return ErrorReply(422, {"detail": detail})


def malformed(problem: errors.MalformedJSON) -> ErrorReply:
    words = f"JSON decode error: {problem.detail}"
    return ErrorReply(422, {"detail": [{"loc": ["body"], "msg": words, "type": "json_invalid"}]})


def wrong_content_type(_: errors.UnsupportedContentType) -> ErrorReply:
    return invalid(Invalid(Problem((), "type", expected="an object", actual="")))


def in_fastapi_form(reply: Any) -> Any:
    """The same status, headers and words in FastAPI's envelope."""

    def rendered(problem: errors.ThreadkeepError) -> ErrorReply:
        original: ErrorReply = reply(problem)
        return ErrorReply(original.status, {"detail": original.body["error"]["message"]}, original.headers)

    return rendered


# ---------------------------------------------------------------- the table

OPERATIONS = {*openai_v2.THREADS, *openai_v2.MESSAGES, *openai_v2.FILES} - {"delete_message"}

DIALECT = Dialect(
    name="rubra",
    operations=frozenset(OPERATIONS),
    bodies={
        "create_thread": Body(CreateThread, new_thread),
        "modify_thread": Body(ModifyMetadata, thread_change),
        "create_message": Body(CreateMessage, new_message),
        "modify_message": Body(ModifyMetadata, metadata_change),
    },
    id_prefixes={},
    assistant=text_of,  # like files of assistants never asked for: there are no such operations
    assistant_file=text_of,
    message=message,
    thread=thread,
    file=text_of,
    message_file=text_of,
    run=runs.run,  # like steps and events never asked for: there are no such operations
    step=runs.step,
    step_with_content=runs.step_with_content,
    events=sse.writer({}),
    events_with_content=sse.writer({}),
    errors={
        **{kind: in_fastapi_form(reply) for kind, reply in COMMON.items()},
        Invalid: invalid,
        errors.MalformedJSON: malformed,
        errors.UnsupportedContentType: wrong_content_type,
    },
    answers=answers(RubraThread, RubraMessage, Run, RunStep),
    error_shapes=RUBRA_ERRORS,
)
