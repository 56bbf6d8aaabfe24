"""Word documents and PowerPoint presentations: XML in a ZIP archive, read as it passes by."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO
from urllib.parse import unquote

from lxml import etree

from threadkeep.ingestion.markup import damage_told, fed
from threadkeep.ingestion.model import Failure

OLD = bytes.fromhex("d0cf11e0a1b11ae1")
"""What the formats before 2007 begin with, and encrypted files of those after it."""
BLOCK = 64 * 1024
"""Bytes."""
LARGEST_TABLE = 16 * 1024 * 1024
"""Bytes of a part that is read whole: those that only name other parts."""
UNSEEN = {"Fallback", "del", "moveFrom"}
"""What older programs are to show in place of what stands beside it, and what tracked changes have deleted or
moved elsewhere."""
SIGNS = {"br": "\n", "cr": "\n", "noBreakHyphen": "-"}
"""What empty elements say. A soft hyphen says nothing."""
WORD, POWERPOINT = "a Word document (.docx)", "a PowerPoint presentation (.pptx)"
KINDS = {"document": WORD, "presentation": POWERPOINT, "workbook": "an Excel workbook (.xlsx)"}
"""By the outermost element of a file's main part."""
LOCKED = Failure("invalid_file", "The file is protected by a password.")


class Writing:
    """The words of a document as it is read: a target of lxml's. Word and PowerPoint name them alike."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._in_text = False
        self._hidden = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = local(tag)
        self._in_text = name == "t"
        if name in UNSEEN:
            self._hidden += 1
        elif self._hidden:
            return
        elif name == "tab" and not attributes:  # others are stops of the ruler
            self.said.append("\t")
        elif name in SIGNS:
            self.said.append(SIGNS[name])

    def end(self, tag: str) -> None:
        name = local(tag)
        self._in_text = False
        if name in UNSEEN:
            self._hidden -= 1
        elif name == "p":
            self.said.append("\n\n")
        elif name == "tc":
            self.said.append("\n")

    def data(self, text: str) -> None:
        if self._in_text and not self._hidden:
            self.said.append(text)

    def close(self) -> None: ...


def local(tag: str) -> str:
    """A name without its namespace, of which there are two for each format."""
    return tag.rpartition("}")[2]


def docx_of(file: BinaryIO) -> Iterator[str]:
    """The text of a Word document, then its notes. Raises `Failure`."""
    with opened(file, WORD) as archive:
        main = main_part(archive, WORD)
        yield from words(archive, main)
        for kind in ("footnotes", "endnotes"):
            if note := target_of(archive, main, kind):
                yield from words(archive, note)


def pptx_of(file: BinaryIO) -> Iterator[str]:
    """The text of each slide with its notes, in their order. Raises `Failure`."""
    with opened(file, POWERPOINT) as archive:
        main = main_part(archive, POWERPOINT)
        slides = {id: target for id, _, target in relations(archive, main)}
        for element in table(archive, main).iter("{*}sldId"):
            ids = [value for name, value in element.attrib.items() if name.endswith("}id")]
            for slide in (slides[id] for id in ids if id in slides):
                yield from words(archive, slide)
                if notes := target_of(archive, slide, "notesSlide"):
                    yield from words(archive, notes)


@contextmanager
def opened(file: BinaryIO, what: str) -> Iterator[zipfile.ZipFile]:
    """The archive. Raises `Failure` where it is none, and for what turns out damaged inside."""
    file.seek(0)
    head = file.read(len(OLD))
    if head == OLD:
        if is_locked(file):
            raise LOCKED
        raise Failure("invalid_file", f"The file is not {what}: it is of an older format.")
    if not head.startswith(b"PK"):
        raise Failure("invalid_file", f"The file is not {what}, though its name says so.")
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except KeyError as problem:
        raise Failure("invalid_file", f"The file is not {what}: a part of it is missing.") from problem
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as problem:
        raise Failure("invalid_file", f"The file is damaged: {str(problem).rstrip('.')}.") from problem
    except (
        NotImplementedError,
        RuntimeError,
    ) as problem:  # of kinds that zipfile lacks
        raise Failure("invalid_file", "The file is packed in a way that cannot be read.") from problem


def is_locked(file: BinaryIO) -> bool:
    """Whether what begins as the older formats do is a newer file that is encrypted."""
    import olefile  # 20 ms, for files that are rare

    try:
        with olefile.OleFileIO(file) as ole:
            return bool(ole.exists("EncryptedPackage"))
    except MemoryError:
        raise
    except Exception:  # of many kinds, where it is damaged
        return False


def words(archive: zipfile.ZipFile, part: str) -> Iterator[str]:
    writing = Writing()
    parser = etree.XMLParser(target=writing, resolve_entities=False, no_network=True, huge_tree=True)
    with archive.open(part) as content:
        yield from fed(iter(partial(content.read, BLOCK), b""), parser, writing.said)


def table(archive: zipfile.ZipFile, part: str) -> etree._Element:
    """A part that names others, whole."""
    with archive.open(part) as content:
        text = content.read(LARGEST_TABLE + 1)
    if len(text) > LARGEST_TABLE:
        raise Failure("invalid_file", "The file is damaged: its table of contents is too large.")
    with damage_told():
        return etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))


def relations(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str, str]]:
    """The (id, kind, name) of each part that one refers to; '' is the archive as a whole."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    if path not in archive.NameToInfo:
        return
    for one in table(archive, path).iter("{*}Relationship"):
        if one.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, unquote(one.get("Target", ""))))
            yield one.get("Id", ""), one.get("Type", "").rpartition("/")[2], target.lstrip("/")


def target_of(archive: zipfile.ZipFile, part: str, kind: str) -> str | None:
    return next((target for _, found, target in relations(archive, part) if found == kind), None)


def main_part(archive: zipfile.ZipFile, what: str) -> str:
    """Raises `KeyError` where there is none, and `Failure` where it is that of another kind."""
    part = target_of(archive, "", "officeDocument")
    if not part:
        raise KeyError("officeDocument")
    if KINDS.get(root_of(archive, part), what) != what:
        raise Failure("invalid_file", f"The file is not {what}, though its name says so.")
    return part


def root_of(archive: zipfile.ZipFile, part: str) -> str:
    """The name of its outermost element."""
    with archive.open(part) as content, damage_told():
        parser = etree.iterparse(content, ["start"], resolve_entities=False, no_network=True, huge_tree=True)
        _, root = next(parser)
        return local(root.tag)
