"""The JSON of a chat completion, or of one chunk of it: what is read of it, the rest being skipped."""

import json
import re
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.providers.base import Finish
from threadkeep.providers.halves import mended
from threadkeep.runs.model import CachedTokens, ReasoningTokens, Usage


class Malformed(Exception):
    """Something arrived that is not of a chat completion."""


class PartOfText(Struct, gc=False):
    text: str | None = None


class FunctionDelta(Struct, gc=False):
    """`arguments` should be text; some send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    """`content` should be text; some send a list of parts."""

    content: str | list[PartOfText] | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class Choice(Struct, gc=False):
    """`message` in the place of `delta` where the answer is no stream."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None


class CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageSaid(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    usage: UsageSaid | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    code: Any = None


class Halved(Chunk, gc=False):
    """One whose texts have halves of characters in them, or had."""


# ---------------------------------------------------------------- reading

decode = msgspec.json.Decoder(Chunk).decode
HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
TEXTS = frozenset({"content", "text", "refusal", "arguments"})
"""What the model says, and may go on to say in the next chunk."""


def decoded(text: bytes) -> Chunk:
    """Raises `Malformed`."""
    try:
        return decode(text)
    except (ValueError, RecursionError) as problem:
        if not HALF_A_CHARACTER.search(text):
            raise Malformed(shown(text)) from problem
    try:
        return msgspec.convert(mended(json.loads(text), TEXTS), Halved)
    except (ValueError, RecursionError) as problem:
        raise Malformed(shown(text)) from problem


def joined(parts: list[PartOfText]) -> str:
    return "".join(part.text for part in parts if part.text)


def shown(data: bytes) -> str:
    """The beginning of what could not be read, for a person."""
    return data.strip()[:80].decode("utf-8", "replace")


# ---------------------------------------------------------------- what it means

FINISHES: dict[str, Finish] = {
    "stop": Finish("stop"),
    "length": Finish("length"),
    "max_tokens": Finish("length"),
    "model_length": Finish("length"),
    "content_filter": Finish("content_filter"),
    "tool_calls": Finish("tool_calls"),
    "function_call": Finish("tool_calls"),  # what calls were called before `tool_calls`
}


def usage_of(said: UsageSaid) -> Usage:
    """Tokens as they were counted there; what was not counted is 0."""
    prompt, completion = said.prompt_tokens or 0, said.completion_tokens or 0
    cached, reasoning = said.prompt_tokens_details, said.completion_tokens_details
    return Usage(
        prompt,
        completion,
        said.total_tokens or prompt + completion,
        CachedTokens((cached and cached.cached_tokens) or 0),
        ReasoningTokens((reasoning and reasoning.reasoning_tokens) or 0),
    )
