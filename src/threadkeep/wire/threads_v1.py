"""Bodies of threads and messages, v1. Reference: protocol sections 1.7, 3 and 4.1."""

from typing import Annotated

from msgspec import Meta, Struct

from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import MAX_MESSAGE_FILES, Attachment, NewMessage, Role
from threadkeep.metadata import MAX_PAIRS, MAX_VALUE, Key, Metadata, Value
from threadkeep.threads.model import NewThread, ThreadChange
from threadkeep.wire.check import Path
from threadkeep.wire.shapes import Content, attachments_of, parts_of

V1Metadata = Annotated[dict[Key, Value | int | float | bool], Meta(max_length=MAX_PAIRS)]
"""v1 turned other scalars into strings."""


class CreateMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content parts and attachments are v2's; they are taken here too, since some clients send the old
    header with the new body (KNIME's node lets its user choose)."""

    role: Role
    content: Content
    file_ids: Annotated[list[str], Meta(max_length=MAX_MESSAGE_FILES)] | None = None
    attachments: list[Attachment] | None = None
    metadata: V1Metadata | None = None


class CreateThread(Struct, frozen=True, forbid_unknown_fields=True):
    messages: list[CreateMessage] | None = None
    metadata: V1Metadata | None = None


class Modify(Struct, frozen=True, forbid_unknown_fields=True):
    metadata: V1Metadata | None = None


def new_message(body: CreateMessage, path: Path = ()) -> NewMessage:
    """The message in a body, or in the part of one that `path` leads to."""
    attachments = attachments_of(body.file_ids or []) + (body.attachments or [])
    return NewMessage(body.role, parts_of(body.content), attachments, strings(body.metadata, path) or {})


def new_thread(body: CreateThread) -> NewThread:
    messages = [new_message(one, ("messages", index)) for index, one in enumerate(body.messages or [])]
    return NewThread(messages, strings(body.metadata) or {})


def metadata_change(body: Modify) -> Metadata | None:
    return strings(body.metadata)


def thread_change(body: Modify) -> ThreadChange:
    return ThreadChange(strings(body.metadata))


def strings(metadata: dict[str, str | int | float | bool] | None, path: Path = ()) -> Metadata | None:
    """Every value as v1 wrote it: `True`, `1`, `1.5`. Raises `Invalid` where one gets too long; `path` leads
    to what has the metadata."""
    if metadata is None:
        return None
    written = {key: str(value) for key, value in metadata.items()}
    for key, value in written.items():
        if len(value) > MAX_VALUE:
            where = (*path, "metadata", key)
            raise Invalid(Problem(where, "string_too_long", actual=len(value), limit=MAX_VALUE))
    return written
