"""Bodies of threads and messages, v1. Reference: protocol sections 1.7, 3 and 4.1."""

from typing import Annotated

from msgspec import Meta, Struct

from threadkeep.errors import Invalid, Problem
from threadkeep.messages.model import MAX_MESSAGE_FILES, Attachment, NewMessage, Role
from threadkeep.metadata import MAX_PAIRS, MAX_VALUE, Key, Metadata, Value
from threadkeep.threads.model import NewThread, ThreadChange
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


def new_message(body: CreateMessage) -> NewMessage:
    attachments = attachments_of(body.file_ids or []) + (body.attachments or [])
    return NewMessage(body.role, parts_of(body.content), attachments, strings(body.metadata) or {})


def new_thread(body: CreateThread) -> NewThread:
    return NewThread([new_message(one) for one in body.messages or []], strings(body.metadata) or {})


def metadata_change(body: Modify) -> Metadata | None:
    return strings(body.metadata)


def thread_change(body: Modify) -> ThreadChange:
    return ThreadChange(strings(body.metadata))


def strings(metadata: dict[str, str | int | float | bool] | None) -> Metadata | None:
    """Every value as v1 wrote it: `True`, `1`, `1.5`."""
    if metadata is None:
        return None
    written = {key: str(value) for key, value in metadata.items()}
    for key, value in written.items():
        if len(value) > MAX_VALUE:
            problem = Problem(("metadata", key), "string_too_long", actual=len(value), limit=MAX_VALUE)
            raise Invalid(problem)
    return written
