"""What differs from one run to the next, made the same: for whole-object comparisons."""

import re
import time
from typing import Any

ID = re.compile(r"\b(?:(thread_|msg_|file-|asst_|run_|step_|vs_)[0-9A-Za-z]{24}|(vsfb_)[0-9a-f]{32})\b")
NOW = 60
"""Seconds around the present that count as now."""


def masked(value: Any) -> Any:
    """`value` with `msg_*` for ids and `now` for times of the last minute.

    Objects of the official client become dicts of exactly what the server sent.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: "now" if recent(key, item) else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return ID.sub(r"\1\2*", value) if isinstance(value, str) else value


def recent(key: str, value: Any) -> bool:
    return key.endswith("_at") and type(value) is int and abs(time.time() - value) < NOW
