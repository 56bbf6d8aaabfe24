"""What tests of providers share: a scripted upstream, and one turn of a model there."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clock import SetClock
from tests.support.settings import no_settings
from tests.support.upstream import Upstream
from threadkeep.providers.base import Call, ChatRequest, ModelFailure, Piece, Provider, Refusal, Text
from threadkeep.providers.chat import ChatProvider
from threadkeep.providers.patience import Patience
from threadkeep.providers.upstream import Upstream as Server
from threadkeep.settings import ProviderSettings

__all__ = ["no_settings"]

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


class Pauses(list[float]):
    """The pauses that were asked for, in seconds; none is made."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


class At:
    """A provider of the test's own, and what it was told to wait."""

    def __init__(
        self, base_url: str, *, name: str = "there", most_seconds: float = 600, **settings: Any
    ) -> None:
        self.pauses = Pauses()
        self.clock = SetClock()
        patience = Patience(chance=lambda: 1.0, pause=self.pauses, seconds=most_seconds)
        self.server = Server(name, ProviderSettings(base_url=base_url, **settings), self.clock, patience)
        self.provider = ChatProvider(self.server)

    async def __aenter__(self) -> "At":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.provider.close()

    async def failure(self) -> tuple[list[Piece], ModelFailure]:
        """What one turn fails with, and the pieces before."""
        pieces: list[Piece] = []
        try:
            async for some in self.provider.stream(ChatRequest(model="gpt-4o", messages=HI)):
                pieces += some
        except ModelFailure as failure:
            return pieces, failure
        raise AssertionError(f"the turn did not fail, but said {pieces}")

    async def pieces(self, request: ChatRequest | None = None) -> list[Piece]:
        """Every piece of one turn."""
        return await all_pieces(self.provider, request)


async def all_pieces(provider: Provider, request: ChatRequest | None = None) -> list[Piece]:
    asked = request or ChatRequest(model="gpt-4o", messages=HI)
    return [piece async for pieces in provider.stream(asked) for piece in pieces]


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.value for piece in pieces if isinstance(piece, Text))


def refusal_of(pieces: list[Piece]) -> str:
    return "".join(piece.value for piece in pieces if isinstance(piece, Refusal))


def calls_of(pieces: list[Piece]) -> list[tuple[str | None, str | None, str]]:
    """The calls in pieces put together: id, name, arguments. Id and name stand in the first piece alone."""
    calls: dict[int, list[Call]] = {}
    for piece in pieces:
        if isinstance(piece, Call):
            calls.setdefault(piece.index, []).append(piece)
    assert list(calls) == list(range(len(calls)))
    for one in calls.values():
        assert one[0].id
        assert one[0].name
        assert all(piece.id is None and piece.name is None for piece in one[1:])
    return [(one[0].id, one[0].name, "".join(piece.arguments for piece in one)) for one in calls.values()]
