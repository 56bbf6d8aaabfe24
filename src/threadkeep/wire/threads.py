"""Bodies of threads, v2, and what tools are given in any body. Reference: protocol section 3."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from threadkeep.errors import Invalid, Problem
from threadkeep.metadata import CheckedMetadata
from threadkeep.threads.model import (
    CodeInterpreterResources,
    FileSearchResources,
    NewThread,
    ThreadChange,
    ToolResources,
)
from threadkeep.wire.shapes import CreateMessageV2, new_message

MAX_CODE_FILES = 20


class CodeFiles(Struct, frozen=True, forbid_unknown_fields=True):
    file_ids: Annotated[list[str], Meta(max_length=MAX_CODE_FILES)] | None = None


NOT_YET = Meta(extra_json_schema={"maxItems": 0, "description": "Not served yet."})
"""What is read so that it can be refused by name."""


class SearchStores(Struct, frozen=True, forbid_unknown_fields=True):
    """Stores by id, or (on create only) one to be made."""

    vector_store_ids: Annotated[list[str], Meta(max_length=1)] | None = None
    vector_stores: Annotated[list[dict[str, Any]], NOT_YET] | None = None


class Resources(Struct, frozen=True, forbid_unknown_fields=True):
    code_interpreter: CodeFiles | None = None
    file_search: SearchStores | None = None


class CreateThread(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[CreateMessageV2] | None = None
    metadata: CheckedMetadata | None = None
    tool_resources: Resources | None = None


class ModifyThread(Struct, frozen=True, forbid_unknown_fields=True):
    metadata: CheckedMetadata | None = None
    tool_resources: Resources | None = None


def new_thread(body: CreateThread) -> NewThread:
    return NewThread(
        [new_message(one) for one in body.messages or []],
        body.metadata or {},
        resources(body.tool_resources) if body.tool_resources else ToolResources(),
    )


def thread_change(body: ModifyThread) -> ThreadChange:
    return ThreadChange(body.metadata, resources(body.tool_resources) if body.tool_resources else None)


def resources(given: Resources) -> ToolResources:
    """Tools that are given nothing are left out."""
    files = given.code_interpreter.file_ids if given.code_interpreter else None
    search = given.file_search
    if search and search.vector_stores:
        raise Invalid(Problem(("tool_resources", "file_search", "vector_stores"), "unsupported"))
    stores = search.vector_store_ids if search else None
    return ToolResources(
        CodeInterpreterResources(list(dict.fromkeys(files))) if files else UNSET,
        FileSearchResources(stores) if stores else UNSET,
    )
