"""A demonstration of our own: the model `echo` says again what the user said last. It knows nothing.

It needs no key and no network, so a first run can be seen before any provider is configured. Its tokens
are words.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

from threadkeep.providers.base import ChatRequest, Finish, Piece, Text, Used
from threadkeep.runs.model import Usage

MODEL = "echo"
CONTEXT_TOKENS = 128_000
WORD = re.compile(r"\s*\S+|\s+\Z")
"""A word with the space before it: the pieces of a text, which put together are the text."""
NOTHING_SAID = "There is no message of a user to echo."


class Echo:
    """The provider of the one model `echo`."""

    name = MODEL

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[Piece], None]:
        """The last user message's text, word by word."""
        words = WORD.findall(last_said(request.messages) or NOTHING_SAID)
        allowed = words[: request.max_completion_tokens]
        for word in allowed:
            yield [Text(word)]
            await asyncio.sleep(0)  # a long text is not to keep everybody else waiting
        asked = sum(len(text_of(message).split()) for message in request.messages)
        reason = Finish("stop" if len(allowed) == len(words) else "length")
        yield [reason, Used(Usage(asked, len(allowed), asked + len(allowed)))]

    async def models(self) -> list[dict[str, Any]]:
        return [{"id": MODEL, "object": "model", "created": 0, "owned_by": "threadkeep"}]


def last_said(messages: list[dict[str, Any]]) -> str:
    """The text of the last message whose role is user, or ''."""
    return next((text_of(one) for one in reversed(messages) if one.get("role") == "user"), "")


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content is a string, a list of parts, or null."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")
