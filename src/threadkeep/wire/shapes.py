"""Request bodies that dialects have in common, and the steps from them to commands.

Reference: protocol sections 3 and 4.1. Unknown keys are refused at the top of a body and passed
over inside its parts, as the published schema has it.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from threadkeep.messages.model import (
    Attachment,
    Detail,
    ImageFile,
    ImageFilePart,
    ImageUrlPart,
    NewMessage,
    Part,
    Role,
    Text,
    TextPart,
    Tool,
    plain_text,
)
from threadkeep.messages.model import ImageUrl as DomainImageUrl
from threadkeep.metadata import CheckedMetadata
from threadkeep.wire.check import URL

LONGEST_TEXT = 256_000
"""Code points in a string of content or in one text part."""

ContentText = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Url = Annotated[str, Meta(pattern=URL)]
"""An absolute URI; which schemes a model can follow is the model's affair."""


class InputText(Struct, frozen=True, tag_field="type", tag="text"):
    text: ContentText


class ImageUrl(Struct, frozen=True):
    url: Url
    detail: Detail = "auto"


class InputImageUrl(Struct, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class InputImageFile(Struct, frozen=True, tag_field="type", tag="image_file"):
    image_file: ImageFile


InputPart = InputImageFile | InputImageUrl | InputText
Content = ContentText | Annotated[list[InputPart], Meta(min_length=1)]


class CreateMessageV2(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of create message, v2."""

    role: Role
    content: Content
    attachments: list[Attachment] | None = None
    metadata: CheckedMetadata | None = None


def new_message(body: CreateMessageV2) -> NewMessage:
    return NewMessage(body.role, parts_of(body.content), body.attachments or [], body.metadata or {})


def parts_of(content: str | list[InputPart]) -> list[Part]:
    """Content in the domain's form."""
    return plain_text(content) if isinstance(content, str) else [part_of(part) for part in content]


def part_of(part: InputPart) -> Part:
    match part:
        case InputText():
            return TextPart(Text(part.text))
        case InputImageUrl():
            return ImageUrlPart(DomainImageUrl(part.image_url.url, part.image_url.detail))
        case InputImageFile():
            return ImageFilePart(part.image_file)


class ModifyMetadata(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of modify message, and of modify thread where a thread has nothing else."""

    metadata: CheckedMetadata | None = None


def metadata_change(body: Any) -> dict[str, str] | None:
    """None leaves the metadata as it is."""
    changed: dict[str, str] | None = body.metadata
    return changed


EVERY_TOOL = [Tool("file_search"), Tool("code_interpreter")]
"""What a file in v1's `file_ids` is for: v1 let the assistant's tools decide."""


def attachments_of(file_ids: list[str]) -> list[Attachment]:
    """v1's `file_ids` as attachments."""
    return [Attachment(id, EVERY_TOOL) for id in file_ids]
