"""What tests of runs in bad weather share: a server on each database, whose models do as they are told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.runs.scene import Scene, WeatherHouse
from tests.support.upstream import Upstream
from tests.support.waiting import SECONDS
from threadkeep.engine import worker


@pytest.fixture(scope="package")
def sky() -> Iterator[Upstream]:
    """The upstream of every model."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="package")
def house_on(
    tmp_path_factory: pytest.TempPathFactory, sky: Upstream
) -> Iterator[Callable[[str], WeatherHouse]]:
    """A running server on a database of that kind."""
    with ExitStack() as stack:

        @cache
        def opened(database: str) -> WeatherHouse:
            directory = tmp_path_factory.mktemp("weather")
            return stack.enter_context(WeatherHouse(directory, database, sky))

        yield opened


AT_ONCE = 5.0
"""Seconds: more than a busy machine needs, and less than it takes until somebody looks."""


@pytest.fixture
def rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines hardly look by themselves: what happens `AT_ONCE` was told by a wake-up."""
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_LOOKS", 2 * SECONDS)


Setting = Callable[..., Scene]


@pytest.fixture
def on_sqlite(house_on: Callable[[str], WeatherHouse], sky: Upstream) -> Iterator[Setting]:
    """Makes scenes on SQLite, for what has nothing to do with the database."""
    yield from scenes(house_on("sqlite"), sky)


@pytest.fixture
def on_each(house_on: Callable[[str], WeatherHouse], sky: Upstream, database: str) -> Iterator[Setting]:
    """Makes scenes on each kind of database."""
    yield from scenes(house_on(database), sky)


def scenes(house: WeatherHouse, sky: Upstream) -> Iterator[Setting]:
    with ExitStack() as stack:

        def made(kind: str = "sky") -> Scene:
            return stack.enter_context(Scene(house, sky, kind))

        yield made


@pytest.fixture
def scene(on_sqlite: Setting) -> Scene:
    return on_sqlite()


@pytest.fixture
def each(on_each: Setting) -> Scene:
    return on_each()
