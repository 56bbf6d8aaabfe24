"""Runs that wait until files that they are to search can be searched."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.runs.scene import Scene, WeatherHouse
from tests.runs.test_file_search import ASKS, SEARCH, TEXT, give, search_of, upload
from tests.support.upstream import Say, Upstream
from tests.support.waiting import until
from tests.vector_stores.conftest import Worker
from threadkeep.engine import searching

pytestmark = pytest.mark.promise("runs.file-search.waiting")
Open = Callable[[], WeatherHouse]
V1 = {"OpenAI-Beta": "assistants=v1"}


@pytest.fixture
def opened(tmp_path: Path, database: str, sky: Upstream) -> Iterator[Open]:
    """Starts servers on one database, which leave files in stores to the test."""
    with ExitStack() as stack:

        def start() -> WeatherHouse:
            house = WeatherHouse(tmp_path, database, sky, ingestion_workers=0)
            return stack.enter_context(house)

        yield start


@pytest.fixture
def scene(opened: Open, sky: Upstream) -> Iterator[Scene]:
    with Scene(opened(), sky) as one:
        one.says(Say(ASKS), Say("Cheese."))
        yield one


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not woken waits for ever."""
    monkeypatch.setattr(searching, "FIRST_LOOK", 3600)
    monkeypatch.setattr(searching, "LONGEST_LOOK", 3600)


def waiting(scene: Scene, names: tuple[str, ...] = ("moon.txt",)) -> tuple[str, str, list[str]]:
    """A run that waits for the files of its thread; its id, that of the store and those of the files."""
    files = [upload(scene, name, TEXT) for name in names]
    store = scene.post("/v1/vector_stores", {"file_ids": files})["id"]
    give(scene, f"/v1/threads/{scene.thread}", store)
    run = scene.start(tools=[SEARCH])
    until(lambda: scene.now(run) == "in_progress")
    return run, store, files


def with_thread(scene: Scene, given: dict[str, Any], headers: dict[str, str]) -> str:
    """A run that was made together with its thread, which is the scene's from then on."""
    thread = {"messages": [{"role": "user", "content": "What is the moon made of?"}]}
    body = {"assistant_id": scene.assistant, "thread": thread, **given}
    answer = scene.http.post("/v1/threads/runs", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    scene.thread = answer.json()["thread_id"]
    scene.runs = f"/v1/threads/{scene.thread}/runs"
    run = str(answer.json()["id"])
    until(lambda: scene.now(run) == "in_progress")
    return run


def finish(worker: Worker, store: str) -> None:
    """Make the files of a store searchable."""
    for claim in worker.claimed(store):
        worker.complete(claim, texts=[TEXT])


def found(scene: Scene, run: str) -> list[Any]:
    """The files that a run has found, once it is over."""
    assert scene.left(run).status == "completed"
    return [one["file_id"] for one in search_of(scene, run)["file_search"]["results"]]


@pytest.mark.usefixtures("nobody_looks")
def test_a_run_is_woken_by_the_last_file_of_its_threads_store(scene: Scene):
    run, store, files = waiting(scene, ("moon.txt", "sun.txt"))
    worker = Worker(scene.house)
    claims = {claim.file_id: claim for claim in worker.claimed(store)}
    worker.complete(claims[files[0]], texts=[TEXT])
    assert (scene.now(run), scene.asked) == ("in_progress", [])
    worker.fail(claims[files[1]])
    assert found(scene, run) == [files[0]]


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("how", ["file", "detached", "batch", "store"])
def test_a_run_is_woken_when_nothing_is_left_to_wait_for(scene: Scene, how: str):
    run, store, (file,) = waiting(scene)
    stores = f"/v1/vector_stores/{store}"
    if how == "file":
        scene.http.delete(f"/v1/files/{file}")
    elif how == "detached":
        scene.http.delete(f"{stores}/files/{file}")
    elif how == "batch":
        batch = scene.post(f"{stores}/file_batches", {"file_ids": [file]})["id"]
        scene.post(f"{stores}/file_batches/{batch}/cancel")
    else:
        scene.http.delete(stores)
    assert found(scene, run) == []


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("database", ["postgres"])
def test_a_run_is_woken_by_another_process(scene: Scene, opened: Open):
    other = opened()
    run, store, files = waiting(scene)
    finish(Worker(other), store)
    assert found(scene, run) == files


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("attached", ["with it", "later"])
def test_a_run_waits_for_the_files_that_v1_gave_to_its_assistant(scene: Scene, attached: str):
    file = upload(scene, "moon.txt", TEXT)
    body = {"model": scene.model, "tools": [{"type": "retrieval"}]}
    body |= {"file_ids": [file]} if attached == "with it" else {}
    scene.assistant = scene.http.post("/v1/assistants", json=body, headers=V1).json()["id"]
    path = f"/v1/assistants/{scene.assistant}"
    if attached == "later":
        assert scene.http.post(f"{path}/files", json={"file_id": file}, headers=V1).status_code == 200
    run = with_thread(scene, {}, V1)
    assert (scene.now(run), scene.asked) == ("in_progress", [])
    (store,) = scene.get(path)["tool_resources"]["file_search"]["vector_store_ids"]
    finish(Worker(scene.house), store)
    assert found(scene, run) == [file]


@pytest.mark.usefixtures("nobody_looks")
def test_a_run_waits_for_the_files_of_stores_that_it_was_given_itself(scene: Scene):
    file = upload(scene, "moon.txt", TEXT)
    store = scene.post("/v1/vector_stores", {"file_ids": [file]})["id"]
    resources = {"file_search": {"vector_store_ids": [store]}}
    run = with_thread(scene, {"tools": [SEARCH], "tool_resources": resources}, {})
    assert (scene.now(run), scene.asked) == ("in_progress", [])
    finish(Worker(scene.house), store)
    assert found(scene, run) == [file]


def test_a_run_sees_by_itself_what_it_was_not_told(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    run, store, files = waiting(scene)
    monkeypatch.setattr("threadkeep.vector_stores.store.READY", "unheard")
    finish(Worker(scene.house), store)
    assert found(scene, run) == files


def test_a_run_waits_for_a_minute_and_goes_on_with_what_there_is(scene: Scene):
    run, store, (file,) = waiting(scene)
    scene.house.pass_time(searching.SECONDS_FOR_STORES - 1)
    assert (scene.now(run), scene.asked) == ("in_progress", [])
    scene.house.pass_time(1)
    assert found(scene, run) == []
    Worker(scene.house).finish(store)
    until(lambda: scene.get(f"/v1/vector_stores/{store}/files/{file}")["status"] == "completed")


def test_a_run_does_not_wait_for_a_store_of_its_assistant(scene: Scene):
    file = upload(scene, "moon.txt", TEXT)
    store = scene.post("/v1/vector_stores", {"file_ids": [file]})["id"]
    give(scene, f"/v1/assistants/{scene.assistant}", store)
    assert found(scene, scene.start(tools=[SEARCH])) == []


def test_a_store_that_expires_meanwhile_fails_the_run(scene: Scene):
    run, store, _ = waiting(scene)
    path = f"/v1/vector_stores/{store}"
    scene.post(path, {"expires_after": {"anchor": "last_active_at", "days": 1}})
    scene.house.call(lambda: scene.house.context.database.write(lambda t: t.run(EXPIRE, {"id": store})))
    left = scene.left(run)
    assert (left.status, left.run["last_error"]["message"]) == (
        "failed",
        f"The vector store '{store}' has expired, and can no longer be searched.",
    )


EXPIRE = "UPDATE vector_stores SET expires_at = 1 WHERE id = :id"
