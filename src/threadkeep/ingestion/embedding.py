"""Vectors for the chunks of a file, where the model may refuse some and its provider may fail for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from threadkeep.providers.base import ModelFailure

PAUSES: Sequence[float] = (1, 2, 4, 8, 16, 32)
"""Seconds between attempts, beside those that the provider has of its own: a file that is given up for a
while has to be read from its beginning."""
NUMBER_BYTES = 4
"""What a number of a vector takes."""
log = logging.getLogger(__name__)

Vector = Sequence[float]
Embed = Callable[[Sequence[str]], Awaitable[Sequence[Vector]]]
Refused = Callable[[int, ModelFailure], None]
"""Called with the place of a text that the model does not take."""


async def vectors_of(
    embed: Embed, texts: Sequence[str], refused: Refused, first: int = 0
) -> list[Vector | None]:
    """One vector for each text; None for what the model refuses, whatever comes with it. `first` is the place
    of the first text. Raises `ModelFailure`."""
    try:
        return [*await embed(texts)]
    except ModelFailure as failure:
        if failure.code != "invalid_prompt":
            raise
        if not (half := len(texts) // 2):
            refused(first, failure)
            return [None]
    before = await vectors_of(embed, texts[:half], refused, first)
    return before + await vectors_of(embed, texts[half:], refused, first + half)


def patient(embed: Embed, about: str) -> Embed:
    """`embed`, tried again while it fails in a way that passes; `about` is what the log says of it."""

    async def tried(texts: Sequence[str]) -> Sequence[Vector]:
        for pause in PAUSES:
            try:
                return await embed(texts)
            except ModelFailure as failure:
                if not failure.passes:
                    raise
                log.warning(
                    "event=ingestion_put_off %s seconds=%.2f problem=%r", about, pause, failure.message
                )
            await asyncio.sleep(pause)
        return await embed(texts)

    return tried
