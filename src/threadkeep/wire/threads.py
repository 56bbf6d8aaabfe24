"""Bodies of threads, v2, and what tools are given in any body. Reference: protocol section 3."""

from typing import Annotated

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
from threadkeep.vector_stores.model import HELPER_DAYS, NewFile, NewStore
from threadkeep.wire.shapes import CreateMessageV2, new_message
from threadkeep.wire.vector_stores import ChunkingBody, chunking_of

MAX_CODE_FILES = 20
MAX_SEARCHED_FILES = 10_000


class CodeFiles(Struct, frozen=True, forbid_unknown_fields=True):
    file_ids: Annotated[list[str], Meta(max_length=MAX_CODE_FILES)] | None = None


StoreIds = Annotated[list[str], Meta(max_length=1)]


class StoreToMake(Struct, frozen=True, forbid_unknown_fields=True):
    file_ids: Annotated[list[str], Meta(max_length=MAX_SEARCHED_FILES)] | None = None
    chunking_strategy: ChunkingBody | None = None
    metadata: CheckedMetadata | None = None


class SearchStores(Struct, frozen=True, forbid_unknown_fields=True):
    vector_store_ids: StoreIds | None = None


class NewSearchStores(Struct, frozen=True, forbid_unknown_fields=True):
    """A store by its id, or one to be made."""

    vector_store_ids: StoreIds | None = None
    vector_stores: Annotated[list[StoreToMake], Meta(max_length=1)] | None = None


class Resources(Struct, frozen=True, forbid_unknown_fields=True):
    code_interpreter: CodeFiles | None = None
    file_search: SearchStores | None = None


class NewResources(Struct, frozen=True, forbid_unknown_fields=True):
    """What tools are given where a thread or an assistant is made."""

    code_interpreter: CodeFiles | None = None
    file_search: NewSearchStores | None = None


class CreateThread(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[CreateMessageV2] | None = None
    metadata: CheckedMetadata | None = None
    tool_resources: NewResources | None = None


class ModifyThread(Struct, frozen=True, forbid_unknown_fields=True):
    metadata: CheckedMetadata | None = None
    tool_resources: Resources | None = None


def new_thread(body: CreateThread) -> NewThread:
    return NewThread(
        [new_message(one) for one in body.messages or []],
        body.metadata or {},
        resources(body.tool_resources),
        store_to_make(body.tool_resources, HELPER_DAYS),
    )


def thread_change(body: ModifyThread) -> ThreadChange:
    return ThreadChange(body.metadata, resources(body.tool_resources) if body.tool_resources else None)


def resources(given: Resources | NewResources | None) -> ToolResources:
    """Tools that are given nothing are left out."""
    if given is None:
        return ToolResources()
    files = given.code_interpreter.file_ids if given.code_interpreter else None
    stores = given.file_search.vector_store_ids if given.file_search else None
    return ToolResources(
        CodeInterpreterResources(list(dict.fromkeys(files))) if files else UNSET,
        FileSearchResources(stores) if stores else UNSET,
    )


MAKES_STORES = ("tool_resources", "file_search", "vector_stores")


def store_to_make(given: NewResources | None, days: int | None) -> NewStore | None:
    """The vector store that is asked for, which goes after so many days without use; None where none is.

    Raises `Invalid` where there would be two.
    """
    if given is None or given.file_search is None or not given.file_search.vector_stores:
        return None
    if given.file_search.vector_store_ids:
        raise Invalid(Problem(MAKES_STORES, "exclusive", expected="vector_store_ids"))
    [body] = given.file_search.vector_stores
    chunking = chunking_of(body.chunking_strategy, (*MAKES_STORES, 0))
    files = [NewFile(id, chunking) for id in dict.fromkeys(body.file_ids or [])]
    return NewStore(files=files, expires_after=days, metadata=body.metadata or {})
