"""Plain HTTP in each dialect, for one fresh project; every answer is held against its published shape."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support import shapes
from tests.support.house import House

Connect = Callable[..., httpx.Client]


@pytest.fixture
def connect(house: House, key: str) -> Iterator[Connect]:
    """Makes clients of the project: `connect(base, **headers)`; they are closed at the end of the test."""
    with ExitStack() as stack:

        def one(base: str, headers: dict[str, str] | None = None) -> httpx.Client:
            client = httpx.Client(
                base_url=house.address + base,
                headers={"Authorization": f"Bearer {key}", **(headers or {})},
                event_hooks={"response": [shapes.check_response]},
                verify=False,  # or it would first read all certificates
            )
            return stack.enter_context(client)

        yield one


@pytest.fixture
def v1(connect: Connect) -> httpx.Client:
    """Speaks OpenAI v1; paths begin behind /v1."""
    return connect("/v1", {"OpenAI-Beta": "assistants=v1"})


@pytest.fixture
def v2(connect: Connect) -> httpx.Client:
    """Speaks OpenAI v2, to the same project as `v1` and `rubra`."""
    return connect("/v1", {"OpenAI-Beta": "assistants=v2"})


@pytest.fixture(params=["/rubra", "/rubra/v1"])
def rubra(connect: Connect, request: pytest.FixtureRequest) -> httpx.Client:
    """Speaks Rubra, under both of its addresses."""
    return connect(request.param)
