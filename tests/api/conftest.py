"""What tests of the API share beyond `tests/conftest.py`."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types.beta import Assistant

from tests.support.house import House
from tests.support.upstream import Turn, Upstream

_numbers = itertools.count()


@pytest.fixture
def places(http: httpx.Client) -> dict[str, str]:
    """Paths of a thread and of a message in it."""
    message = {"role": "user", "content": "x"}
    thread = f"/v1/threads/{http.post('/v1/threads').json()['id']}"
    id = http.post(f"{thread}/messages", json=message).json()["id"]
    return {"thread": thread, "message": f"{thread}/messages/{id}"}


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The upstream of every model of `house`."""
    with Upstream() as one:
        yield one


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, database: str, upstream: Upstream) -> Iterator[House]:
    """A running server with default settings, but for its models."""
    with House(tmp_path_factory.mktemp("house"), database, upstream_base_url=upstream.url) as running:
        yield running


class Model:
    """A model that no other test has: `name`, and the turns that it takes."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream, self.name = upstream, f"model-{next(_numbers)}"

    def says(self, *turns: Turn) -> None:
        self._upstream.script(*turns, model=self.name)

    @property
    def asked(self) -> list[Any]:
        """The body of each request for it."""
        return [body for body in self._upstream.bodies if body["model"] == self.name]


@pytest.fixture
def model(upstream: Upstream) -> Model:
    return Model(upstream)


@pytest.fixture
def assistant(client: OpenAI, model: Model) -> Assistant:
    """An assistant with the test's own model, and instructions."""
    return client.beta.assistants.create(model=model.name, instructions="Be brief.")
