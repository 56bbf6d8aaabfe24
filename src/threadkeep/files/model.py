"""Files. Reference: protocol section 8."""

from typing import Literal, get_args

from msgspec import Struct

Purpose = Literal["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
"""What a client may upload a file for, in the order in which the service names them."""
KEPT = frozenset({"assistants", "user_data"})
"""Purposes whose content is not given out again."""
SHORTEST_LIFE, LONGEST_LIFE = 3600, 2_592_000
"""Seconds after which a file may be made to expire."""


class File(Struct, frozen=True, kw_only=True):
    """One file, in the order of the wire. `bytes` is its size; times are whole seconds since 1970."""

    object: Literal["file"] = "file"
    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None = None
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None


class StoredFile(Struct, frozen=True):
    """A file and the SHA-256 of its bytes."""

    file: File
    sha256: str


class Upload(Struct, frozen=True):
    """What came with the bytes of an upload."""

    purpose: str
    expires_after: int | None = None


def blob_key(project_id: str, file_id: str) -> str:
    """Where a file's bytes lie."""
    return f"{project_id}/{file_id}"
