"""The manifest: every promise to users, as rows in rows_*.toml beside this file.

    [[promise]]
    id = "messages.create.string-content"     # what tests name: @pytest.mark.promise("...")
    promise = "A string is stored as one text part."
    dialect = "v1, v2"                        # of DIALECTS
    source = "OpenAI API reference"           # where it is known from, in a reader's words
    divergence = "..."                        # only where this server differs on purpose: how, and why

A row has at least one test, or is a divergence; a test names only rows that exist.
"""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

HERE = Path(__file__).parent
TESTS = HERE.parent
DIALECTS = ("v2", "v1", "rubra", "portkey", "knime", "all", "server")


class Promise(Struct, frozen=True, forbid_unknown_fields=True):
    """One row."""

    id: str
    promise: str
    dialect: str
    source: str
    divergence: str = ""

    @property
    def dialects(self) -> tuple[str, ...]:
        """The dialects that it is made for, in the order of `DIALECTS`."""
        named = {name.strip() for name in self.dialect.split(",")}
        return tuple(name for name in DIALECTS if name in named)

    @property
    def noun(self) -> str:
        """What it is about: the first word of its id."""
        return self.id.partition(".")[0]


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of rows."""

    promise: list[Promise]


def promises() -> list[Promise]:
    """Every row of every file, in the order in which they are written."""
    return [
        row
        for path in sorted(HERE.glob("rows_*.toml"))
        for row in msgspec.convert(tomllib.loads(path.read_text("utf-8")), Rows).promise
    ]


def proofs() -> Mapping[str, list[str]]:
    """The files whose tests name each id, found without running anything."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for id in ids_in(ast.parse(path.read_text("utf-8"))):
            found.setdefault(id, []).append(path.relative_to(TESTS).as_posix())
    return found


def ids_in(tree: ast.AST) -> Iterator[str]:
    """The arguments of each `pytest.mark.promise(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            for argument in node.args:
                yield str(ast.literal_eval(argument))
