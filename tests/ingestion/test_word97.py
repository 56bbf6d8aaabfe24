"""Word documents of 1997 to 2003."""

import io
import struct

import olefile
import pytest

from tests.ingestion.documents import UNICODE, WESTERN
from tests.ingestion.files import ole_of
from tests.ingestion.test_extract import read, refused
from threadkeep.ingestion.model import Failure
from threadkeep.ingestion.word97 import DAMAGED, Piece, characters, parts_of, pieces_of, spoken, streams

TEXT = """The miller’s report

The café “Zur Mühle” opens at 8. See the mill for more.

One\ttwo
three{more}

flour
3.50

bran
0.80

The end.

\tNot on Mondays.



\tIt was built in 1812.



In a box
"""


@pytest.mark.promise("ingestion.word97")
@pytest.mark.parametrize(
    ("content", "more"), [(WESTERN, ""), (UNICODE, " — Привет, 你好, 🌾")], ids=["western", "unicode"]
)
def test_text_notes_and_boxes_are_read_without_headers_and_comments(content: bytes, more: str):
    assert read("a.doc", content).rstrip("\n") + "\n" == TEXT.format(more=more)
    assert read("A.DOC", content)


@pytest.mark.promise("ingestion.word97")
def test_a_piece_with_one_byte_a_character_is_read():
    document, _ = streams(io.BytesIO(WESTERN))
    [whole] = pieces_of(table_of(WESTERN))
    text = document[whole.place : whole.place + 2 * whole.end].decode("utf-16-le").encode("cp1252")
    at = whole.place + 100
    narrow = document[:at] + text + document[at + len(text) :]
    pieces = [Piece(0, whole.end, at, 1)]
    heard = ["".join(spoken(characters(narrow, pieces, *part))) for part in parts_of(document)]
    assert "".join(heard) == read("a.doc", WESTERN)


def table_of(content: bytes) -> bytes:
    return streams(io.BytesIO(content))[1]


def clx(bounds: list[int], places: list[int], before: bytes = b"") -> bytes:
    """A table of pieces as Word writes it."""
    plan = struct.pack(f"<{len(bounds)}I", *bounds)
    plan += b"".join(struct.pack("<HIH", 0, place, 0) for place in places)
    return before + b"\x02" + struct.pack("<I", len(plan)) + plan


@pytest.mark.promise("ingestion.word97")
def test_pieces_are_put_together_in_their_order():
    """What was changed and saved fast stands behind what it stands before."""
    changes = b"\x01" + struct.pack("<H", 3) + b"\x02\x02\x02"
    document = b"..said the \xa9 miller" + "Ω".encode("utf-16-le")
    table = clx([0, 1, 6, 15], [19, (1 << 30) | 2 * 11, (1 << 30) | 2 * 2], changes * 2)
    assert pieces_of(table) == [Piece(0, 1, 19, 2), Piece(1, 6, 11, 1), Piece(6, 15, 2, 1)]
    assert "".join(characters(document, pieces_of(table), 0, 15)) == "Ω© milsaid the "
    assert "".join(characters(document, pieces_of(table), 4, 8)) == "ilsa"


@pytest.mark.promise("ingestion.word97")
def test_characters_are_whole_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("threadkeep.ingestion.word97.BLOCK", 2)
    document = "a🌾b".encode("utf-16-le")
    assert "".join(characters(document, [Piece(0, 4, 0, 2)], 0, 4)) == "a🌾b"


@pytest.mark.promise("ingestion.word97")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("See \x13 HYPERLINK \"x\" \x14the mill\x15.", "See the mill."),
        ("a\x13 IF \x13 PAGE \x141\x15 = 1 \x14one \x13 DATE \x14today\x15\x15b", "aone todayb"),
        ("a\x13 PAGE \x15b", "ab"),
        ("a\x15\x14b", "ab"),
        ("a\x01\x02\x05\x08b\x1ec\x1fd\x0be\x0cf", "ab-cd\ne\n\nf"),
    ],
)  # fmt: skip
def test_of_fields_their_results_are_said(text: str, said: str):
    assert "".join(spoken(iter([text]))) == said
    assert "".join(spoken(iter(text))) == said


# ---------------------------------------------------------------- what cannot be read


def changed(place: int, value: bytes) -> bytes:
    """A document with other bytes in its FIB."""
    file = io.BytesIO(WESTERN)
    with olefile.OleFileIO(file, write_mode=True) as ole:
        document = ole.openstream("WordDocument").read()
        ole.write_stream("WordDocument", document[:place] + value + document[place + len(value) :])
        return file.getvalue()


@pytest.mark.promise("ingestion.bad-files")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{\\rtf1 Hello}", "The file is not a Word document (.doc), though its name says so."),
        (ole_of("Workbook"), "The file is not a Word document (.doc), though its name says so."),
        (ole_of("EncryptedPackage"), "The file is protected by a password."),
        (changed(0x0A, b"\x00\x13"), "The file is protected by a password."),
        (changed(0x02, b"\x68\x00"), "The file is of a format before Word 97. Save it as .docx."),
        (changed(0x00, b"\xdc\xa5"), "The file is of a format before Word 97. Save it as .docx."),
        (changed(0x1A2, b"\xff\xff\xff\x7f"), "The file is damaged: its text cannot be found."),
        (changed(0x4C, b"\xff\xff\xff\xff"), "The file is damaged: its text cannot be found."),
        (WESTERN[:3000], "The file is damaged: it holds no Word document."),
        (WESTERN[:512] + bytes(len(WESTERN) - 512), "The file is damaged: it holds no Word document."),
    ],
)
def test_a_document_that_cannot_be_read_says_why(content: bytes, message: str):
    assert refused("a.doc", content) == ("invalid_file", message)


@pytest.mark.promise("ingestion.bad-files")
@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"\x01\xff\xff",
        clx([0, 1], [0])[:-1],
        clx([5, 1], [0]),
        b"\x02\xff\xff\xff\xff",
        b"\x02\x00\x00\x00\x00",
    ],
)
def test_a_table_of_pieces_that_is_damaged_is_refused(table: bytes):
    with pytest.raises(Failure, match=DAMAGED.message):
        pieces_of(table)


@pytest.mark.promise("ingestion.bad-files")
def test_a_piece_beyond_the_end_is_refused():
    with pytest.raises(Failure, match=DAMAGED.message):
        list(characters(b"abc", [Piece(0, 4, 0, 1)], 0, 4))
