"""A model that says what a test tells it, in the process itself: for the engine's own tests. What comes over
HTTP is `tests.support.upstream`'s."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from threadkeep.providers.base import Call, ChatRequest, Finish, ModelFailure, Piece, Target, Text, Used
from threadkeep.runs.model import Usage

USAGE = Usage(20, 10, 30)


class Gate:
    """A place where the answer holds still until the test opens it."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    def open(self) -> None:
        self.opened.set()


Part = Piece | list[Piece] | Gate | Exception | str


def said(*parts: Part) -> list[Part]:
    """A whole answer: these parts, the end, and the usage."""
    calls = any(isinstance(part, Call) for part in parts)
    return [*parts, [Finish("tool_calls" if calls else "stop"), Used(USAGE)]]


class Scripted:
    """Every model, at one provider. Each turn takes the next answer; without one the model says "Hello."."""

    name = "scripted"

    def __init__(self, *turns: list[Part]) -> None:
        self.turns: deque[list[Part]] = deque()
        self._gates: list[Gate] = []
        self.script(*turns)
        self.requests: list[ChatRequest] = []
        self.open = 0
        """Answers that are being read."""
        self.missing: ModelFailure | None = None

    def script(self, *turns: list[Part]) -> None:
        self.turns.extend(turns)
        self._gates += [part for turn in turns for part in turn if isinstance(part, Gate)]

    def let_go(self) -> None:
        """Open every gate."""
        for gate in self._gates:
            gate.open()

    async def target(self, model: str, virtual_key: str | None) -> Target:
        if self.missing:
            raise self.missing
        return Target(self, model, 128_000)

    async def models(self) -> list[dict[str, Any]]:
        return []

    async def stream(self, request: ChatRequest) -> AsyncIterator[list[Piece]]:
        self.requests.append(request)
        self.open += 1
        try:
            for part in self.turns.popleft() if self.turns else said("Hel", "lo."):
                match part:
                    case Gate():
                        part.reached.set()
                        await part.opened.wait()
                    case Exception():
                        raise part
                    case str():
                        yield [Text(part)]
                    case list():
                        yield part
                    case _:
                        yield [part]
        finally:
            self.open -= 1
