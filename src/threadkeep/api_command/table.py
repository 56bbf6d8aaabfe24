"""Rows as aligned columns for a person and as CSV for a program, and nothing that could drive a terminal."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias

Row: TypeAlias = Mapping[str, Any]

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, those that turn the direction of the text, and halves of surrogate pairs."""

GAP = "  "
FIRST_KEPT = ("id", "role", "content", "message", "filename", "name", "purpose", "status", "deleted")
"""Where not every column fits, these stay longest, in this order."""

LEAST_WIDTH = {"id": 60, "content": 32}
"""How far a column may be narrowed before another one is left out instead; others down to 12."""

WIDEST_WITHOUT_TERMINAL = 80

LONGEST_MEASURED = 4096
"""Characters of a cell that are looked at; no terminal is that wide, and a message may be long."""


def visible(text: str, keep: str = "") -> str:
    """`text` with an escape such as \\n or \\x1b for each unsafe character that is not in `keep`."""
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def emit(text: str) -> None:
    """Write to standard output, in UTF-8 whatever the locale."""
    sys.stdout.flush()
    write_all(sys.stdout.buffer, text.encode("utf-8", "backslashreplace"))


def write_all(sink: BinaryIO, data: bytes) -> None:
    """Write and flush all of `data`; with PYTHONUNBUFFERED one write to a pipe may take only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[sink.write(rest) :]
    sink.flush()


def complain(text: str) -> None:
    """One line to standard error."""
    print(f"threadkeep api: {visible(text)}", file=sys.stderr)


def terminal_width() -> int | None:
    """Columns of the terminal, or as COLUMNS says; None where the output goes elsewhere."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every key of every row, in the order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def cell(column: str, value: Any) -> str:
    """A value as text: a string is itself, nothing is empty, a message's content is its text, else JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if column == "content" and isinstance(value, list):
        return "\n".join(map(_part, value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _part(part: Any) -> str:
    """A content part's text; an image or a part of another kind as JSON."""
    if isinstance(part, dict) and part.get("type") in ("text", "refusal"):
        text = part.get(part["type"])
        text = text.get("value") if isinstance(text, dict) else text
        if isinstance(text, str):
            return text
    return cell("", part)


def as_csv(rows: Sequence[Row]) -> str:
    """RFC 4180 with a header line. No row means no known column, so no text at all."""
    if not rows:
        return ""
    columns = columns_of(rows)
    lines = [columns, *([cell(column, row.get(column)) for column in columns] for row in rows)]
    if sys.stdout.isatty():
        lines = [[visible(text, keep="\n\t") for text in line] for line in lines]
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\r\n").writerows(lines)
    return sink.getvalue()


def as_table(rows: Sequence[Row], limit: int | None, whole: bool = False) -> str:
    """Aligned columns, at most `limit` wide (None: no terminal to fit); `whole` leaves every cell uncut.

    Columns that do not fit are named in a line below the table.
    """
    if not rows:
        return "(no rows)\n"
    columns = columns_of(rows)
    longest = None if whole else LONGEST_MEASURED
    lines = [
        [visible(column) for column in columns],
        *([visible(cell(column, row.get(column))[:longest]) for column in columns] for row in rows),
    ]
    natural = {column: max(map(width, texts)) for column, *texts in zip(columns, *lines, strict=True)}
    told = {column for column, _, *texts in zip(columns, *lines, strict=True) if any(texts)}
    widths = natural if whole else fit(natural, told, limit)
    shown = [index for index, column in enumerate(columns) if column in widths]
    text = "".join(_line([(line[index], widths[columns[index]]) for index in shown]) for line in lines)
    left_out = [visible(column) for column in columns if column not in widths]
    return text + (f"(not shown: {', '.join(left_out)})\n" if left_out else "")


def _line(cells: Sequence[tuple[str, int]]) -> str:
    padded = (text + " " * (size - width(text)) for text, size in ((cut(*pair), pair[1]) for pair in cells))
    return GAP.join(padded).rstrip() + "\n"


def fit(natural: Mapping[str, int], told: set[str], limit: int | None) -> dict[str, int]:
    """The width of every column that is shown. Columns outside `told`, all empty, are the first to go."""
    if limit is None:
        return {column: min(size, WIDEST_WITHOUT_TERMINAL) for column, size in natural.items()}
    ranked = sorted(natural, key=lambda column: (column not in told, _rank(column)))
    widths: dict[str, int] = {}
    spare = limit + len(GAP)
    for column in ranked:
        least = min(natural[column], LEAST_WIDTH.get(column, 12), limit)
        if least + len(GAP) > spare:
            break
        widths[column] = least
        spare -= least + len(GAP)
    for column in widths:
        wider = min(natural[column] - widths[column], spare)
        widths[column] += wider
        spare -= wider
    return widths


def _rank(column: str) -> int:
    if column in FIRST_KEPT:
        return FIRST_KEPT.index(column)
    return len(FIRST_KEPT) + (column == "object")  # `object` says what the reader asked for


def width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, size: int) -> str:
    """`text` in at most `size` columns; an ellipsis stands for what is missing."""
    if width(text) <= size:
        return text
    room = size - width("…")
    fitting = itertools.takewhile(
        lambda taken: taken <= room, itertools.accumulate(map(_character_width, text))
    )
    return text[: sum(1 for _ in fitting)] + "…"
