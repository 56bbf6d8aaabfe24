"""What a provider of models is asked, and what it answers.

The request is a chat completion in the form that OpenAI published (`POST /chat/completions`).
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from threadkeep.runs.model import ErrorCode, Usage


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One turn of a model. What is None or empty is left out on the wire."""

    model: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None


class Text(Struct, frozen=True):
    """A piece of the answer's text."""

    value: str


class Refusal(Struct, frozen=True):
    """A piece of the model's refusal."""

    value: str


class Call(Struct, frozen=True):
    """A piece of a function call; `id` and `name` come with the first piece of each `index`."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


class Finish(Struct, frozen=True):
    """Why the model stopped. Comes once, before `Used`."""

    reason: Literal["stop", "length", "tool_calls", "content_filter"]


class Used(Struct, frozen=True):
    """Tokens of this turn, by the provider's count."""

    usage: Usage


Piece = Text | Refusal | Call | Finish | Used


class ModelFailure(Exception):
    """A turn that cannot be had: what the run's `last_error` will say. `passes`: whether it may be over after
    a while, with nobody doing anything about it."""

    def __init__(self, code: ErrorCode, message: str, passes: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.passes = code, message, passes


class Provider(Protocol):
    """Somewhere models are."""

    name: str

    def stream(self, request: ChatRequest) -> AsyncIterator[list[Piece]]:
        """The answer as it comes: everything that arrived together is one list.

        Raises `ModelFailure`. Failures before the first piece were retried as far as that makes sense;
        no piece is ever repeated. Closing the iterator ends the request.
        """
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The models that it says it has, as model objects (`id`, `object`, `created`, `owned_by`)."""
        ...


class Target(Struct, frozen=True):
    """Where to send a turn, and under which name the model is known there."""

    provider: Provider
    model: str
    context_tokens: int
    """How many tokens a prompt may have there."""


class Providers(Protocol):
    """Every provider that is configured."""

    async def target(self, model: str, virtual_key: str | None) -> Target:
        """Where a model is, with the virtual key of that id or without. Raises `ModelFailure`, with a
        sentence that says what to configure."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """Every model that can be asked for, `echo` among them."""
        ...


class Embedder(Protocol):
    """Where texts are made into vectors."""

    model: str
    """As it is called there."""
    dimensions: int | None
    """The length of its vectors, where the settings say it."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order, all of one length.

        Raises `ModelFailure`. Texts are sent in batches, and sent again as far as that makes sense.
        """
        ...
