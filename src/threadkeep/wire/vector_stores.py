"""Bodies of vector stores, of their files and of batches. Reference: protocol section 10.

Unknown keys are refused at the top of a body and passed over inside its parts. Null says nothing, but for
what a changed store may lose: its name and its expiry.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from threadkeep.errors import Invalid, Problem
from threadkeep.metadata import MAX_KEY, MAX_PAIRS, MAX_VALUE, CheckedMetadata
from threadkeep.vector_stores.model import (
    Anchor,
    Attributes,
    Chunking,
    NewFile,
    NewStore,
    StoreChange,
)

MAX_FILES_OF_NEW_STORE = 500
MAX_FILES_OF_BATCH = 2000

# ---------------------------------------------------------------- values

Name = Annotated[str, Meta(max_length=256)]
Description = Annotated[str, Meta(max_length=512)]
"""Both as assistants have them: the reference names no limits for stores, and lists show up to 100."""
Value = Annotated[str, Meta(max_length=MAX_VALUE)] | int | float | bool
CheckedAttributes = Annotated[
    dict[Annotated[str, Meta(max_length=MAX_KEY)], Value], Meta(max_length=MAX_PAIRS)
]
"""What files are found by, as a request may hold it."""


class ChunkSizes(Struct, frozen=True):
    """In tokens; at most half of a chunk may overlap."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=2048)]


class AutoChunking(Struct, frozen=True, tag_field="type", tag="auto"):
    """800 tokens with an overlap of 400."""


class StaticChunkingBody(Struct, frozen=True, tag_field="type", tag="static"):
    static: ChunkSizes


ChunkingBody = AutoChunking | StaticChunkingBody
Path = tuple[str | int, ...]


def chunking_of(body: ChunkingBody | None, path: Path = ()) -> Chunking:
    """How a file is cut. Raises `Invalid` where more than half of a chunk overlaps."""
    if not isinstance(body, StaticChunkingBody):
        return Chunking()
    size, overlap = body.static.max_chunk_size_tokens, body.static.chunk_overlap_tokens
    if overlap > size // 2:
        where = (*path, "chunking_strategy", "static", "chunk_overlap_tokens")
        raise Invalid(Problem(where, "integer_too_big", actual=overlap, limit=size // 2))
    return Chunking(size, overlap)


class ExpiresAfterBody(Struct, frozen=True):
    anchor: Anchor
    days: Annotated[int, Meta(ge=1, le=365)]


# ---------------------------------------------------------------- stores


class CreateVectorStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file_ids: Annotated[list[str], Meta(max_length=MAX_FILES_OF_NEW_STORE)] | None = None
    name: Name | None = None
    description: Description | None = None
    expires_after: ExpiresAfterBody | None = None
    chunking_strategy: ChunkingBody | None = None
    metadata: CheckedMetadata | None = None


class ModifyVectorStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType | None = UNSET
    expires_after: ExpiresAfterBody | UnsetType | None = UNSET
    metadata: CheckedMetadata | None = None


def new_store(body: CreateVectorStore) -> NewStore:
    chunking = chunking_of(body.chunking_strategy)
    return NewStore(
        name=body.name,
        description=body.description,
        files=[NewFile(id, chunking) for id in body.file_ids or []],
        expires_after=body.expires_after.days if body.expires_after else None,
        metadata=body.metadata or {},
    )


def store_change(body: ModifyVectorStore) -> StoreChange:
    after = body.expires_after
    return StoreChange(
        name=body.name,
        expires_after=after.days if isinstance(after, ExpiresAfterBody) else after,
        metadata=body.metadata,
    )


# ---------------------------------------------------------------- files


class CreateVectorStoreFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file_id: str
    chunking_strategy: ChunkingBody | None = None
    attributes: CheckedAttributes | None = None


class ModifyVectorStoreFile(Struct, frozen=True, forbid_unknown_fields=True):
    """Null takes all attributes away."""

    attributes: CheckedAttributes | None


def new_file(body: CreateVectorStoreFile) -> NewFile:
    return file_of(body, ())


def file_of(body: CreateVectorStoreFile, path: Path) -> NewFile:
    return NewFile(body.file_id, chunking_of(body.chunking_strategy, path), body.attributes)


def new_attributes(body: ModifyVectorStoreFile) -> Attributes:
    return body.attributes or {}


# ---------------------------------------------------------------- batches

Ids = Annotated[list[str], Meta(min_length=1, max_length=MAX_FILES_OF_BATCH)]
Files = Annotated[list[CreateVectorStoreFile], Meta(min_length=1, max_length=MAX_FILES_OF_BATCH)]


class CreateVectorStoreFileBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`file_ids`, all cut alike and with the same attributes; or `files`, each with its own, beside which
    what is given for all counts for nothing."""

    file_ids: Ids | None = None
    files: Files | None = None
    chunking_strategy: ChunkingBody | None = None
    attributes: CheckedAttributes | None = None


def new_batch(body: CreateVectorStoreFileBatch) -> list[NewFile]:
    """The files of a batch. Raises `Invalid` unless they come in one of the two ways."""
    if body.files is not None and body.file_ids is not None:
        raise Invalid(Problem(("file_ids",), "exclusive", expected="files"))
    if body.files is not None:
        return [file_of(one, ("files", index)) for index, one in enumerate(body.files)]
    if body.file_ids is None:
        raise Invalid(Problem(("file_ids",), "missing"))
    chunking = chunking_of(body.chunking_strategy)
    return [NewFile(id, chunking, body.attributes) for id in body.file_ids]
