"""The documentation names everything that there is, and nothing that is not."""

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.manifest import TESTS
from threadkeep import cli, errors
from threadkeep.errors import Invalid, ThreadkeepError
from threadkeep.http.public import PUBLIC
from threadkeep.http.routes import OPERATIONS
from threadkeep.settings import PREFIX, Settings
from threadkeep.wire import openai_v2

ROOT = TESTS.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def headings(text: str) -> list[str]:
    """The headings of a page, without what looks like one in a code block."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", prose, re.MULTILINE)


def first_cells(text: str) -> set[str]:
    """The code in the first column of a page's tables."""
    return set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))


# ---------------------------------------------------------------- what there is stands in the docs


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_every_setting_has_a_heading(setting: str) -> None:
    assert PREFIX + setting.upper() in headings(read("docs/configuration.md"))


OPERATION_HEADINGS = [f"{one.method} {one.template}" for one in OPERATIONS] + [
    f"GET {path}" for path in PUBLIC
]


@pytest.mark.parametrize("operation", OPERATION_HEADINGS)
def test_every_operation_has_a_heading(operation: str) -> None:
    assert operation in headings(read("docs/api.md"))


def test_the_api_page_has_no_other_operations() -> None:
    named = {one for one in headings(read("docs/api.md")) if re.match("[A-Z]+ /", one)}
    assert named == set(OPERATION_HEADINGS)


def error_classes() -> list[type[ThreadkeepError]]:
    return [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, ThreadkeepError) and one is not ThreadkeepError
    ]


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_row(kind: type[ThreadkeepError]) -> None:
    assert kind.__name__ in first_cells(read("docs/errors.md"))


def codes() -> Iterator[str]:
    """Every code that an answer can have."""
    yield from (code for _, code in openai_v2.WORDS.values())
    for kind in error_classes():
        if kind is not Invalid:
            reply = openai_v2.DIALECT.error(kind(*samples(kind)))
            if code := reply.body["error"]["code"]:
                yield code


def samples(kind: type[ThreadkeepError]) -> list[Any]:
    """Arguments with which an error can be made."""
    values = {"int": 1, "str": "x", "str | None": None, "tuple[str, ...]": ("GET",)}
    parameters = inspect.signature(kind.__init__).parameters.values()
    given = [one for one in parameters if one.name != "self" and one.kind is one.POSITIONAL_OR_KEYWORD]
    return [values[inspect.formatannotation(one.annotation)] for one in given]


def test_every_code_has_a_row_and_no_other_has() -> None:
    table = read("docs/errors.md").partition("## Codes")[2]
    assert first_cells(table) == set(codes())


def commands(parser: argparse.ArgumentParser, words: str) -> Iterator[str]:
    """Every subcommand, in full."""
    inside = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not inside:
        yield words
    for choice in inside:
        for name, command in choice.choices.items():
            yield from commands(command, f"{words} {name}")


@pytest.mark.parametrize("command", [*commands(cli.parser(), "threadkeep")])
def test_every_command_is_mentioned(command: str) -> None:
    assert any(command in page.read_text("utf-8") for page in PAGES)


# ---------------------------------------------------------------- what stands in the docs is there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    # In a line of a code block, or as inline code.
    named = set(re.findall(r"(?:^|`)make (\w+)", page.read_text("utf-8"), re.MULTILINE))
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
        if not re.match("[a-z]+:", link) and not leads_somewhere(page, link)
    ]
    assert broken == []


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in map(slug, headings(target.read_text("utf-8"))))


def slug(heading: str) -> str:
    """A heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
