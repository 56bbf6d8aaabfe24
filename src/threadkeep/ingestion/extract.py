"""The text of a file, by the type that its name says. Meant for a process of its own, with limits: files come
from anybody."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from msgspec import Struct

from threadkeep.ingestion.model import Failure

PLAIN = frozenset(
    {"c", "cpp", "cs", "css", "go", "java", "js", "json", "md", "php", "py", "rb", "sh", "tex", "ts", "txt"}
)
MOST_TEXT = 32 * 1024 * 1024
"""Characters that a file may hold which is packed: a few bytes can stand for any number."""
UNWRITABLE = {0: None, **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)}
"""What no database takes as text."""
HAS_UNWRITABLE = re.compile("[\0\ud800-\udfff]").search


class Text(Struct):
    """The text of a file in parts of any size. `skipped` counts pages that could not be read, once all parts
    have been taken."""

    parts: Iterator[str]
    skipped: Callable[[], int] = lambda: 0


def text_of(file: BinaryIO, filename: str) -> Text:
    """The text of a file. Raises `Failure`, as taking its parts does."""
    kind = filename.rpartition(".")[2].lower() if "." in filename else ""
    if file.read(1) == b"":
        raise Failure("invalid_file", "The file is empty.")
    text = opened(file, kind)
    return Text(spoken(text.parts), text.skipped)


def opened(file: BinaryIO, kind: str) -> Text:
    """The libraries take a while to load, and most files need none."""
    if kind in PLAIN:
        from threadkeep.ingestion import plain

        return Text(plain.text_of(file))
    if kind == "html":
        from threadkeep.ingestion import markup

        return Text(markup.html_of(file))
    if kind == "pdf":
        from threadkeep.ingestion.pdf import PDF

        pdf = PDF(file)
        return Text(bounded(pdf.texts()), lambda: pdf.skipped)
    if kind in ("docx", "pptx"):
        from threadkeep.ingestion import office

        return Text(bounded(office.docx_of(file) if kind == "docx" else office.pptx_of(file)))
    if kind == "doc":
        from threadkeep.ingestion import word97

        return Text(bounded(word97.doc_of(file)))
    raise Failure("unsupported_file", unsupported(kind))


def unsupported(kind: str) -> str:
    if kind:
        return f"Files of the type .{kind[:20]} are not supported."
    return "The file's name has no ending that says its type."


def bounded(parts: Iterator[str]) -> Iterator[str]:
    """Raises `Failure` once it is too much."""
    size = 0
    for part in parts:
        size += len(part)
        if size > MOST_TEXT:
            raise Failure("invalid_file", f"The file holds more than {MOST_TEXT} characters of text.")
        yield part


def spoken(parts: Iterator[str]) -> Iterator[str]:
    """What a database can keep of it. Raises `Failure` at the end where there is no word."""
    said = False
    for part in parts:
        text = part.translate(UNWRITABLE) if HAS_UNWRITABLE(part) else part
        said = said or not (text.isspace() or not text)
        yield text
    if not said:
        raise Failure("invalid_file", "The file has no text.")
