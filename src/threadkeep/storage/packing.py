"""Words of a chunk as the engines' indexes take them in. To pack them takes longer than to send them, so
whoever has the time packs them before they are written."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Packing = Literal["listed", "counted"]
"""One after the other, as FTS5 reads them; or each once with its places, as a tsvector is written."""
MOST_PLACES = 255
_PLACES = [":" + ",".join(map(str, range(1, many + 1))) for many in range(MOST_PLACES + 1)]


class Packed(Struct, frozen=True, gc=False):
    """How many words a chunk has, and all of them."""

    number: int
    text: str


def packed(words: Sequence[str], packing: Packing) -> Packed:
    """Words hold no quotes and no spaces."""
    return Packed(len(words), " ".join(words) if packing == "listed" else counted(words))


def counted(words: Sequence[str]) -> str:
    """Words as the text of a tsvector that says how often each is there, which counts to `MOST_PLACES`."""
    times = Counter(words).items()
    return " ".join([f"'{word}'{_PLACES[min(many, MOST_PLACES)]}" for word, many in times])
