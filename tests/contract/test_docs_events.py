"""What the log tells of trouble, docs/operations.md explains."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import threadkeep
from tests.contract.test_docs import read

SOURCE = Path(threadkeep.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
EVENT = re.compile(r"event=(\w+)")
QUIET = {"info", "debug"}
OF_COURSE = {"request"}
"""The access log, which the page explains above the table."""


def events_in(path: Path) -> Iterator[tuple[str, bool]]:
    """Every event that a call in a file names, and whether the log shows it only as a matter of course."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            quiet = isinstance(node.func, ast.Attribute) and node.func.attr in QUIET
            for argument in node.args:
                if isinstance(argument, ast.Constant | ast.JoinedStr):
                    yield from ((name, quiet) for name in EVENT.findall(ast.unparse(argument)))


def events() -> list[tuple[str, bool]]:
    return [found for path in FILES for found in events_in(path)]


def explained() -> set[str]:
    """What has a row in the table."""
    section = read("docs/operations.md").partition("## What to watch in the log")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("event", sorted({name for name, quiet in events() if not quiet} - OF_COURSE))
def test_every_event_of_trouble_has_a_row(event: str) -> None:
    assert event in explained()


def test_no_other_event_has_a_row() -> None:
    assert explained() - {name for name, _ in events()} == set()
