"""docs/compatibility.md, made from the manifest and the table of routes."""

from collections.abc import Iterable, Iterator, Sequence

from tests.contract.manifest import DIALECTS, HERE, TESTS, Promise
from threadkeep.http.caller import DIALECTS as SERVED
from threadkeep.http.routes import OPERATIONS

PAGE = TESTS.parent / "docs" / "compatibility.md"
TEMPLATE = HERE / "compatibility.template.md"

NAMES = {
    "v2": "OpenAI v2",
    "v1": "OpenAI v1",
    "rubra": "Rubra",
    "portkey": "Portkey",
    "knime": "KNIME",
    "all": "all",
    "server": "the server",
}
ALL = frozenset({"all"})
SECTIONS: Sequence[tuple[str, frozenset[str]]] = (
    ("Every dialect", ALL),
    ("OpenAI v2", frozenset({"v2"})),
    ("OpenAI v2 and v1", frozenset({"v2", "v1"})),
    ("OpenAI v1", frozenset({"v1"})),
    ("Rubra", frozenset({"rubra"})),
    ("Portkey", frozenset({"portkey"})),
    ("KNIME", frozenset({"knime"})),
    ("The server itself", frozenset({"server"})),
)
ABOUT = {
    "auth": "keys",
    "common": "requests",
    "http": "requests",
    "paging": "lists",
    "unicode": "text",
    "versions": "both versions",
}
"""Words for nouns of ids that would not speak for themselves."""
ORDER = ["threads", "messages", "files", "lists", "metadata", "text"]
"""What a reader looks for first; other nouns follow in the alphabet's order."""


def page(rows: Sequence[Promise]) -> str:
    """The whole page."""
    parts = {
        "operations": operations(),
        "differences": differences(row for row in rows if row.divergence),
        "promises": promises([row for row in rows if not row.divergence]),
    }
    text = TEMPLATE.read_text("utf-8")
    for name, lines in parts.items():
        text = text.replace(f"<!-- {name} -->", "\n".join(lines).strip())
    return text


def operations() -> Iterator[str]:
    """Which operation exists in which dialect."""
    yield from heading("operation", "OpenAI v2", "OpenAI v1", "Rubra")
    for operation in OPERATIONS:
        marks = ["yes" if operation.name in dialect.operations else "" for dialect in SERVED]
        yield line(f"`{operation.method} {operation.template}`", *marks)


def differences(rows: Iterable[Promise]) -> Iterator[str]:
    """What is not as it was, in the order of the sections."""
    order = [members for _, members in SECTIONS]
    yield from heading("what Threadkeep does", "for", "the difference, and why")
    for row in sorted(rows, key=lambda row: (order.index(place(row)), by_noun(row))):
        yield line(row.promise, ", ".join(NAMES[name] for name in row.dialects), row.divergence)


def promises(rows: Sequence[Promise]) -> Iterator[str]:
    """The promises, by audience."""
    for title, members in SECTIONS:
        mine = [row for row in rows if place(row) == members]
        if mine:
            yield from (f"### {title}", "", *section(mine, members), "")


def section(rows: Iterable[Promise], members: frozenset[str]) -> Iterator[str]:
    """The promises of one audience; others that they hold for are named."""
    yield from heading("about", "promise", "known from")
    before = ""
    for row in sorted(rows, key=by_noun):
        others = [NAMES[name] for name in row.dialects if name not in members]
        also = f" (Also {' and '.join(others)}.)" if others and members != ALL else ""
        noun = about(row)
        yield line(noun if noun != before else "", row.promise + also, row.source)
        before = noun


def place(row: Promise) -> frozenset[str]:
    """The section that a row belongs to."""
    named = frozenset(row.dialects)
    if named >= {"v2", "v1", "rubra"}:
        return ALL
    if named >= {"v2", "v1"}:
        return frozenset({"v2", "v1"})
    return frozenset({row.dialects[0]})


def about(row: Promise) -> str:
    """What a row is about, in a word or two."""
    words = row.id.split(".")
    noun = words[1] if words[0] in DIALECTS and len(words) > 1 else words[0]
    return "`threadkeep api`" if noun.startswith("api-") else ABOUT.get(noun, noun.replace("-", " "))


def by_noun(row: Promise) -> tuple[int, str]:
    noun = about(row)
    return (ORDER.index(noun) if noun in ORDER else len(ORDER)), noun


def heading(*cells: str) -> tuple[str, str]:
    return line(*cells), line(*("---" for _ in cells))


def line(*cells: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
