"""Runs among several processes, at a stop, and where there are more than may be worked at once."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.runs.conftest import AT_ONCE
from tests.runs.scene import HELD_POLL, Scene, WeatherHouse
from tests.support.child import Child
from tests.support.upstream import Call, Gate, Say, Upstream
from tests.support.waiting import SECONDS, until
from threadkeep.engine import worker

COMPLETED_MESSAGE = [("message_creation", "completed")]
BROKEN_OFF = "CQImpcid!."


# ---------------------------------------------------------------- two at work


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, sky: Upstream
) -> Iterator[tuple[WeatherHouse, WeatherHouse]]:
    """Two servers on one database."""
    directory = tmp_path_factory.mktemp("pair")
    with (
        WeatherHouse(directory, "postgres", sky) as one,
        WeatherHouse(directory, "postgres", sky) as other,
    ):
        yield one, other


@pytest.fixture
def both(pair: tuple[WeatherHouse, WeatherHouse], sky: Upstream) -> Iterator[tuple[Scene, Scene]]:
    """One scene as it is seen at the one server and at the other."""
    with Scene(pair[0], sky) as here, here.seen_at(pair[1]) as there:
        yield here, there


@pytest.mark.promise("runs.weather.processes")
@pytest.mark.usefixtures("rare_looks")
def test_cancelling_at_another_process_stops_the_model_at_once(both: tuple[Scene, Scene]):
    here, there = both
    here.says(Say("Half an ", Gate(), "answer"))
    with here.watched() as stream:
        stream.until("d")
        begun = time.monotonic()
        there.cancel(stream.run_id)
        assert stream.rest() == "CQImpcidLnxX."
    assert time.monotonic() - begun < AT_ONCE
    left = there.left(stream.run_id)
    assert (left.status, left.messages) == ("cancelled", [("Half an ", "run_cancelled")])


@pytest.mark.promise("runs.weather.processes")
@pytest.mark.usefixtures("rare_looks")
def test_deleting_the_thread_at_another_process_stops_the_model_at_once(both: tuple[Scene, Scene]):
    here, there = both
    here.says(Say("Half an ", Gate(), "answer"))
    with here.watched() as stream:
        stream.until("d")
        begun = time.monotonic()
        assert there.http.delete(f"/v1/threads/{here.thread}").status_code == 200
        assert stream.rest() == "CQImpcidLnxX."
    assert time.monotonic() - begun < AT_ONCE


@pytest.mark.promise("runs.weather.processes")
def test_outputs_may_be_handed_in_anywhere(both: tuple[Scene, Scene]):
    here, there = both
    here.says(Say(Call("weather", "{}")), Say("Sunny."))
    run, _ = here.whole()
    with there.answered(run, "sunny") as stream:
        assert stream.rest() == "sQImpcidksK."
    assert here.left(run).messages == [("Sunny.", None)]


@pytest.mark.promise("runs.weather.processes")
@pytest.mark.usefixtures("rare_looks")
def test_a_poll_that_is_held_at_another_process_sees_the_end_at_once(both: tuple[Scene, Scene]):
    here, there = both
    here.says(Say("Good ", gate := Gate(), "morning."))
    with here.watched() as stream, ThreadPoolExecutor(1) as beside:
        stream.until("d")
        poll = beside.submit(there.get, f"{there.runs}/{stream.run_id}", HELD_POLL)
        gate.open()
        begun = time.monotonic()
        assert poll.result(SECONDS)["status"] == "completed"
    assert time.monotonic() - begun < AT_ONCE


# ---------------------------------------------------------------- more than there is room for

Crowd = Callable[[], Scene]


@pytest.fixture
def crowd(tmp_path: Path, database: str, sky: Upstream) -> Iterator[Crowd]:
    """Makes scenes at a server that works one run at a time."""
    with ExitStack() as stack:
        house = stack.enter_context(WeatherHouse(tmp_path, database, sky, max_active_runs=1))
        key = house.new_key("crowd")

        def made() -> Scene:
            return stack.enter_context(Scene(house, sky, key=key))

        yield made


def busy(crowd: Crowd) -> tuple[str, Scene, Gate]:
    """A run that leaves no room for others, until its gate is opened."""
    scene, gate = crowd(), Gate()
    scene.says(Say("One ", gate, "moment."))
    run = scene.start()
    gate.wait()
    return run, scene, gate


@pytest.mark.promise("runs.weather.crowd")
def test_runs_wait_for_room_and_are_worked_then(crowd: Crowd):
    first, scene, gate = busy(crowd)
    others = [crowd() for _ in range(3)]
    for other in others:
        other.says(Say("Good morning."))
    runs = [other.start() for other in others[:2]]
    with others[2].watched() as stream:
        stream.until("Q")
        assert [other.now(run) for other, run in zip(others, runs, strict=False)] == ["queued"] * 2
        assert [other.asked for other in others] == [[]] * 3
        gate.open()
        assert stream.rest() == "CQImpcidksK."
    for other, run in zip(others, [*runs, stream.run_id], strict=True):
        left = other.left(run)
        assert (left.status, left.messages) == ("completed", [("Good morning.", None)])
    assert scene.left(first).messages == [("One moment.", None)]


@pytest.mark.promise("runs.weather.crowd")
def test_outputs_wait_for_room_as_well(crowd: Crowd):
    other = crowd()
    other.says(Say(Call("weather", "{}")), Say("Sunny."))
    run, _ = other.whole()
    first, scene, gate = busy(crowd)
    with other.answered(run, "sunny") as stream:
        stream.until("Q")
        assert (other.now(run), len(other.asked)) == ("queued", 1)
        gate.open()
        assert stream.rest() == "sQImpcidksK."
    assert other.left(run).messages == [("Sunny.", None)]
    assert scene.left(first).status == "completed"


@pytest.mark.promise("runs.weather.crowd", "runs.weather.cancel")
def test_a_queued_run_is_cancelled_without_room(crowd: Crowd):
    first, scene, gate = busy(crowd)
    other = crowd()
    with other.watched() as stream:
        stream.until("Q")
        other.cancel(stream.run_id)
        assert stream.rest() == "CQLX."
    left = other.left(stream.run_id)
    assert (left.status, left.steps, left.messages) == ("cancelled", [], [])
    assert (left.run["started_at"], left.tokens, other.asked) == (None, (0, 0), [])
    assert scene.now(first) == "in_progress"
    gate.open()
    assert scene.left(first).status == "completed"


@pytest.mark.promise("runs.weather.crowd", "runs.weather.deletions")
def test_a_thread_with_a_queued_run_can_be_deleted(crowd: Crowd):
    first, scene, gate = busy(crowd)
    other = crowd()
    with other.watched() as stream:
        stream.until("Q")
        assert other.http.delete(f"/v1/threads/{other.thread}").status_code == 200
        assert stream.rest() == "CQLX."
    gate.open()
    assert scene.left(first).status == "completed"
    assert other.asked == []


@pytest.mark.promise("runs.weather.crowd", "runs.weather.expiry")
def test_a_queued_run_expires(crowd: Crowd):
    first, scene, _ = busy(crowd)
    other = crowd()
    with other.watched() as stream:
        stream.until("Q")
        scene.house.pass_time(600)
        assert stream.rest() == "CQE."
    left = other.left(stream.run_id)
    assert (left.status, left.steps, left.messages) == ("expired", [], [])
    assert (left.run["started_at"], left.tokens, other.asked) == (None, (0, 0), [])
    assert scene.left(first).messages == [("One ", "run_expired")]


# ---------------------------------------------------------------- stopping


@pytest.mark.promise("runs.weather.stop")
def test_a_stop_hands_over_what_it_cannot_finish(
    tmp_path: Path, database: str, sky: Upstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker, "SECONDS_OF_GRACE", 0.1)
    with ExitStack() as stack:
        stopping = stack.enter_context(ExitStack())
        house = stopping.enter_context(WeatherHouse(tmp_path, database, sky))
        scene = stack.enter_context(Scene(house, sky))
        scene.says(Say("Half an ", Gate(), "answer"), Say("Good morning."))
        with scene.watched() as stream:
            stream.until("d")
            stopping.close()
            assert stream.rest(may_break_off=True) == BROKEN_OFF
        other = stack.enter_context(WeatherHouse(tmp_path, database, sky))
        left = stack.enter_context(scene.seen_at(other)).left(stream.run_id)
    assert (left.status, left.steps) == ("completed", COMPLETED_MESSAGE)
    assert left.messages == [("Good morning.", None)]


KEY = "sk-key-of-the-stops"


@pytest.fixture
def variables(sky: Upstream) -> dict[str, str]:
    """The environment of a server in a process of its own."""
    return {"THREADKEEP_API_KEY": KEY, "THREADKEEP_UPSTREAM_BASE_URL": sky.url}


def refuses(child: Child) -> bool:
    try:
        socket.create_connection(("127.0.0.1", child.port), SECONDS).close()
    except OSError:
        return True
    return False


@pytest.mark.promise("runs.weather.stop")
def test_sigterm_lets_a_run_finish_that_needs_little_more(
    tmp_path: Path, sky: Upstream, variables: dict[str, str]
):
    gate = Gate()
    with Child(tmp_path, **variables) as child, Scene(child, sky, key=KEY) as scene:
        scene.says(Say("Good ", gate, "morning."))
        with scene.watched() as stream:
            stream.until("d")
            child.process.send_signal(signal.SIGTERM)
            until(lambda: refuses(child))
            gate.open()
            assert stream.rest() == "CQImpcidksK."
        child.process.wait(SECONDS)


@pytest.mark.promise("runs.weather.stop")
def test_sigterm_hands_over_what_it_cannot_finish(tmp_path: Path, sky: Upstream, variables: dict[str, str]):
    with Child(tmp_path, **variables) as child, Scene(child, sky, key=KEY) as scene:
        scene.says(Say("Half an ", Gate(), "answer"), Say("Good morning."))
        with scene.watched() as stream:
            stream.until("d")
            child.process.send_signal(signal.SIGTERM)
            assert stream.rest(may_break_off=True) == BROKEN_OFF
        child.process.wait(SECONDS)
        assert "Traceback" not in child.log
    with Child(tmp_path, **variables) as child, scene.seen_at(child) as after:
        left = after.left(stream.run_id)
    assert (left.status, left.steps) == ("completed", COMPLETED_MESSAGE)
    assert left.messages == [("Good morning.", None)]
