"""Small real files, and large ones made of little."""

import io
import struct
import zipfile
from collections.abc import Iterable

import docx
import pptx
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject

from tests.ingestion.documents import WESTERN


def docx_of(*paragraphs: str, cell: str | None = None) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if cell is not None:
        document.add_table(1, 1).cell(0, 0).text = cell
    return saved(document)


def pptx_of(*slides: tuple[str, str, str]) -> bytes:
    """A presentation of slides with a title, a body and notes."""
    presentation = pptx.Presentation()
    for title, body, notes in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
        slide.notes_slide.notes_text_frame.text = notes
    return saved(presentation)


def saved(document) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


FONT = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}


def pdf_of(*pages: str, password: str | None = None, open_to_all: bool = False) -> bytes:
    """A PDF with a line on each page, or none on an empty one; encrypted where there is a password."""
    writer = PdfWriter()
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in FONT.items()})
    for text in pages:
        page = writer.add_blank_page(612, 792)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode("latin-1") if text else b"")
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt("" if open_to_all else password, password, algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def cyclic_pdf() -> bytes:
    """A PDF of which a group of pages holds itself."""
    writer = PdfWriter()
    writer.add_blank_page(612, 792)
    group = writer._root_object.raw_get("/Pages")
    group.get_object()[NameObject("/Kids")] = ArrayObject([group])
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def ole_of(stream: str) -> bytes:
    """A file of the older formats with a stream of this name in the place of a Word document."""
    place = WESTERN.index("WordDocument".encode("utf-16-le"))
    entry = stream.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<H", 2 * len(stream) + 2)
    return WESTERN[:place] + entry + WESTERN[place + len(entry) :]


RELATIONS = """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
Target="word/document.xml"/></Relationships>"""


def packed_docx(document: Iterable[bytes], relations: str = RELATIONS) -> bytes:
    """A Word document of which the XML comes in parts, of any length."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("_rels/.rels", relations)
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            for block in document:
                part.write(block)
    return file.getvalue()


def endless_pdf(levels: int = 40, pages: int = 500) -> bytes:
    """A PDF each of whose pages draws a form twice, which draws another twice, and so on: 2**levels words.
    The library gives a page up after a while, but not the others."""
    writer = PdfWriter()
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in FONT.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    stream = DecodedStreamObject()
    stream.set_data(b"BT /F1 9 Tf 9 9 Td (word) Tj ET")
    stream.update(form(DictionaryObject({NameObject("/Font"): fonts})))
    for _ in range(levels):
        inner = writer._add_object(stream)
        stream = DecodedStreamObject()
        stream.set_data(b"/X Do /X Do")
        stream.update(
            form(DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/X"): inner})}))
        )
    contents = DecodedStreamObject()
    contents.set_data(b"/X Do /X Do")
    drawn = writer._add_object(contents)
    for _ in range(pages):
        page = writer.add_blank_page(612, 792)
        page[NameObject("/Resources")] = stream["/Resources"]
        page[NameObject("/Contents")] = drawn
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def form(resources: DictionaryObject) -> DictionaryObject:
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/Resources"): resources,
        }
    )
