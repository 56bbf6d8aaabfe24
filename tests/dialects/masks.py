"""Ids and times put aside, so that an answer can be compared as a whole."""

import re
from collections.abc import Callable, Collection
from typing import Any

ID = re.compile(r"(?P<noun>msg|message|thread|asst|run)_[0-9A-Za-z]+|file-[0-9A-Za-z]+")
TIMES = {"created_at", "completed_at"}


def masked(value: Any, keep: Collection[str] = ()) -> Any:
    """`value` with `<time>` for times and `<noun>` for ids, those in `keep` excepted."""

    def name(id: str) -> str:
        return id if id in keep else f"<{noun_of(id)}>"

    return replaced(value, name)


def numbered(value: Any) -> Any:
    """`value` with `<time>` for times, and `<noun 1>`, `<noun 2>`, ... for the ids as they first appear."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}

    def name(id: str) -> str:
        if id not in names:
            noun = noun_of(id)
            counts[noun] = counts.get(noun, 0) + 1
            names[id] = f"<{noun} {counts[noun]}>"
        return names[id]

    return replaced(value, name)


def noun_of(id: str) -> str:
    return re.split("[-_]", id)[0].replace("message", "msg")


def replaced(value: Any, name: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {one: replaced(inside, name, one) for one, inside in value.items()}
    if isinstance(value, list):
        return [replaced(inside, name) for inside in value]
    if key in TIMES and isinstance(value, int):
        return "<time>"
    return name(value) if isinstance(value, str) and ID.fullmatch(value) else value
