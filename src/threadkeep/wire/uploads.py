"""Bodies of uploads, which v2 alone has. Reference: protocol section 9."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from threadkeep.files.model import LONGEST_LIFE, SHORTEST_LIFE, Purpose
from threadkeep.uploads.model import LARGEST, MAX_PARTS, Completion, NewUpload

Name = Annotated[str, Meta(min_length=1, max_length=1024)]
Checksum = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{32}$")]


class FileExpiry(Struct, frozen=True):
    """How many seconds after its making the file is to be removed by itself."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=SHORTEST_LIFE, le=LONGEST_LIFE)]


class CreateUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of create upload. The type is taken and not used: files have none."""

    filename: Name
    purpose: Purpose
    bytes: Annotated[int, Meta(ge=0, le=LARGEST)]
    mime_type: str
    expires_after: FileExpiry | None = None


def new_upload(body: CreateUpload) -> NewUpload:
    life = body.expires_after.seconds if body.expires_after else None
    return NewUpload(body.filename, body.purpose, body.bytes, life)


class CompleteUpload(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of complete upload. `md5` is of the whole file, in hexadecimal."""

    part_ids: Annotated[list[str], Meta(max_length=MAX_PARTS)]
    md5: Checksum | None = None


def completion(body: CompleteUpload) -> Completion:
    return Completion(body.part_ids, body.md5)
