"""A chat completion as it arrives, and what is made of it."""

import json
from typing import Any

from threadkeep.providers.base import Piece
from threadkeep.providers.chunks import Chunks


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
    )
    return b"data: " + json.dumps({"id": "x", "choices": choices, **more}).encode() + b"\n\n"


def said(text: str) -> bytes:
    return chunk({"content": text})


def called(**delta: Any) -> bytes:
    return chunk({"tool_calls": [delta]})


DONE = b"data: [DONE]\n\n"
STOP = chunk({}, "stop")


def taken(*parts: bytes) -> list[Piece]:
    """Every piece of an answer that arrives in these parts. Raises what is wrong with it."""
    chunks = Chunks()
    pieces = [piece for part in parts for piece in chunks.feed(part)]
    pieces += chunks.end()
    if chunks.trouble:
        raise chunks.trouble
    return pieces
