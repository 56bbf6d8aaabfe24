"""What runs do for the vector stores that they may search: those in use do not expire."""

from typing import Any

import pytest

from tests.runs.scene import TIME, Scene
from tests.runs.test_file_search import ASKS, OTHER, SEARCH, TEXT, give, search_of, store_with
from tests.support.upstream import Say

pytestmark = pytest.mark.promise("runs.file-search.stores")
HOUR = 3600


def expiring(scene: Scene, name: str = "moon.txt", text: str = TEXT) -> str:
    """A store that goes after a day without use."""
    store, _ = store_with(scene, name, text)
    scene.post(f"/v1/vector_stores/{store}", {"expires_after": {"anchor": "last_active_at", "days": 1}})
    return store


def last_active(scene: Scene, store: str) -> int:
    return int(scene.get(f"/v1/vector_stores/{store}")["last_active_at"])


def answers(scene: Scene, **given: Any) -> None:
    """A run whose model does not search, though it may."""
    scene.says(Say("Good morning."))
    assert scene.left(scene.start(**{"tools": [SEARCH], **given})).status == "completed"


def test_a_thread_in_daily_use_keeps_its_store(each: Scene):
    store = expiring(each)
    give(each, f"/v1/threads/{each.thread}", store)
    for _ in range(3):
        each.house.pass_time(20 * HOUR)
        answers(each)
    each.house.pass_time(20 * HOUR)
    each.says(Say(ASKS), Say("Cheese."))
    run, _ = each.whole(tools=[SEARCH])
    assert len(search_of(each, run)["file_search"]["results"]) == 1


def test_every_store_that_a_run_may_search_is_used_whatever_became_of_others(each: Scene):
    theirs, mine = expiring(each), expiring(each, "elephants.txt", OTHER)
    give(each, f"/v1/assistants/{each.assistant}", theirs)
    give(each, f"/v1/threads/{each.thread}", mine)
    before = last_active(each, mine)
    each.house.pass_time(HOUR)
    answers(each)
    assert last_active(each, theirs) == last_active(each, mine) >= before + HOUR
    each.http.delete(f"/v1/vector_stores/{theirs}")
    each.house.pass_time(HOUR)
    answers(each)
    assert last_active(each, mine) >= before + 2 * HOUR


@pytest.mark.parametrize("given", [{"tools": [TIME]}, {"tools": [SEARCH], "tool_choice": "none"}])
def test_a_run_that_may_not_search_uses_no_store(scene: Scene, given: Any):
    store = expiring(scene)
    give(scene, f"/v1/threads/{scene.thread}", store)
    before = last_active(scene, store)
    scene.house.pass_time(HOUR)
    answers(scene, **given)
    assert last_active(scene, store) == before
