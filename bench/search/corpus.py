"""Questions with one right answer each: documentation, its headings as questions, the sections as answers.

The documentation comes from Debian's packages, by `apt-get download`, and is only unpacked. A section's text
is what stands between its heading and the next one; the heading itself is taken out of it.
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lxml import etree, html
from msgspec import Struct

PACKAGES = {
    "postgresql": r"postgresql-doc-\d+",
    "python": r"python3\.\d+-doc",
    "sqlite": "sqlite3-doc",
    "git": "git-doc",
}
"""What the packages of a corpus are called: of several the newest is taken."""
LEFT_OUT = re.compile(
    r"changelog|whatsnew|release-|releaselog|chronology|changes|news|genindex|bookindex|/index\.html|contents|crossref|keyword_index"
)
"""Pages that only list what others say."""
NOT_TEXT = {"script", "style", "head", "nav", "footer", "title"}
MARGINS = {
    *("navheader", "navfooter", "toc", "sphinxsidebar", "related", "footer", "headerlink", "nosearch"),
    *("indexterm", "contents", "searchmenu", "fancy_toc"),
}
"""Classes of what stands around the text."""
HEADINGS = {f"h{level}" for level in range(1, 7)}
APART = {"p", "div", "pre", "li", "tr", "dt", "dd", "table", "br", "section"}
NUMBERS = re.compile(r"^(chapter |part |appendix )?([0-9A-Z]+\.)+\s*|^\d+\s+|[¶#]$", re.IGNORECASE)
LEAST_WORDS = 30
"""Of an answer: what is shorter says too little to be found."""
MOST_WORDS = 20
"""Of a question."""


class Section(Struct, frozen=True):
    heading: str
    text: str


def sections_of(package: str) -> list[Section]:
    """Every section of a package's pages that has a text, in a fixed order."""
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "usr" / "share" / "doc"
        unpack(package, Path(folder))
        found = [path for path in sorted(pages.rglob("*.html")) if path.is_file()]
        names = [path for path in found if not LEFT_OUT.search(path.as_posix())]
        return [section for path in names for section in sections_in(path.read_bytes())]


def newest(pattern: str) -> str:
    """The newest of the packages with such a name. Raises `RuntimeError`."""
    if shutil.which("apt-cache") is None:
        raise RuntimeError("The documentation comes from Debian's packages, and there is no apt-cache here.")
    names = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True).stdout
    found = [name for name in names.split() if re.fullmatch(pattern, name)]
    if not found:
        raise RuntimeError(f"There is no package {pattern}: `apt-get update` fetches the list of them.")
    return max(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def unpack(package: str, folder: Path) -> None:
    subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    [archive] = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)


def sections_in(page: bytes) -> Iterator[Section]:
    """The sections of a page, without what is around them."""
    root = html.document_fromstring(page, parser=html.HTMLParser(encoding="utf-8"))
    heading, text = "", [""]
    for kind, words in pieces(root):
        if kind == "heading":
            yield from finished(heading, text)
            heading, text = title_of(words), [""]
        else:
            text.append(words)
    yield from finished(heading, text)


def pieces(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Headings and texts, in their order."""
    for child in (element, *()):
        name = child.tag if isinstance(child.tag, str) else "script"
        if name in HEADINGS:
            yield "heading", "".join(words for _, words in inside(child))
        elif name not in NOT_TEXT and not MARGINS & set((child.get("class") or "").split()):
            yield from inside(child)


def inside(element: etree._Element) -> Iterator[tuple[str, str]]:
    around = "\n" if element.tag in APART else ""
    yield "text", around + (element.text or "")
    for child in element:
        yield from pieces(child)
        yield "text", child.tail or ""
    yield "text", around


def title_of(words: str) -> str:
    """A heading without its number."""
    return NUMBERS.sub("", " ".join(words.split())).strip(" ¶")


def finished(heading: str, text: Iterable[str]) -> Iterator[Section]:
    """The section, unless it is empty. Where its text has the heading as a line, that goes too."""
    lines = [" ".join(line.split()) for line in "".join(text).split("\n")]
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if line != heading)).strip()
    if heading and body:
        yield Section(heading, body)


def questions(sections: Iterable[Section]) -> list[int]:
    """The numbers of the sections that can be asked for: long enough, with a heading that no other has."""
    every = [*sections]
    times = Counter(section.heading.casefold() for section in every)
    return [
        number
        for number, section in enumerate(every)
        if times[section.heading.casefold()] == 1
        and len(section.text.split()) >= LEAST_WORDS
        and len(section.heading.split()) <= MOST_WORDS
    ]
