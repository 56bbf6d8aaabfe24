"""OpenAI v2: the form that the domain speaks. Reference: protocol sections 1 to 4."""

from collections.abc import Callable, Iterator, Sequence

from threadkeep import errors
from threadkeep.assistants.model import Assistant
from threadkeep.engine.events import Event
from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import Message
from threadkeep.runs.model import Run, RunStep
from threadkeep.threads.model import Thread
from threadkeep.wire import assistants, runs, search, sse, uploads, vector_stores
from threadkeep.wire.answers import OF_UPLOADS, OF_VECTOR_STORES, OPENAI_ERRORS, answers, of_assistants
from threadkeep.wire.base import Body, Dialect, ErrorReply, text_of
from threadkeep.wire.check import shortened, type_name
from threadkeep.wire.citations import QUOTE, body_without_quotes, without_quotes
from threadkeep.wire.openai_errors import COMMON, envelope
from threadkeep.wire.shapes import CreateMessageV2, ModifyMetadata, metadata_change, new_message
from threadkeep.wire.threads import CreateThread, ModifyThread, new_thread, thread_change

# ---------------------------------------------------------------- errors


def dotted(path: tuple[str | int, ...]) -> str:
    """`content[0].image_url.detail`"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def choices(values: tuple[str, ...]) -> str:
    """`'a', 'b', and 'c'`"""
    names = [f"'{value}'" for value in values]
    if len(names) == 1:
        return f"Value must be {names[0]}."
    last = f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} and {names[-1]}"
    return f"Supported values are: {last}."


def size(what: str, bound: str, words: str) -> tuple[str, str]:
    """Message and code of a string or array that is too long or too short."""
    return (
        f"Invalid '{{param}}': {what} too {words}. Expected {a(what)} with {bound} length {{limit}}, "
        f"but got {a(what)} with length {{actual}} instead.",
        f"{what}_{'above_max' if bound == 'maximum' else 'below_min'}_length",
    )


def a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def empty(what: str) -> tuple[str, str]:
    return (
        f"Invalid '{{param}}': empty {what}. Expected {a(what)} with minimum length {{limit}}, "
        f"but got an empty {what} instead.",
        f"empty_{what}",
    )


WORDS: dict[str, tuple[str, str]] = {
    "missing": ("Missing required parameter: '{param}'.", "missing_required_parameter"),
    "unknown": ("Unknown parameter: '{param}'.", "unknown_parameter"),
    "exclusive": ("'{param}' cannot be given together with '{expected}'.", "mutually_exclusive_parameters"),
    "type": ("Invalid type for '{param}': expected {expected}, but got {got} instead.", "invalid_type"),
    "enum": ("Invalid value: '{actual}'. {choices}", "invalid_value"),
    "pattern": (
        "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
        "'{expected}'.",
        "invalid_value",
    ),
    "url": (
        "Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.",
        "invalid_value",
    ),
    "surrogate": (
        "Invalid '{param}': the string holds half of a surrogate pair, which is not Unicode text.",
        "invalid_value",
    ),
    "string_too_long": size("string", "maximum", "long"),
    "string_too_short": empty("string"),
    "array_too_long": size("array", "maximum", "long"),
    "array_too_short": empty("array"),
    "properties_too_many": (
        "Invalid '{param}': too many properties. Expected an object with at most {limit} properties, "
        "but got an object with {actual} properties instead.",
        "object_above_max_properties",
    ),
    "name_too_long": (
        "Invalid property name in '{parent}': '{name}' is too long. Expected a string with maximum length "
        "{limit}, but got a string with length {actual} instead.",
        "property_name_above_max_length",
    ),
    "integer_too_big": (
        "Invalid '{param}': integer above maximum value. Expected a value <= {limit}, but got {actual} "
        "instead.",
        "integer_above_max_value",
    ),
    "integer_too_small": (
        "Invalid '{param}': integer below minimum value. Expected a value >= {limit}, but got {actual} "
        "instead.",
        "integer_below_min_value",
    ),
    "decimal_too_big": (
        "Invalid '{param}': decimal above maximum value. Expected a value <= {limit}, but got {actual} "
        "instead.",
        "decimal_above_max_value",
    ),
    "decimal_too_small": (
        "Invalid '{param}': decimal below minimum value. Expected a value >= {limit}, but got {actual} "
        "instead.",
        "decimal_below_min_value",
    ),
    "with_files": ("Invalid parameter: '{param}' cannot be given beside 'files'.", "invalid_value"),
    "comparisons_too_many": (
        "Invalid '{param}': too many comparisons. Expected at most {limit}, but got {actual} instead.",
        "invalid_value",
    ),
    "filters_too_deep": (
        "Invalid '{param}': filters too deep in each other. Expected a depth of at most {limit}, but got "
        "{actual} instead.",
        "invalid_value",
    ),
    "thread_full": ("A thread of this server holds at most {limit} messages.", "thread_full"),
}
"""What each kind of problem is called, and its code."""


ORDER = ["missing", "unknown"]
"""Kinds of problems in the order in which the service looks for them; all others follow."""


def turn(problem: Problem) -> int:
    return ORDER.index(problem.kind) if problem.kind in ORDER else len(ORDER)


def invalid(refusal: Invalid) -> ErrorReply:
    """v2 names the first problem."""
    problem = min(refusal.problems, key=turn)
    words, code = WORDS[problem.kind]
    path = problem.path
    message = words.format(
        param=dotted(path) or "body",
        parent=dotted(path[:-1]),
        name=shortened(str(path[-1])) if path else "",
        expected=problem.expected,
        got=type_name(problem.actual) if problem.kind == "type" else "",
        actual=problem.actual,
        choices=choices(problem.choices) if problem.choices else "",
        limit=problem.limit,
    )
    if not path and problem.kind == "type":
        message = (
            f"Invalid type for the request body: expected an object, but got {type_name(problem.actual)}."
        )
    return envelope(400, message, dotted(path) or None, code)


def wrong_prefix(problem: errors.WrongPrefix) -> ErrorReply:
    return envelope(
        400,
        f"Invalid '{problem.param}': '{problem.id}'. Expected an ID that begins with '{problem.prefix}'.",
        problem.param,
        "invalid_value",
    )


# ---------------------------------------------------------------- the table

ASSISTANTS = (
    "create_assistant",
    "list_assistants",
    "retrieve_assistant",
    "modify_assistant",
    "delete_assistant",
)
THREADS = ("create_thread", "list_threads", "retrieve_thread", "modify_thread", "delete_thread")
MESSAGES = ("create_message", "list_messages", "retrieve_message", "modify_message", "delete_message")
RUNS = (
    "create_run",
    "create_thread_and_run",
    "list_runs",
    "retrieve_run",
    "modify_run",
    "submit_tool_outputs",
    "cancel_run",
    "list_run_steps",
    "retrieve_run_step",
)
VECTOR_STORES = (
    "create_vector_store",
    "list_vector_stores",
    "retrieve_vector_store",
    "modify_vector_store",
    "delete_vector_store",
    "create_vector_store_file",
    "list_vector_store_files",
    "retrieve_vector_store_file",
    "modify_vector_store_file",
    "delete_vector_store_file",
    "retrieve_vector_store_file_content",
    "create_vector_store_file_batch",
    "retrieve_vector_store_file_batch",
    "cancel_vector_store_file_batch",
    "list_vector_store_file_batch_files",
    "search_vector_store",
)
FILES = ("upload_file", "list_files", "retrieve_file", "delete_file", "download_file")
UPLOADS = ("create_upload", "add_upload_part", "complete_upload", "cancel_upload")
MODELS = ("list_models", "retrieve_model", "delete_model")


def operations() -> Iterator[str]:
    yield from ASSISTANTS
    yield from THREADS
    yield from MESSAGES
    yield from RUNS
    yield from FILES
    yield from VECTOR_STORES
    yield from UPLOADS
    yield from MODELS


def message_in_stream(told: Message) -> str:
    return text_of(without_quotes(told))


def events_with(step: Callable[[RunStep], str]) -> Callable[[Sequence[Event]], bytes]:
    """How events are written, with steps like this."""
    return sse.writer(sse.forms(text_of, message_in_stream, runs.run_in_stream, step))


DIALECT = Dialect(
    name="openai_v2",
    operations=frozenset(operations()),
    bodies={
        "create_upload": Body(uploads.CreateUpload, uploads.new_upload),
        "complete_upload": Body(uploads.CompleteUpload, uploads.completion),
        "search_vector_store": Body(search.SearchVectorStore, search.query_of),
        "create_assistant": Body(assistants.CreateAssistant, assistants.new_assistant),
        "modify_assistant": Body(assistants.ModifyAssistant, assistants.assistant_change),
        "create_thread": Body(CreateThread, new_thread),
        "modify_thread": Body(ModifyThread, thread_change),
        "create_message": Body(CreateMessageV2, new_message),
        "modify_message": Body(ModifyMetadata, metadata_change),
        "create_run": Body(runs.CreateRun, runs.new_run),
        "create_thread_and_run": Body(runs.CreateThreadAndRun, runs.new_thread_and_run),
        "modify_run": Body(ModifyMetadata, metadata_change),
        "submit_tool_outputs": Body(runs.SubmitToolOutputs, runs.submitted),
        "create_vector_store": Body(vector_stores.CreateVectorStore, vector_stores.new_store),
        "modify_vector_store": Body(vector_stores.ModifyVectorStore, vector_stores.store_change),
        "create_vector_store_file": Body(vector_stores.CreateVectorStoreFile, vector_stores.new_file),
        "modify_vector_store_file": Body(vector_stores.ModifyVectorStoreFile, vector_stores.new_attributes),
        "create_vector_store_file_batch": Body(
            vector_stores.CreateVectorStoreFileBatch, vector_stores.new_batch
        ),
    },
    id_prefixes={
        "assistant_id": "asst",
        "thread_id": "thread",
        "message_id": "msg",
        "run_id": "run",
        "vector_store_id": "vs",
        "batch_id": "vsfb",
        "upload_id": "upload",
    },
    assistant=lambda stored: stored.body,  # already in this form
    assistant_file=text_of,
    message=body_without_quotes,
    messages_change_with=QUOTE,
    thread=text_of,
    file=text_of,
    message_file=text_of,
    run=runs.run,
    step=runs.step,
    step_with_content=runs.step_with_content,
    events=events_with(runs.step_in_stream),
    events_with_content=events_with(runs.step_in_stream_with_content),
    errors={**COMMON, Invalid: invalid, errors.WrongPrefix: wrong_prefix},
    answers={
        **of_assistants(Assistant),
        **OF_UPLOADS,
        **OF_VECTOR_STORES,
        **answers(Thread, Message, Run, RunStep),
    },
    error_shapes=OPENAI_ERRORS,
)
