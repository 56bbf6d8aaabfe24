"""Plain text, in whatever encoding it is."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

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
        return 0, wide_encoding_of(head)
    place = first_not_utf_8(file)
    if place is None:
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


def wide_encoding_of(head: bytes) -> str:
    """UTF-16 without a mark: of Latin letters, every other byte is zero."""
    half = len(head) / 2
    if head[1::2].count(0) > 0.4 * half > 10 * head[::2].count(0):
        return "utf-16-le"
    if head[::2].count(0) > 0.4 * half > 10 * head[1::2].count(0):
        return "utf-16-be"
    raise NOT_TEXT


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
