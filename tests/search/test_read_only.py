"""A search while the database takes no writes: all that is missing is the note that the store was used."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.storage import test_postgres_trouble, test_trouble
from tests.support import postgres
from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.waiting import until
from threadkeep.errors import FAILING, Unavailable
from threadkeep.storage import health
from threadkeep.vector_stores import actions

pytestmark = pytest.mark.promise("v2.search.read-only")
HOUR, DAY = 3600, 24 * 3600


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def house(tmp_path: Any, database: str, clock: SetClock) -> Iterator[House]:
    """A server of the test's own, whose time it sets."""
    with House(tmp_path, database, clock=clock) as running:
        yield running


@pytest.fixture
def store(http: httpx.Client) -> str:
    """The path of a store with a file, which goes after a day without use."""
    form: Any = {"files": {"file": ("tea.txt", b"Tea is green.")}, "data": {"purpose": "assistants"}}
    file = http.post("/v1/files", **form).json()["id"]
    days = {"anchor": "last_active_at", "days": 1}
    made = http.post("/v1/vector_stores", json={"file_ids": [file], "expires_after": days}).json()["id"]
    path = f"/v1/vector_stores/{made}"
    until(lambda: http.get(path).json()["file_counts"]["completed"] == 1)
    return path


def read_only(house: House) -> Any:
    """Have the database take no writes, until `end` is called."""
    url = house.settings.database_url
    if url.startswith("sqlite"):
        return test_trouble.ReadOnly(house)
    name = url.partition("?")[0].rpartition("/")[2]
    return test_postgres_trouble.ReadOnly(postgres.server(), name)


def search(http: httpx.Client, store: str, **headers: str) -> httpx.Response:
    return http.post(f"{store}/search", json={"query": "tea"}, headers=headers)


def test_a_store_is_searched_while_its_use_cannot_be_noted(
    http: httpx.Client, house: House, clock: SetClock, store: str
) -> None:
    used = last_active(http, store)
    clock.advance(HOUR)
    cause = read_only(house)
    until(lambda: search(http, store).status_code == 200)  # connections may have to be made anew
    assert [hit["filename"] for hit in search(http, store).json()["data"]] == ["tea.txt"]
    assert search(http, store, **{"Idempotency-Key": "k"}).status_code == 503  # its answer is to be kept
    assert last_active(http, store) == used
    cause.end()
    until(lambda: search(http, store).status_code == 200 and last_active(http, store) == used + HOUR)


def last_active(http: httpx.Client, store: str) -> int:
    return int(http.get(store).json()["last_active_at"])


def test_an_expired_store_is_not_searched_either(
    http: httpx.Client, house: House, clock: SetClock, store: str
) -> None:
    clock.advance(DAY)
    cause = read_only(house)
    until(lambda: http.get(store).status_code == 200)
    said = f"Vector store {store.rpartition('/')[2]} has expired."
    assert answered(search(http, store)) == refusal(400, said, None, "vector_store_expired")
    cause.end()


class Refusing:
    """A database whose writes all fail for one reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def write(self, work: Any) -> None:
        raise Unavailable("the write failed", self.reason)


async def noted(reason: str) -> None:
    """Note a use where writes fail for that reason."""
    context: Any = SimpleNamespace(now=lambda: 2, database=Refusing(reason))
    used: Any = SimpleNamespace(id="vs_1", last_active_at=1)
    await actions.touch(context, [used])


@pytest.mark.anyio
async def test_only_a_database_that_can_still_be_read_does_without_the_note() -> None:
    for reason in (health.READ_ONLY, health.FULL):
        await noted(reason)
    for reason in (health.BUSY, health.UNREACHABLE, FAILING):
        with pytest.raises(Unavailable):
            await noted(reason)
