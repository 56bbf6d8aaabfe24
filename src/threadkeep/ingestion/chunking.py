"""A text cut into chunks that overlap, by tokens, in one pass and with little of it in memory.

The text is first taken apart into pieces: lines and sentences, or parts of long ones. A chunk is as many
pieces as fit. Where it can, it ends at a border in its last quarter: at the end of a paragraph rather than of
a line, and of a line rather than of a sentence. The next one begins with as many of its last pieces as have
no more tokens than the overlap. Nothing is lost: without what they repeat, the chunks together are the text.

Tokens are counted for each piece and added up, so a token that a border divides counts as two.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from threadkeep.engine import tokens

LONGEST_PIECE = 400
"""Characters."""
BLOCK = 128 * 1024
"""Characters that are taken apart at once."""
BORDER = re.compile(r"""\n\s*\n|\n|[.!?]["')\]]{0,3}(?=\s)|[。！？]""")
INSIDE, SENTENCE, LINE, PARAGRAPH = range(4)
"""What a piece ends, the weakest first."""


class Piece(Struct, frozen=True, gc=False):
    text: str
    tokens: int
    ends: int


def chunks(texts: Iterable[str], max_tokens: int, overlap_tokens: int) -> Iterator[str]:
    """The chunks of a text that comes in parts of any size. Those without a word are left out.

    For a thread other than the event loop's.
    """
    window: list[Piece] = []
    repeated = size = 0  # pieces of the chunk before; tokens
    for piece in pieces(texts, max_tokens):
        while size + piece.tokens > max_tokens:
            if len(window) > repeated:
                end = best_end(window, repeated, size)
                yield from spoken(window[:end])
                start = start_of_next(window, end, overlap_tokens)
                window, repeated = window[start:], end - start
            else:  # what is repeated leaves no room
                window, repeated = window[1:], repeated - 1
            size = sum(one.tokens for one in window)
        window.append(piece)
        size += piece.tokens
    if len(window) > repeated:
        yield from spoken(window)


def spoken(window: Sequence[Piece]) -> Iterator[str]:
    text = "".join(piece.text for piece in window)
    if not text.isspace():
        yield text


def best_end(window: Sequence[Piece], repeated: int, size: int) -> int:
    """How many pieces a chunk takes, at least one of which is new."""
    best, strongest, before = len(window), INSIDE, 0
    for number, piece in enumerate(window, 1):
        before += piece.tokens
        if number > repeated and 4 * before >= 3 * size and piece.ends >= strongest:
            best, strongest = number, piece.ends
    return best


def start_of_next(window: Sequence[Piece], end: int, overlap_tokens: int) -> int:
    """The first piece of the chunk after the one that ends with `window[end - 1]`."""
    start, size = end, 0
    while start > 1 and size + window[start - 1].tokens <= overlap_tokens:
        start -= 1
        size += window[start].tokens
    return start


def pieces(texts: Iterable[str], max_tokens: int) -> Iterator[Piece]:
    """The text in pieces of `max_tokens` at most, which are the same however it comes in parts."""
    rest = ""
    for block in blocks(texts):
        parts = taken_apart(rest + block)
        rest = parts.pop()  # it may go on
        yield from counted(parts, max_tokens)
    if rest:
        yield from counted([rest], max_tokens)


def blocks(texts: Iterable[str]) -> Iterator[str]:
    """The same text in parts of a size that is worth the work."""
    held: list[str] = []
    size = 0
    for text in texts:
        for start in range(0, len(text), BLOCK):
            part = text[start : start + BLOCK]
            held.append(part)
            size += len(part)
            if size >= BLOCK:
                yield "".join(held)
                held, size = [], 0
    if size:
        yield "".join(held)


def taken_apart(text: str) -> list[str]:
    """Lines and sentences; a space between two of them begins the second, as tokens have it."""
    parts: list[str] = []
    start = 0
    for border in BORDER.finditer(text):
        parts += short(text[start : border.end()])
        start = border.end()
    if start < len(text):
        parts += short(text[start:])
    return parts


def short(text: str) -> Iterator[str]:
    """A text in parts that are no longer than a piece may be, divided before spaces where there are some."""
    while len(text) > LONGEST_PIECE:
        space = text.rfind(" ", LONGEST_PIECE // 2, LONGEST_PIECE)
        end = space if space > 0 else LONGEST_PIECE
        yield text[:end]
        text = text[end:]
    yield text


def counted(texts: Sequence[str], max_tokens: int) -> Iterator[Piece]:
    for text, number in zip(texts, tokens.count(texts), strict=True):
        if number > max_tokens and len(text) > 1:
            middle = len(text) // 2
            yield from counted([text[:middle], text[middle:]], max_tokens)
        else:
            yield Piece(text, number, ending_of(text))


def ending_of(text: str) -> int:
    if not text.endswith("\n"):
        return SENTENCE if text.endswith((".", "!", "?", "。", "！", "？")) else INSIDE
    return PARAGRAPH if text[:-1].rstrip(" \t\r").endswith("\n") else LINE
