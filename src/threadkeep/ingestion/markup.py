"""HTML, read as it passes by: no tree is built, so that neither size nor depth needs memory."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO, Protocol

from lxml import etree

from threadkeep.ingestion.model import Failure
from threadkeep.ingestion.plain import decoded, encoding_of

HEAD = 1024
"""Bytes in which a page says its encoding, if it does."""
NO_MEMORY = 2
"""A code of libxml2's."""
UNSEEN = {"script", "style", "template", "noscript", "svg", "math", "select", "iframe", "object"}
LINES = {
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "nav", "ol",
    "option", "section", "summary", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "title"}
CELLS = {"td", "th"}
SPACE = re.compile(r"\s+")


class Parser(Protocol):
    """Of lxml, with a target: what is fed is told to the target."""

    def feed(self, data: bytes) -> None: ...
    def close(self) -> object: ...


class Page:
    """The words of an HTML page as it is read: a target of lxml's."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._breaks = 2
        """Ends of lines since the last word: 2 are the end of a paragraph."""
        self._unseen: list[str] = []
        self._verbatim = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._break(tag)
        if self._unseen or tag in UNSEEN:
            self._unseen.append(tag)
        elif tag == "pre":
            self._verbatim += 1

    def end(self, tag: str) -> None:
        if tag in self._unseen:  # where tags are not closed, the outer one closes the inner ones
            while self._unseen.pop() != tag:
                pass
        elif tag == "pre" and self._verbatim:
            self._verbatim -= 1
        self._break(tag)
        if tag in CELLS and not self._breaks:
            self.said.append("\t")

    def _break(self, tag: str) -> None:
        wanted = 2 if tag in PARAGRAPHS else 1 if tag in LINES else 0
        if wanted > self._breaks:
            self.said.append("\n" * (wanted - self._breaks))
            self._breaks = wanted

    def data(self, text: str) -> None:
        if self._unseen:
            return
        if not self._verbatim:
            text = SPACE.sub(" ", text)
            text = text.lstrip() if self._breaks else text
        if text:
            self.said.append(text)
            self._breaks = 0

    def comment(self, text: str) -> None: ...
    def close(self) -> None: ...


CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([A-Za-z0-9_:.-]+)""", re.IGNORECASE)

READ = rb"<a href='\n'>~{+-}</a>"
"""Has what encodings that are none of pages' take for something else."""


def html_of(file: BinaryIO) -> Iterator[str]:
    """What a reader of an HTML page sees. Raises `Failure`."""
    file.seek(0)
    text = decoded(file, *encoding_of(file, declared_encoding(file.read(HEAD))))
    page = Page()
    parser = etree.HTMLParser(target=page, encoding="utf-8", huge_tree=True)
    yield from fed((part.encode() for part in text), parser, page.said)


def declared_encoding(head: bytes) -> str | None:
    """What the page says of itself, if Python knows it, and if it can be: it was read as ASCII.

    So UTF-16 is not what it says: https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream
    """
    with suppress(LookupError, UnicodeError):
        if found := CHARSET.search(head):
            name = codecs.lookup(found[1].decode("ascii")).name
            if READ.decode(name, "replace") == READ.decode("ascii"):
                return name
    return None


def fed(blocks: Iterable[bytes], parser: Parser, said: list[str]) -> Iterator[str]:
    """What the parser's target says of each block. Raises `Failure`."""
    with damage_told():
        for block in blocks:
            parser.feed(block)
            yield taken(said)
        parser.close()
    yield taken(said)


@contextmanager
def damage_told() -> Iterator[None]:
    """Turn what lxml raises into `Failure`, and into `MemoryError` where that is the cause."""
    try:
        yield
    except etree.XMLSyntaxError as problem:
        if problem.code == NO_MEMORY:
            raise MemoryError from problem
        raise Failure("invalid_file", f"The file is damaged: {problem.msg}.") from problem


def taken(said: list[str]) -> str:
    text = "".join(said)
    said.clear()
    return text
