"""Plain HTTP to a server of the test's own."""

from collections.abc import Mapping

import httpx

from tests.support.house import House
from tests.support.shapes import check_response


def plain(house: House, key: str = "", headers: Mapping[str, str | bytes] | None = None) -> httpx.Client:
    """A client of `house`, whose paths begin at the server's root. To be closed, as with any client. Every
    answer is held against its schema."""
    given: dict[str, str | bytes] = {**(headers or {})}
    if key:
        given["Authorization"] = f"Bearer {key}"
    # Without `verify=False` each client would first read all certificates.
    hooks = {"response": [check_response]}
    return httpx.Client(base_url=house.address, headers=given, event_hooks=hooks, verify=False)  # type: ignore[arg-type]
