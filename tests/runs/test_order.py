"""The order of a thread's runs, whose servers need not agree on the time."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.plain import plain
from tests.support.waiting import until

NOW = 1_800_000_000
SECONDS_APART = 2


@pytest.fixture
def ahead(tmp_path: Path, database: str) -> Iterator[House]:
    """A server of the test's own..."""
    with House(tmp_path, database, clock=SetClock(NOW)) as running:
        yield running


@pytest.fixture
def behind(ahead: House) -> Iterator[House]:
    """...and another on its database."""
    url = ahead.settings.database_url
    with House(ahead.directory, database_url=url, clock=SetClock(NOW - SECONDS_APART)) as running:
        yield running


def run_on(http: httpx.Client, thread: str, assistant: str) -> str:
    """A run, from its making to its end."""
    runs = f"/v1/threads/{thread}/runs"
    made = http.post(runs, json={"assistant_id": assistant})
    assert made.status_code == 200, made.text
    id = str(made.json()["id"])
    until(lambda: http.get(f"{runs}/{id}").json()["status"] == "completed")
    return id


@pytest.mark.promise("runs.list.clocks")
def test_runs_are_listed_in_the_order_of_their_making_whatever_the_clocks_say(
    ahead: House, behind: House
) -> None:
    key = ahead.new_key("p")
    with plain(ahead, key) as one, plain(behind, key) as other:
        said = [{"role": "user", "content": "Hi"}]
        thread = one.post("/v1/threads", json={"messages": said}).json()["id"]
        assistant = one.post("/v1/assistants", json={"model": "echo"}).json()["id"]
        made = [run_on(http, thread, assistant) for http in (one, other, other, one, other, one)]
        page = one.get(f"/v1/threads/{thread}/runs?order=asc").json()
        assert [run["id"] for run in page["data"]] == made
        rest = other.get(f"/v1/threads/{thread}/runs?order=asc&after={made[2]}").json()
        assert [run["id"] for run in rest["data"]] == made[3:]
    assert len(set(map(len, made))) == 1
