"""Files of each type, made of text that people wrote: the manual pages of Python and the descriptions and
code of the packages that are installed. Each holds about as many bytes of text as asked for.
"""

from __future__ import annotations

import html
import io
import json
import random
from collections.abc import Callable, Iterator
from email.message import Message
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from pydoc_data.topics import topics
from typing import cast

import docx
import pptx
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

WIDTH = 90
"""Characters of a line in a PDF, which has 55 lines a page."""
LINES = 55
SLIDE = 700
"""Characters on a slide."""


@cache
def prose() -> tuple[str, ...]:
    """Paragraphs, in an order that is the same each time."""
    described = sorted(str(one.metadata["Name"]) for one in distributions())
    texts = [*topics.values(), *(about(name) for name in described)]
    paragraphs = [part.strip() for text in texts for part in text.split("\n\n")]
    found = [one for one in dict.fromkeys(paragraphs) if 40 < len(one) < 4000]
    random.Random(5).shuffle(found)
    return tuple(found)


def about(name: str) -> str:
    """The description of an installed package."""
    for one in distributions(name=name):
        return str(cast(Message, one.metadata).get_payload() or "")
    return ""


def paragraphs(size: int) -> Iterator[str]:
    """Paragraphs of about `size` bytes together. They come again, in another order, once all were told."""
    order, left = random.Random(7), size
    while left > 0:
        some = [*prose()]
        order.shuffle(some)
        for one in some:
            yield one
            left -= len(one.encode()) + 2
            if left <= 0:
                return


def txt(size: int) -> bytes:
    return "\n\n".join(paragraphs(size)).encode()


def md(size: int) -> bytes:
    return "\n\n".join(
        f"## {heading(one)}\n\n{one}\n\n- `{heading(one)}`" for one in paragraphs(size * 4 // 5)
    ).encode()


def heading(paragraph: str) -> str:
    return " ".join(paragraph.split()[:5])


def page(size: int) -> bytes:
    body = "\n".join(
        f'<section class="part"><h2 id="p{number}">{html.escape(heading(one))}</h2>\n'
        f'<p class="text">{html.escape(one)}</p>\n'
        f'<ul><li><a href="#p{number + 1}">next</a></li></ul></section>'
        for number, one in enumerate(paragraphs(size * 2 // 3))
    )
    head = "<title>All of it</title><style>p { margin: 0 }</style><script>let a = 1;</script>"
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode()


def records(size: int) -> bytes:
    rows = [
        {"id": number, "title": heading(one), "tags": one.split()[:3], "score": number / 7, "body": one}
        for number, one in enumerate(paragraphs(size * 4 // 5))
    ]
    return json.dumps(rows, indent=2).encode()


def tex(size: int) -> bytes:
    parts = (
        f"\\section{{{heading(one)}}}\\label{{s:{number}}}\n{one}\n"
        f"\\begin{{equation}}x_{{{number}}} = y\\end{{equation}}"
        for number, one in enumerate(paragraphs(size * 4 // 5))
    )
    return b"\\documentclass{article}\n\\begin{document}\n" + "\n\n".join(parts).encode()


def py(size: int) -> bytes:
    found: list[bytes] = []
    for path in sorted(Path(docx.__file__).parent.parent.glob("[a-z]*/*.py")):
        found.append(path.read_bytes())
        size -= len(found[-1])
        if size <= 0:
            break
    return b"\n".join(found)


def pdf(size: int) -> bytes:
    writer = PdfWriter()
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    fonts = DictionaryObject(
        {NameObject("/F1"): DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})}
    )
    text = " ".join(" ".join(paragraphs(size)).split()).encode("latin-1", "replace").decode("latin-1")
    lines = [text[at : at + WIDTH] for at in range(0, len(text), WIDTH)]
    for at in range(0, len(lines), LINES):
        drawn = "\n".join(f"({escaped(line)}) Tj 0 -13 Td" for line in lines[at : at + LINES])
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 10 Tf 40 760 Td\n{drawn}\nET".encode("latin-1"))
        leaf = writer.add_blank_page(612, 792)
        leaf[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        leaf[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def word(size: int) -> bytes:
    document = docx.Document()
    for one in paragraphs(size):
        document.add_heading(printable(heading(one)), 2)
        document.add_paragraph(printable(one))
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def slides(size: int) -> bytes:
    presentation = pptx.Presentation()
    text = " ".join(printable(one) for one in paragraphs(size))
    for at in range(0, len(text), SLIDE):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = text[at : at + 40]
        slide.placeholders[1].text = text[at : at + SLIDE]
    file = io.BytesIO()
    presentation.save(file)
    return file.getvalue()


def printable(text: str) -> str:
    """What XML takes."""
    return "".join(one for one in text if one.isprintable() or one in "\n\t")


MADE: dict[str, Callable[[int], bytes]] = {
    "txt": txt, "md": md, "html": page, "json": records, "py": py, "tex": tex, "pdf": pdf, "docx": word,
    "pptx": slides,
}  # fmt: skip
SHARE = {"pdf": 0.25, "docx": 0.25, "pptx": 0.1}
"""Of the size asked for, where a type takes long to be made and to be read."""


def file_of(kind: str, size: int) -> bytes:
    """A file that holds `size` bytes of text, or its share of that."""
    return MADE[kind](int(size * SHARE.get(kind, 1)))


def text_bytes(kind: str, size: int, content: bytes) -> int:
    """What its megabytes are counted in: the file's own, or the text's where a file is packed."""
    return int(size * SHARE[kind]) if kind in SHARE else len(content)
