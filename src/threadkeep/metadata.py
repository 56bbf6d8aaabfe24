"""Metadata: up to 16 pairs of strings on every object. Reference: protocol section 1.5."""

from typing import Annotated

from msgspec import Meta

from threadkeep.errors import Invalid, Problem

Metadata = dict[str, str]

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
"""Pairs an object; code points a key and a value."""

Key = Annotated[str, Meta(max_length=MAX_KEY)]
Value = Annotated[str, Meta(max_length=MAX_VALUE)]
CheckedMetadata = Annotated[dict[Key, Value], Meta(max_length=MAX_PAIRS)]
"""Metadata as a request may hold it."""


def updated(mode: str, old: Metadata, new: Metadata) -> Metadata:
    """What a modification leaves: the new map (`replace`), or the old one with the new pairs (`merge`)."""
    if mode == "replace":
        return new
    merged = {**old, **new}
    if len(merged) > MAX_PAIRS:
        raise Invalid(Problem(("metadata",), "properties_too_many", actual=len(merged), limit=MAX_PAIRS))
    return merged
