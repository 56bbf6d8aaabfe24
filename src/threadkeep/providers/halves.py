"""Characters that a server has cut in two.

JSON's escapes write a character beyond the first 65,536 as two halves (surrogates). Some servers cut texts
between them, so that one piece ends in the first half and the next one begins with the second.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from threadkeep.providers.base import Call, Piece, Refusal, Text

Said = Text | Refusal | Call


def whole(text: str) -> str:
    """With halves that stand together as the character that they are, and U+FFFD for any other."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def mended(value: Any, but: frozenset[str] = frozenset()) -> Any:
    """A JSON value with whole texts, except for those of these names, which are left as they are."""
    match value:
        case str():
            return whole(value)
        case list():
            return [mended(one, but) for one in value]
        case dict():
            return {
                whole(name): one if name in but and isinstance(one, str) else mended(one, but)
                for name, one in value.items()
            }
    return value


class Halves:
    """The pieces of one answer with whole characters. A first half at the end of a piece waits for the next
    piece."""

    def __init__(self) -> None:
        self.held: Said | None = None
        """The half that waits, as a piece."""

    def joined(self, pieces: Iterable[Piece]) -> list[Piece]:
        """What can be told now that these have come."""
        return [part for piece in pieces for part in self._joined(piece)]

    def _joined(self, piece: Piece) -> Iterator[Piece]:
        held, self.held = self.held, None
        if held is not None and not goes_on(held, piece):
            yield saying(held, whole(text_of(held)))
            held = None
        if not isinstance(piece, Said):
            yield piece
            return
        text = text_of(piece) if held is None else text_of(held) + text_of(piece)
        if "\ud800" <= text[-1:] <= "\udbff":
            self.held = Call(piece.index, text[-1]) if isinstance(piece, Call) else type(piece)(text[-1])
            text = text[:-1]
        if text or (isinstance(piece, Call) and piece.name):
            yield saying(piece, whole(text))


def text_of(piece: Said) -> str:
    return piece.arguments if isinstance(piece, Call) else piece.value


def saying(piece: Said, text: str) -> Said:
    """The piece with another text."""
    if isinstance(piece, Call):
        return msgspec.structs.replace(piece, arguments=text)
    return type(piece)(text)


def goes_on(held: Said, piece: Piece) -> bool:
    """Whether a piece begins where the one before it ended."""
    if isinstance(held, Call):
        return isinstance(piece, Call) and piece.index == held.index
    return type(piece) is type(held)
