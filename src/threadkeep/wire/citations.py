"""Annotations of texts as dialects show them. Reference: protocol section 4.2.

They are stored with the passage that they cite as its `quote`: v1 shows it, v2 leaves it out of messages and
shows it empty in pieces, as the live service did.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from threadkeep.messages.model import Message, Part, TextPart, body_of, message_of

QUOTE = '"quote":'


def body_without_quotes(body: str) -> str:
    """A stored message as v2 shows it: the body itself, unless it may hold a quote."""
    return body_of(without_quotes(message_of(body))) if QUOTE in body else body


def without_quotes(message: Message) -> Message:
    if not any(isinstance(part, TextPart) and part.text.annotations for part in message.content):
        return message
    return msgspec.structs.replace(message, content=[part_without_quotes(part) for part in message.content])


def part_without_quotes(part: Part) -> Part:
    if not isinstance(part, TextPart):
        return part
    annotations = [
        with_citation(one, lambda cited: {"file_id": cited["file_id"]}) for one in part.text.annotations
    ]
    return TextPart(msgspec.structs.replace(part.text, annotations=annotations))


def with_citation(annotation: dict[str, Any], change: Any) -> dict[str, Any]:
    """An annotation with what it cites changed, if it cites a file."""
    if "file_citation" not in annotation:
        return annotation
    return {**annotation, "file_citation": change(annotation["file_citation"])}


def with_empty_quotes(annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Annotations in pieces of v2."""
    return [with_citation(one, lambda cited: {**cited, "quote": ""}) for one in annotations]
