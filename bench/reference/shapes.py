"""What comes in and what goes out, as pydantic models."""

import secrets
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.reference.tables import Message


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


Text = Annotated[str, Field(min_length=1, max_length=256_000)]
Detail = Literal["auto", "low", "high"]
Order = Literal["asc", "desc"]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class TextPart(Body):
    type: Literal["text"]
    text: Text


class ImageFile(Body):
    file_id: str
    detail: Detail = "auto"


class ImageFilePart(Body):
    type: Literal["image_file"]
    image_file: ImageFile


class ImageUrl(Body):
    url: str
    detail: Detail = "auto"


class ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImageFilePart | ImageUrlPart, Field(discriminator="type")]


class Tool(Body):
    type: Literal["code_interpreter", "file_search"]


class Attachment(Body):
    file_id: str
    tools: list[Tool] | None = None


class CreateMessage(Body):
    role: Literal["user", "assistant"]
    content: Text | Annotated[list[Part], Field(min_length=1)]
    attachments: list[Attachment] | None = None
    metadata: Metadata | None = None


class MessageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    assistant_id: str | None = None
    thread_id: str
    run_id: str | None = None
    status: Literal["completed"] = "completed"
    incomplete_details: dict[str, Any] | None = None
    incomplete_at: int | None = None
    completed_at: int | None = Field(validation_alias="created_at")
    role: Literal["user", "assistant"]
    content: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    metadata: dict[str, str] = Field(validation_alias="metadata_")


class MessageList(BaseModel):
    object: Literal["list"] = "list"
    data: list[MessageOut]
    first_id: str | None
    last_id: str | None
    has_more: bool


def new_message(thread_id: str, body: CreateMessage) -> Message:
    """The row of a new message."""
    parts = [TextPart(type="text", text=body.content)] if isinstance(body.content, str) else body.content
    return Message(
        id=f"msg_{secrets.token_hex(12)}",
        thread_id=thread_id,
        created_at=int(time.time()),
        role=body.role,
        content=[stored(part) for part in parts],
        attachments=[attachment.model_dump() for attachment in body.attachments or []],
        metadata_=body.metadata or {},
    )


def stored(part: Part) -> dict[str, Any]:
    """A content part as answers carry it."""
    if isinstance(part, TextPart):
        return {"type": "text", "text": {"value": part.text, "annotations": []}}
    return part.model_dump()
