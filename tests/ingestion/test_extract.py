"""The text of every type of file, and what is said of files that have none."""

import codecs
import io
import random
from contextlib import suppress

import pytest

from tests.ingestion.documents import WESTERN
from tests.ingestion.files import cyclic_pdf, docx_of, ole_of, packed_docx, pdf_of, pptx_of
from threadkeep.ingestion.extract import MOST_TEXT, PLAIN, text_of
from threadkeep.ingestion.model import Failure


def read(filename: str, content: bytes) -> str:
    return "".join(text_of(io.BytesIO(content), filename).parts)


def refused(filename: str, content: bytes) -> tuple[str, str]:
    with pytest.raises(Failure) as failed:
        read(filename, content)
    return failed.value.code, failed.value.message


# ---------------------------------------------------------------- every type


@pytest.mark.promise("ingestion.types")
@pytest.mark.parametrize("kind", sorted(PLAIN))
def test_plain_text_is_read_as_it_is(kind):
    text = '{"a": [1, "ü"]}\r\n\tint main() { return 0; }\n'
    assert read(f"a.b.{kind}", text.encode()) == text
    assert read(f"A.{kind.upper()}", text.encode()) == text


PAGE = """<!doctype html><html><head><title>Caf\u00e9</title><style>p { top: 0 }</style></head>
<body><script>if (a < b) alert("no")</script><h1>Menu &amp; more</h1><p>Black   <b>cof</b>fee<br>and
tea<ul><li>one<li>two</ul><table><tr><td>cake<td>3.50</table><pre>a
  b</pre><!-- no --></body></html>"""


@pytest.mark.promise("ingestion.types")
def test_of_html_what_a_reader_sees():
    assert read("a.html", PAGE.encode()).split("\n") == [
        "Café", "", "Menu & more", "", "Black coffee", "and tea", "", "one", "two", "", "cake\t3.50\t", "",
        "a", "  b", "", "",
    ]  # fmt: skip


@pytest.mark.promise("ingestion.encodings")
def test_html_says_its_encoding_itself():
    page = "<head><meta charset='windows-1251'></head><p>Привет"
    assert read("a.html", page.encode("cp1251")).strip() == "Привет"
    assert read("a.html", page.encode()).strip() == "Привет", "what it says may be wrong"
    assert read("a.html", page.encode("utf-16")).strip() == "Привет"


@pytest.mark.promise("ingestion.types")
def test_of_a_word_document_its_paragraphs_and_tables():
    content = docx_of("The first.", "The\tsecond.\nIts line.", cell="In a cell")
    assert read("a.docx", content).split() == [
        "The",
        "first.",
        "The",
        "second.",
        "Its",
        "line.",
        "In",
        "a",
        "cell",
    ]


@pytest.mark.promise("ingestion.types")
def test_what_word_keeps_for_older_programs_is_not_said_twice():
    namespaces = b'xmlns:w="urn:w" xmlns:mc="urn:mc"'
    part = b"<w:p><mc:AlternateContent><mc:Choice><w:t>new</w:t></mc:Choice>"
    part += (
        b"<mc:Fallback><w:t>old</w:t></mc:Fallback></mc:AlternateContent><w:delText>gone</w:delText></w:p>"
    )
    content = packed_docx([b"<w:document " + namespaces + b">" + part + b"</w:document>"])
    assert read("a.docx", content).split() == ["new"]


@pytest.mark.promise("ingestion.types")
def test_what_tracked_changes_have_removed_or_moved_is_read_where_it_stands_now():
    part = (
        b"<w:p><w:pPr><w:rPr><w:moveFrom/></w:rPr></w:pPr>"
        b"<w:moveFrom><w:r><w:t>moved</w:t><w:tab/><w:t>it</w:t></w:r></w:moveFrom></w:p>"
        b"<w:p><w:t>first</w:t><w:del><w:r><w:delText>co</w:delText><w:noBreakHyphen/><w:br/></w:r></w:del></w:p>"
        b"<w:p><w:moveTo><w:r><w:t>moved</w:t></w:r></w:moveTo><w:ins><w:r><w:t>!</w:t></w:r></w:ins></w:p>"
    )
    content = packed_docx([b'<w:document xmlns:w="urn:w">' + part + b"</w:document>"])
    assert read("a.docx", content) == "\n\nfirst\n\nmoved!\n\n"


@pytest.mark.promise("ingestion.types")
def test_a_hyphen_is_said_where_a_reader_sees_one():
    part = b"<w:p><w:t>co</w:t><w:noBreakHyphen/><w:t>op, soft</w:t><w:softHyphen/><w:t>ly</w:t></w:p>"
    content = packed_docx([b'<w:document xmlns:w="urn:w">' + part + b"</w:document>"])
    assert read("a.docx", content) == "co-op, softly\n\n"


@pytest.mark.promise("ingestion.types")
def test_of_a_presentation_each_slide_and_its_notes_in_order():
    numbers = [*range(1, 13)]  # slide10.xml stands before slide2.xml in the archive's names
    content = pptx_of(*((f"Title {n}", f"Body {n}", f"Notes {n}") for n in numbers))
    words = [
        line for line in read("a.pptx", content).splitlines() if line.startswith(("Title", "Body", "Notes"))
    ]
    assert words == [f"{word} {n}" for n in numbers for word in ("Title", "Body", "Notes")]


@pytest.mark.promise("ingestion.types")
def test_of_a_pdf_each_page():
    assert read("a.pdf", pdf_of("The first page", "", "The last one")).split("\n\n") == [
        "The first page", "", "The last one", ""
    ]  # fmt: skip


@pytest.mark.promise("ingestion.types")
def test_a_pdf_that_everybody_may_open_is_read():
    assert "Hello" in read("a.pdf", pdf_of("Hello", password="owner", open_to_all=True))


# ---------------------------------------------------------------- encodings

GERMAN = "Grüße aus Köln: die Straße ist schön, und Äpfel kosten hier fünf Euro.\n"


@pytest.mark.promise("ingestion.encodings")
@pytest.mark.parametrize("size", [1, 20_000])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ],
)
def test_unicode_is_read_in_each_of_its_forms(mark, encoding, size):
    assert read("a.txt", mark + (GERMAN * size).encode(encoding)) == GERMAN * size


@pytest.mark.promise("ingestion.encodings")
@pytest.mark.parametrize(
    ("text", "encoding"),
    [(GERMAN, "latin-1"), ("Съешь же ещё этих мягких французских булок, да выпей чаю.\n", "cp1251"),
     ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n", "shift_jis")],
)  # fmt: skip
def test_older_encodings_are_guessed(text, encoding):
    assert read("a.txt", (text * 20).encode(encoding)) == text * 20


@pytest.mark.promise("ingestion.encodings")
def test_what_no_database_takes_is_left_out():
    assert read("a.txt", b"\xff\xfea\0\0\0b\0\x00\xd8c\0") == "ab\ufffdc"


# ---------------------------------------------------------------- what has no text

NOT_TEXT = ("invalid_file", "The file is not text, though its name says so.")


@pytest.mark.promise("ingestion.bad-files")
@pytest.mark.parametrize(
    ("filename", "content", "code", "message"),
    [
        ("a.txt", b"", "invalid_file", "The file is empty."),
        ("a.pdf", b"", "invalid_file", "The file is empty."),
        ("a.txt", b" \r\n\t", "invalid_file", "The file has no text."),
        ("a.html", b"<p></p><script>x</script>", "invalid_file", "The file has no text."),
        ("a.txt", random.Random(1).randbytes(9000), *NOT_TEXT),
        ("a.txt", bytes(random.Random(1).choices(range(32, 256), k=9000)), *NOT_TEXT),
        ("a.txt", pdf_of("Hello", password="x"), *NOT_TEXT),
        ("a.txt", docx_of("Hello"), *NOT_TEXT),
        ("a.exe", b"x", "unsupported_file", "Files of the type .exe are not supported."),
        ("a", b"x", "unsupported_file", "The file's name has no ending that says its type."),
        ("a.pdf", b"Hello", "invalid_file", "The file is not a PDF, though its name says so."),
        ("a.pdf", pdf_of("", ""), "invalid_file",
         "The file has no text. Its pages may be scanned pictures, which are not turned into text."),
        ("a.pdf", pdf_of("Hello", password="x"), "invalid_file", "The file is protected by a password."),
        ("a.docx", b"Hello", "invalid_file",
         "The file is not a Word document (.docx), though its name says so."),
        ("a.pptx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more", "invalid_file",
         "The file is not a PowerPoint presentation (.pptx): it is of an older format."),
        ("a.docx", WESTERN, "invalid_file",
         "The file is not a Word document (.docx): it is of an older format."),
        ("a.docx", ole_of("EncryptedPackage"), "invalid_file", "The file is protected by a password."),
        ("a.pptx", ole_of("EncryptedPackage"), "invalid_file", "The file is protected by a password."),
        ("a.docx", packed_docx([b""]), "invalid_file", "The file is damaged: no element found."),
        ("a.docx", pptx_of(("a", "b", "c")), "invalid_file",
         "The file is not a Word document (.docx), though its name says so."),
        ("a.docx", packed_docx([b'<workbook xmlns="urn:s"><t>a</t></workbook>']), "invalid_file",
         "The file is not a Word document (.docx), though its name says so."),
        ("a.pptx", docx_of("Hello"), "invalid_file",
         "The file is not a PowerPoint presentation (.pptx), though its name says so."),
        ("a.pdf", cyclic_pdf(), "invalid_file", "The file is damaged: Detected cyclic page references."),
        ("a.docx", docx_of("Hello")[:-100], "invalid_file", "The file is damaged: File is not a zip file."),
    ],
)  # fmt: skip
def test_a_file_without_text_is_refused_with_its_reason(filename, content, code, message):
    assert refused(filename, content) == (code, message)


@pytest.mark.promise("ingestion.bad-files")
@pytest.mark.parametrize("kind", ["doc", "docx", "pptx", "pdf", "html", "txt"])
@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_read_or_refused(kind, seed):
    """Nothing but text and `Failure` comes of it."""
    chance = random.Random(seed)
    whole = {
        "docx": docx_of("Hello", cell="x"), "pptx": pptx_of(("a", "b", "c")), "pdf": pdf_of("Hello", "you"),
        "html": PAGE.encode(), "txt": GERMAN.encode("latin-1"), "doc": WESTERN,
    }[kind]  # fmt: skip
    content = bytearray(whole[: chance.randrange(1, len(whole))] if seed % 2 else whole)
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    with suppress(Failure):
        read(f"a.{kind}", bytes(content))


@pytest.mark.promise("ingestion.limits")
def test_a_packed_file_holds_only_so_much_text():
    words = [b"<d><t>", *[b"word " * 20_000] * (MOST_TEXT // 100_000 + 1), b"</t></d>"]
    assert refused("a.docx", packed_docx(words)) == (
        "invalid_file", "The file holds more than 33554432 characters of text."
    )  # fmt: skip


@pytest.mark.promise("ingestion.limits")
def test_entities_that_multiply_are_refused():
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 12))
    document = b'<!DOCTYPE d [<!ENTITY e0 "ha">' + entities + b"]><d><t>&e11;</t></d>"
    code, message = refused("a.docx", packed_docx([document]))
    assert code == "invalid_file"
    assert message


@pytest.mark.promise("ingestion.limits")
def test_an_entity_does_not_read_the_servers_files(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    document = f'<!DOCTYPE d [<!ENTITY e SYSTEM "{secret}">]><d><t>said &e;</t></d>'
    assert "secret" not in read("a.docx", packed_docx([document.encode()]))
