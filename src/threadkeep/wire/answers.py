"""What operations answer with, as Structs: the material of GET /openapi.json.

Answers are written as text from stored JSON, so nothing here runs when one is made; the suite holds
them together (schemathesis compares what is answered with what is described).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.assistants.model import AssistantFile
from threadkeep.files.model import File
from threadkeep.messages.model import MessageFile
from threadkeep.search.model import SearchResults
from threadkeep.uploads.model import Upload, UploadPart
from threadkeep.vector_stores.model import FileBatch, FileContents, VectorStore, VectorStoreFile


class Error(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class FileErrorDetail(Struct, frozen=True):
    message: str
    code: None


class ErrorResponse(Struct, frozen=True):
    """What went wrong, as OpenAI puts it. `detail` stands in errors of the Files API only."""

    error: Error
    detail: FileErrorDetail | UnsetType = UNSET


class RubraError(Struct, frozen=True):
    """What went wrong, as FastAPI puts it."""

    detail: str


class RubraProblem(Struct, frozen=True):
    """One broken rule. `loc` begins with `body` or `query` and leads to the value."""

    loc: list[str | int]
    msg: str
    type: str


class RubraValidationError(Struct, frozen=True):
    """Every broken rule of a request."""

    detail: list[RubraProblem]


REFUSALS = (400, 401, 404, 405, 409, 413, 416, 500, 503)
"""Statuses that every dialect has."""
OPENAI_ERRORS: Mapping[int, type[Struct]] = dict.fromkeys((*REFUSALS, 403), ErrorResponse)
RUBRA_ERRORS: Mapping[int, type[Struct]] = {**dict.fromkeys(REFUSALS, RubraError), 422: RubraValidationError}


class Deleted(Struct, frozen=True):
    """What was removed."""

    id: str
    object: str
    deleted: Literal[True]


class Model(Struct, frozen=True):
    """Something to run on. `created` is 0 where that is not known."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ListOfModels(Struct, frozen=True):
    """Every model there is; this list has no pages."""

    object: Literal["list"]
    data: list[Model]


@cache
def list_of(item: type[Struct]) -> type[Struct]:
    """A page of objects; null at both ends where it is empty."""
    return msgspec.defstruct(
        f"ListOf{item.__name__}",
        [
            ("object", Literal["list"]),
            ("data", list[item]),  # type: ignore[valid-type]  # made at run time
            ("first_id", str | None),
            ("last_id", str | None),
            ("has_more", bool),
        ],
        frozen=True,
    )


def of_assistants(assistant: type[Struct]) -> Mapping[str, Any]:
    """What each operation on assistants answers with where all goes well."""
    return {
        "create_assistant": assistant,
        "list_assistants": list_of(assistant),
        "retrieve_assistant": assistant,
        "modify_assistant": assistant,
        "delete_assistant": Deleted,
        "create_assistant_file": AssistantFile,
        "list_assistant_files": list_of(AssistantFile),
        "retrieve_assistant_file": AssistantFile,
        "delete_assistant_file": Deleted,
    }


OF_UPLOADS: Mapping[str, Any] = {
    "create_upload": Upload,
    "add_upload_part": UploadPart,
    "complete_upload": Upload,
    "cancel_upload": Upload,
}

OF_VECTOR_STORES: Mapping[str, Any] = {
    "create_vector_store": VectorStore,
    "list_vector_stores": list_of(VectorStore),
    "retrieve_vector_store": VectorStore,
    "modify_vector_store": VectorStore,
    "delete_vector_store": Deleted,
    "create_vector_store_file": VectorStoreFile,
    "list_vector_store_files": list_of(VectorStoreFile),
    "retrieve_vector_store_file": VectorStoreFile,
    "modify_vector_store_file": VectorStoreFile,
    "delete_vector_store_file": Deleted,
    "retrieve_vector_store_file_content": FileContents,
    "create_vector_store_file_batch": FileBatch,
    "retrieve_vector_store_file_batch": FileBatch,
    "cancel_vector_store_file_batch": FileBatch,
    "list_vector_store_file_batch_files": list_of(VectorStoreFile),
    "search_vector_store": SearchResults,
}
"""What each operation on vector stores answers with where all goes well."""


STREAMED = frozenset({"create_run", "create_thread_and_run", "submit_tool_outputs"})
"""Operations that answer with events where the body says `stream`."""


def answers(
    thread: type[Struct], message: type[Struct], run: type[Struct], step: type[Struct]
) -> Mapping[str, Any]:
    """What each operation answers with where all goes well, in a dialect with these forms."""
    return {
        "upload_file": File,
        "list_files": list_of(File),
        "retrieve_file": File,
        "delete_file": Deleted,
        "download_file": bytes,
        "create_thread": thread,
        "list_threads": list_of(thread),
        "retrieve_thread": thread,
        "modify_thread": thread,
        "delete_thread": Deleted,
        "create_message": message,
        "list_messages": list_of(message),
        "retrieve_message": message,
        "modify_message": message,
        "delete_message": Deleted,
        "create_run": run,
        "create_thread_and_run": run,
        "list_runs": list_of(run),
        "retrieve_run": run,
        "modify_run": run,
        "submit_tool_outputs": run,
        "cancel_run": run,
        "list_run_steps": list_of(step),
        "retrieve_run_step": step,
        "list_message_files": list_of(MessageFile),
        "retrieve_message_file": MessageFile,
        "list_models": ListOfModels,
        "retrieve_model": Model,
        "delete_model": Deleted,
    }
