"""Messages, in the form that OpenAI v2 serves them, which is also the form in which they are kept.

Reference: protocol sections 4.1 and 4.2. The order of fields is the order on the wire.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.metadata import Metadata

Role = Literal["user", "assistant"]
Detail = Literal["auto", "low", "high"]
ToolType = Literal["code_interpreter", "file_search"]

MAX_MESSAGE_FILES = 10
"""Of one message, where messages have files and not attachments."""


class Text(Struct, frozen=True):
    """`annotations` point into `value` by code points."""

    value: str
    annotations: list[dict[str, Any]] = []


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    text: Text


class ImageFile(Struct, frozen=True):
    file_id: str
    detail: Detail = "auto"


class ImageFilePart(Struct, frozen=True, tag_field="type", tag="image_file"):
    image_file: ImageFile


class ImageUrl(Struct, frozen=True):
    url: str
    detail: Detail = "auto"


class ImageUrlPart(Struct, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class RefusalPart(Struct, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


Part = TextPart | ImageFilePart | ImageUrlPart | RefusalPart


class Tool(Struct, frozen=True):
    """A tool that an attached file is for."""

    type: ToolType


class Attachment(Struct, frozen=True):
    """A file given to tools; `tools` is left out where the client left it out."""

    file_id: str
    tools: list[Tool] | UnsetType = UNSET

    def is_for(self, tool: str) -> bool:
        return self.tools is not UNSET and any(one.type == tool for one in self.tools)


class IncompleteDetails(Struct, frozen=True):
    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class Message(Struct, frozen=True, kw_only=True):
    """One message. Times are whole seconds since 1970."""

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    assistant_id: str | None = None
    thread_id: str
    run_id: str | None = None
    status: Literal["in_progress", "incomplete", "completed"] = "completed"
    incomplete_details: IncompleteDetails | None = None
    incomplete_at: int | None = None
    completed_at: int | None = None
    role: Role
    content: list[Part]
    attachments: list[Attachment] = []
    metadata: Metadata = {}


class NewMessage(Struct, frozen=True):
    """What a client asks to be added to a thread."""

    role: Role
    content: list[Part]
    attachments: list[Attachment] = []
    metadata: Metadata = {}

    def file_ids(self) -> list[str]:
        """Every file that it names, once each."""
        images = [part.image_file.file_id for part in self.content if isinstance(part, ImageFilePart)]
        return list(dict.fromkeys([one.file_id for one in self.attachments] + images))


class MessageFile(Struct, frozen=True, kw_only=True):
    """A file of a message, as v1 lists it."""

    id: str
    object: Literal["thread.message.file"] = "thread.message.file"
    created_at: int
    message_id: str
    file_id: str


def plain_text(value: str) -> list[Part]:
    """String content: one text part."""
    return [TextPart(Text(value))]


def created(new: NewMessage, id: str, thread_id: str, now: int) -> Message:
    """A client's message as it stands in the thread: complete from the start."""
    return Message(
        id=id,
        created_at=now,
        thread_id=thread_id,
        completed_at=now,
        role=new.role,
        content=new.content,
        attachments=new.attachments,
        metadata=new.metadata,
    )


def file_ids_of(message: Message) -> list[str]:
    """The attached files, once each, in order."""
    return list(dict.fromkeys(one.file_id for one in message.attachments))


def message_files_of(message: Message) -> list[str]:
    """Those of them that are its message files, where there are such: the first (protocol section 12.12)."""
    return file_ids_of(message)[:MAX_MESSAGE_FILES]


_encode = msgspec.json.Encoder().encode
message_of = msgspec.json.Decoder(Message).decode
"""The message in a stored body."""


def id_in(body: str) -> str:
    """The id in a stored body, which always begins with it."""
    return body[7 : body.index('"', 7)]


def body_of(message: Message) -> str:
    """The JSON text that is stored, and served as it is to v2 clients."""
    return _encode(message).decode()
