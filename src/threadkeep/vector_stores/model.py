"""Vector stores, the files in them, and batches of these, as OpenAI v2 serves them. Reference: protocol
section 10.

The order of fields is the order on the wire, as the live service has it.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.metadata import Metadata

Attributes = dict[str, str | int | float | bool]
"""What a file in a store can be found by. Whole numbers stay whole."""
StoreStatus = Literal["expired", "in_progress", "completed"]
FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]
BatchStatus = Literal["in_progress", "completed", "cancelled", "failed"]
FailureCode = Literal["server_error", "unsupported_file", "invalid_file"]
Anchor = Literal["last_active_at"]
FILTERS: tuple[str, ...] = ("in_progress", "completed", "failed", "cancelled")
"""What lists of files can be narrowed to."""

SECONDS_A_DAY = 24 * 3600
HELPER_DAYS = 7
"""After so many days without use a store goes that a message's attachments or a helper made."""


class FileCounts(Struct, frozen=True, kw_only=True):
    """How many files of a store, or of a batch, are how far."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class ExpiresAfter(Struct, frozen=True, kw_only=True):
    """Days after the last use."""

    anchor: Anchor = "last_active_at"
    days: int


class VectorStore(Struct, frozen=True, kw_only=True):
    """One store as it stands at some moment. `usage_bytes` is what its files take together."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str | None = None
    description: str | None = None
    usage_bytes: int = 0
    file_counts: FileCounts = FileCounts()
    status: StoreStatus = "completed"
    expires_after: ExpiresAfter | None = None
    expires_at: int | None = None
    last_active_at: int
    metadata: Metadata = {}


class Chunking(Struct, frozen=True):
    """How long the pieces of a file are, and how far each reaches back into the one before, in tokens."""

    max_chunk_size_tokens: int = 800
    chunk_overlap_tokens: int = 400


class StaticChunking(Struct, frozen=True, tag_field="type", tag="static"):
    """The form in which chunking is shown; what `auto` stands for is shown too."""

    static: Chunking = Chunking()


class LastError(Struct, frozen=True):
    """Why a file could not be made searchable."""

    code: FailureCode
    message: str


class VectorStoreFile(Struct, frozen=True, kw_only=True):
    """A file in a store; its id is the file's own."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int = 0
    created_at: int
    vector_store_id: str
    status: FileStatus = "in_progress"
    last_error: LastError | None = None
    chunking_strategy: StaticChunking = StaticChunking()
    attributes: Attributes = {}


class FileBatch(Struct, frozen=True, kw_only=True):
    """Files that were put into a store together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    status: BatchStatus = "in_progress"
    vector_store_id: str
    file_counts: FileCounts = FileCounts()


class FileContent(Struct, frozen=True):
    """One piece of a file's text."""

    type: Literal["text"]
    text: str


class FileContents(Struct, frozen=True, kw_only=True):
    """A file's text, piece by piece, as it is searched; all of it is one page."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[FileContent]
    has_more: bool = False
    next_page: str | None = None


# ---------------------------------------------------------------- what clients ask for


class NewFile(Struct, frozen=True):
    """A file to be put into a store. Without `attributes` it keeps those that it may have there already."""

    file_id: str
    chunking: Chunking = Chunking()
    attributes: Attributes | None = None


class NewStore(Struct, frozen=True, kw_only=True):
    """A store to be made. `expires_after` is in days."""

    name: str | None = None
    description: str | None = None
    files: list[NewFile] = []
    expires_after: int | None = None
    metadata: Metadata = {}


class StoreChange(Struct, frozen=True, kw_only=True):
    """What is to be changed: UNSET leaves a thing as it is, and so does None for the metadata; None clears
    the others. `expires_after` is in days."""

    name: str | UnsetType | None = UNSET
    expires_after: int | UnsetType | None = UNSET
    metadata: Metadata | None = None


# ---------------------------------------------------------------- work on files


class Claim(Struct, frozen=True):
    """A file that is one process's to make searchable, for a time."""

    store_id: str
    file_id: str
    owner: str
    attempt: int

    @property
    def id(self) -> str:
        return key_of(self.store_id, self.file_id)


class Ingestion(Struct, frozen=True, kw_only=True):
    """A file as it was claimed, and all that its work takes."""

    claim: Claim
    project_id: str
    store_id: str
    file_id: str
    filename: str
    bytes: int
    sha256: str
    max_tokens: int
    overlap_tokens: int
    tries: int
    """How many claims there were before this one and with it, but those that were given back."""
    put_off_since: int | None


def key_of(store_id: str, file_id: str) -> str:
    """The name of a piece of work."""
    return f"{store_id}/{file_id}"


# ---------------------------------------------------------------- rules


def expiry(last_active_at: int, days: int | None) -> int | None:
    """When a store expires that was last used then."""
    return None if days is None else last_active_at + days * SECONDS_A_DAY


def status_of_store(counts: FileCounts, expires_at: int | None, now: int) -> StoreStatus:
    if expires_at is not None and expires_at <= now:
        return "expired"
    return "in_progress" if counts.in_progress else "completed"


def status_of_batch(counts: FileCounts, is_cancelled: bool) -> BatchStatus:
    """A batch is over when all of its files are, and cancelled where that kept one from its end."""
    if counts.in_progress:
        return "in_progress"
    return "cancelled" if is_cancelled else "completed"


class Change(Struct, frozen=True):
    """What is to be added to the numbers of a store or a batch."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    usage_bytes: int = 0

    def __add__(self, other: "Change") -> "Change":
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Change(*(one + another for one, another in zip(mine, others, strict=True)))


def moved(old: FileStatus | None, new: FileStatus | None, usage_bytes: int = 0) -> Change:
    """A file was this and is that; None where it is not there. `usage_bytes` is what it takes more."""
    numbers: dict[str, int] = {}
    if new is not None:
        numbers[new] = 1
    if old is not None:
        numbers[old] = numbers.get(old, 0) - 1
    return Change(usage_bytes=usage_bytes, **numbers)


attributes_of = msgspec.json.Decoder(Attributes).decode
metadata_of = msgspec.json.Decoder(Metadata).decode


def text_of(value: Any) -> str:
    """JSON text as it is stored."""
    return msgspec.json.encode(value).decode()
