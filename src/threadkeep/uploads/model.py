"""Uploads and their parts. Reference: protocol section 9."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from threadkeep.errors import WrongCompletion
from threadkeep.files.model import File

LARGEST = 8 * 1024**3
"""Bytes that an upload may have in all."""
LARGEST_PART = 64 * 1024**2
MAX_PARTS = 10_000
"""Parts that an upload may have, whether they are used in the end or not."""
OPEN_FOR = 3600
"""Seconds that an upload waits for its parts and its completion."""

Status = Literal["pending", "completed", "cancelled", "expired"]


class Upload(Struct, frozen=True, kw_only=True):
    """One upload, in the order of the wire. `bytes` is what was announced; `file` is there once it is
    completed. Times are whole seconds since 1970."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Status = "pending"
    expires_at: int
    file: File | UnsetType = UNSET


class StoredUpload(Struct, frozen=True):
    """An upload, and how many seconds its file is to live (None: for ever)."""

    upload: Upload
    file_expires_after: int | None


class UploadPart(Struct, frozen=True, kw_only=True):
    """One part, in the order of the wire."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


class StoredPart(Struct, frozen=True):
    """What is known of a part's bytes, which lie in a blob under its id."""

    id: str
    bytes: int
    sha256: str


class NewUpload(Struct, frozen=True):
    """What an upload is created from."""

    filename: str
    purpose: str
    bytes: int
    file_expires_after: int | None = None


class Completion(Struct, frozen=True):
    """The parts that make the file, in its order, and the MD5 of the whole in hexadecimal, if it was told."""

    part_ids: Sequence[str]
    md5: str | None = None


def sweep_item(project_id: str, upload_id: str) -> str:
    """What an upload is called where its end is planned."""
    return f"{project_id}/{upload_id}"


def chosen(parts: Mapping[str, StoredPart], part_ids: Sequence[str], size: int) -> list[StoredPart]:
    """The parts that a completion names, in its order. Raises `WrongCompletion`."""
    seen: set[str] = set()
    for id in part_ids:
        if id not in parts:
            raise WrongCompletion(f"Invalid 'part_ids': this upload has no part '{id}'.", "part_ids")
        if id in seen:
            raise WrongCompletion(
                f"Invalid 'part_ids': the part '{id}' is named twice. Each part may be used once.", "part_ids"
            )
        seen.add(id)
    together = sum(parts[id].bytes for id in part_ids)
    if together != size:
        raise WrongCompletion(
            f"Invalid 'part_ids': the upload was created for {size} bytes, but these parts have {together}.",
            "part_ids",
        )
    return [parts[id] for id in part_ids]
