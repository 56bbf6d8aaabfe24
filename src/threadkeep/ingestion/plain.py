"""Plain text, in whatever encoding it is."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from unicodedata import category

from threadkeep.ingestion.legacy import older_encodings_of
from threadkeep.ingestion.model import Failure

BLOCK = 256 * 1024
"""Bytes."""
BEFORE = 1024
"""Bytes in which the word begins that has the first byte that is not UTF-8."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # which begins as UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PACKED = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"\x1f\x8b",
)
"""What files begin with that are often given another name, and could be taken for text."""
FEW_ZEROS = 1 / 100
"""Of the bytes: so many may be damage, or what a program left in its log."""
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
USUAL = frozenset("\t\n\r\u3000、。，").union(map(chr, range(0x20, 0x7F)))
"""Some of these are in every text, and their second byte tells the order of bytes."""
MANY_USUAL = 1 / 50
"""Of the characters. `FEW_ZEROS` in a text of single bytes make fewer."""
ROUND = frozenset("\u3000一가")
"""Usual as well, although they look like letters of ASCII in the wrong order of bytes."""
NEARLY_ALL = 0.9
"""Of the characters of a text, those that have a meaning."""
NO_MEANING = {"Cc", "Cn", "Co", "Cs"}
SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half a character as some programs write it, by the pattern of UTF-8 but against its rules."""
WESTERN = re.compile("[\u00a0-\u017f\u2000-\u2bff\U00010000-\U0010ffff]")
"""Letters and signs of which a text may have only a few beyond ASCII. What happens to be UTF-8 in older
encodings is seldom one of them, so each counts as three."""
CLEARLY = 5
"""Characters in UTF-8 for each place that is not. A page in an older encoding has 0.4 at most, a word 5."""
NOT_TEXT = Failure("invalid_file", "The file is not text, though its name says so.")


def text_of(file: BinaryIO) -> Iterator[str]:
    """The text in parts. Raises `Failure` where the bytes are none."""
    yield from decoded(file, *encoding_of(file))


def decoded(file: BinaryIO, mark: int, encoding: str) -> Iterator[str]:
    file.seek(mark)
    # An encoding that was guessed from the beginning may be wrong further on: better a few odd characters.
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    while block := file.read(BLOCK):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def encoding_of(file: BinaryIO, declared: str | None = None) -> tuple[int, str]:
    """How many bytes mark the encoding, and the encoding: what is `declared` where it is not Unicode.

    Raises `Failure` for what is not text.
    """
    file.seek(0)
    head = file.read(BLOCK)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return len(mark), encoding
    if head.startswith(PACKED):
        raise NOT_TEXT
    if b"\0" in head:
        if wide := wide_encoding_of(head):
            return 0, wide
        if head.count(0) > FEW_ZEROS * len(head):
            raise NOT_TEXT
    place = first_not_utf_8(file)
    if place is None or is_damaged_utf_8(file):
        return 0, "utf-8"
    return 0, declared or older_encoding_of(file, place)


def older_encoding_of(file: BinaryIO, place: int) -> str:
    """A guess, from where the first byte stands that is not UTF-8: all before it may be ASCII."""
    file.seek(max(0, place - BEFORE))
    guess = older_encodings_of(file.read(BLOCK))
    if not guess:
        raise NOT_TEXT
    return guess[0] if len(guess) == 1 else min(guess, key=lambda encoding: lost(file, encoding))


def lost(file: BinaryIO, encoding: str) -> int:
    """How many characters cannot be read."""
    return sum(part.count("\ufffd") for part in decoded(file, 0, encoding))


def wide_encoding_of(head: bytes) -> str | None:
    """Which form of UTF-16 or UTF-32 it is without a mark, if it is one."""
    usual, best = max((usual_in(head, encoding), encoding) for encoding in WIDE)
    return best if usual else None


def usual_in(head: bytes, encoding: str) -> int:
    """How many usual characters the text has, or none where it would be no text in this encoding."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    characters = Counter(decoder.decode(head))  # without the last, if that is cut
    total = characters.total()
    meant = sum(n for c, n in characters.items() if c in USUAL or is_meant(c))
    usual = sum(n for c, n in characters.items() if c in USUAL)
    # Letters of ASCII in the wrong order of bytes: in a text of single bytes, zeros stand in both places.
    swapped = sum(n for c, n in characters.items() if not ord(c) & 0xFF and c not in ROUND)
    is_text = meant >= NEARLY_ALL * total and usual >= MANY_USUAL * total and usual > 3 * swapped
    return usual if is_text else 0


def is_meant(c: str) -> bool:
    return category(c) not in NO_MEANING and c != "\ufffd"


def is_damaged_utf_8(file: BinaryIO) -> bool:
    """Whether it is UTF-8 but for a few places, as logs are and files that were cut. That the last character
    is cut says nothing: a letter of an older encoding would look the same."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = bad = 0
    file.seek(0)
    while block := file.read(BLOCK):
        text = decoder.decode(block)
        halves = len(SURROGATE.findall(block))
        # Each byte of such a half has become one. Others were in the file.
        broken = text.count("\ufffd") - 3 * halves - block.count(b"\xef\xbf\xbd")
        beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        good += beyond_ascii - broken - 2 * halves + 2 * len(WESTERN.findall(text))
        bad += broken
    return good > CLEARLY * bad


def first_not_utf_8(file: BinaryIO) -> int | None:
    """Where the first byte stands that is not UTF-8, if there is one."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        return file.tell() - len(problem.object) + problem.start
    return None
