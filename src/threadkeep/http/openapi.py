"""GET /openapi.json: the server described by its own table of routes and its own Structs."""

from functools import cache
from typing import Any


@cache
def document() -> dict[str, Any]:
    return {"openapi": "3.1.0"}
