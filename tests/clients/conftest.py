"""A server whose models are a scripted upstream, on either database."""

from collections.abc import Iterator

import pytest

from tests.clients.conversations import ModelHouse
from tests.support.upstream import Upstream


@pytest.fixture(scope="package")
def model_house(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[ModelHouse]:
    """A running server that asks the scripted upstream for every model."""
    with (
        Upstream() as upstream,
        ModelHouse(tmp_path_factory.mktemp("models"), database, upstream) as running,
    ):
        yield running
