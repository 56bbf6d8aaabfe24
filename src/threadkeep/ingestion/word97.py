"""Word documents of 1997 to 2003 (.doc), as [MS-DOC] describes them.

An OLE file holds streams. `WordDocument` begins with a table of places (FIB) and holds the text, in pieces.
One of `0Table` and `1Table` says which piece comes when, and where it stands. A piece has one byte a
character, or two.
"""

import codecs
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import olefile
from msgspec import Struct

from threadkeep.ingestion.model import Failure
from threadkeep.ingestion.office import LOCKED, OLD

WORD = 0xA5EC
FIRST_FORMAT = 0xB0
"""The formats of Word 6 and 95 have lower numbers, and another order."""
FORMAT, FLAGS, LENGTHS, TABLE = 0x02, 0x0A, 0x4C, 0x1A2
"""Bytes of the FIB where these stand; its end."""
END = TABLE + 8
ENCRYPTED, IN_FIRST_TABLE = 0x0100, 0x0200
ONE_BYTE = 1 << 30
BLOCK = 64 * 1024
"""Bytes."""
OTHER_KIND = Failure("invalid_file", "The file is not a Word document (.doc), though its name says so.")
DAMAGED = Failure("invalid_file", "The file is damaged: its text cannot be found.")


class Piece(Struct, frozen=True):
    """Characters of the document's text, from `first` to before `end`, and the byte where they stand."""

    first: int
    end: int
    place: int
    width: int
    """Bytes of a character: 1 or 2."""


def doc_of(file: BinaryIO) -> Iterator[str]:
    """The text of a document, then its notes and what stands in boxes. Raises `Failure`."""
    file.seek(0)
    if file.read(len(OLD)) != OLD:
        raise OTHER_KIND
    document, table = streams(file)
    pieces = pieces_of(table)
    for first, end in parts_of(document):
        yield from spoken(characters(document, pieces, first, end))


def streams(file: BinaryIO) -> tuple[bytes, bytes]:
    """The document, and the table of its pieces. Raises `Failure`."""
    file.seek(0)
    try:
        with olefile.OleFileIO(file) as ole:
            if ole.exists("EncryptedPackage"):
                raise LOCKED
            if ole.listdir() and not ole.exists("WordDocument"):
                raise OTHER_KIND
            document = ole.openstream("WordDocument").read()
            flags = checked(document)
            table = ole.openstream("1Table" if flags & IN_FIRST_TABLE else "0Table").read()
    except (MemoryError, Failure):
        raise
    except Exception as problem:  # of many kinds, where it is damaged
        raise Failure("invalid_file", "The file is damaged: it holds no Word document.") from problem
    place, size = struct.unpack_from("<II", document, TABLE)
    if place + size > len(table):
        raise DAMAGED
    return document, table[place : place + size]


def checked(document: bytes) -> int:
    """The flags of a document that can be read. Raises `Failure`."""
    if len(document) < END:
        raise DAMAGED
    kind, number = struct.unpack_from("<HH", document)
    (flags,) = struct.unpack_from("<H", document, FLAGS)
    if kind != WORD or number < FIRST_FORMAT:
        raise Failure("invalid_file", "The file is of a format before Word 97. Save it as .docx.")
    if flags & ENCRYPTED:
        raise LOCKED
    return int(flags)


def parts_of(document: bytes) -> list[tuple[int, int]]:
    """Where the text, footnotes, endnotes and boxes begin and end: no headers and no comments, which come
    between them."""
    lengths = struct.unpack_from("<7i", document, LENGTHS)
    if min(lengths) < 0:
        raise DAMAGED
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    parts = list(zip([0, *ends], ends, strict=False))
    main, footnotes, _headers, _macros, _comments, endnotes, boxes = parts
    return [main, footnotes, endnotes, boxes]


def pieces_of(table: bytes) -> list[Piece]:
    """The pieces in their order. Before them may stand how text was changed, which changes no letter."""
    place = 0
    while table[place : place + 1] == b"\x01":
        place += 3 + int.from_bytes(table[place + 1 : place + 3], "little")
    size = int.from_bytes(table[place + 1 : place + 5], "little")
    if table[place : place + 1] != b"\x02" or size > len(table) - place - 5 or size % 12 != 4:
        raise DAMAGED
    number = size // 12
    bounds = struct.unpack_from(f"<{number + 1}I", table, place + 5)
    places = struct.iter_unpack("<HIH", table[place + 5 + 4 * (number + 1) : place + 5 + size])
    pieces = [
        Piece(first, end, (at & ONE_BYTE - 1) // 2 if at & ONE_BYTE else at, 1 if at & ONE_BYTE else 2)
        for first, end, (_, at, _) in zip(bounds, bounds[1:], places, strict=False)
    ]
    if any(piece.first > piece.end for piece in pieces):
        raise DAMAGED
    return pieces


def characters(document: bytes, pieces: list[Piece], first: int, end: int) -> Iterator[str]:
    """Those from `first` to before `end`, as they stand there."""
    for piece in pieces:
        since, until = max(first, piece.first), min(end, piece.end)
        if since >= until:
            continue
        place = piece.place + (since - piece.first) * piece.width
        last = place + (until - since) * piece.width
        if last > len(document):
            raise DAMAGED
        decode = codecs.getincrementaldecoder("cp1252" if piece.width == 1 else "utf-16-le")("replace").decode
        for start in range(place, last, BLOCK):
            yield decode(document[start : min(start + BLOCK, last)])
        yield decode(b"", final=True)


FIELD, RESULT, FIELD_END = "\x13", "\x14", "\x15"
"""Around what a field is computed from, and what comes of it."""
MARKS = re.compile(f"([{FIELD}{RESULT}{FIELD_END}])")
SAID = {
    **dict.fromkeys(range(0x20)),
    0x07: "\n",  # the end of a cell, and of a row
    0x09: "\t",
    0x0A: "\n",
    0x0B: "\n",
    0x0C: "\n\n",  # a new page
    0x0D: "\n\n",
    0x0E: "\n\n",  # a new column
    0x1E: "-",
}
"""What a reader sees of characters that have a meaning to Word; of others below 0x20 nothing."""


def spoken(texts: Iterator[str]) -> Iterator[str]:
    """What a reader sees: of fields what came of them, and nothing of pictures and marks."""
    fields: list[bool] = []
    """Those that are open, each with whether its result has begun."""
    for text in texts:
        for part in MARKS.split(text):
            if part == FIELD:
                fields.append(False)
            elif part == RESULT:
                fields[-1:] = [True] if fields else []
            elif part == FIELD_END:
                fields[-1:] = []
            elif part and all(fields):
                yield part.translate(SAID)
