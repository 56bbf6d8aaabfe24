"""Runs told from what is stored: pure rules. Whole streams are in tests/api/test_runs_streams.py."""

from collections.abc import Sequence

import pytest

from threadkeep.engine.events import Done, RunEvent
from threadkeep.engine.retelling import LOOKS_IN_SILENCE, Follower, Stored, beginning, retold
from threadkeep.runs.model import (
    CalledFunction,
    FunctionToolCall,
    Run,
    RunStep,
    Start,
    Status,
    ToolCallsDetails,
    moved,
)

pytestmark = pytest.mark.anyio
QUEUED = Run(id="run_1", created_at=1, assistant_id="asst_1", thread_id="thread_1", model="m", expires_at=601)
BEGUN = moved(QUEUED, "in_progress", started_at=2)
STEP = RunStep(
    id="step_1",
    created_at=2,
    run_id="run_1",
    assistant_id="asst_1",
    thread_id="thread_1",
    type="tool_calls",
    step_details=ToolCallsDetails([FunctionToolCall(id="call_1", function=CalledFunction("f", "{}"))]),
)


class Patient:
    """A `Runner` whose waiting takes no time. It stops after so many changes."""

    def __init__(self, changes: int) -> None:
        self._left = changes

    async def change(self, run_id: str, seen: str, seconds: float) -> bool:
        self._left -= 1
        return self._left >= 0


def names(start: Start, run: Run, steps: Sequence[RunStep] = ()) -> list[str]:
    """The names of the run's own events."""
    return [one.name for one in retold(start, Stored(run, steps, {})) if isinstance(one, RunEvent)]


@pytest.mark.promise("runs.stream.elsewhere")
@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ([], ["created", "queued"]),
        (["in_progress"], ["created", "queued", "in_progress"]),
        (["failed"], ["created", "queued", "failed"]),
        (["cancelling"], ["created", "queued", "cancelling"]),
        (["cancelling", "cancelled"], ["created", "queued", "cancelling", "cancelled"]),
        (["in_progress", "expired"], ["created", "queued", "in_progress", "expired"]),
    ],
)
def test_a_run_is_told_up_to_where_it_stands(way: list[Status], expected: list[str]) -> None:
    run = QUEUED
    for status in way:
        run = moved(run, status, **({"started_at": 2} if status == "in_progress" else {}))
    assert names(Start(QUEUED), run) == expected
    last = [*retold(Start(QUEUED), Stored(run, [], {}))][-1]
    assert isinstance(last, Done) == run.is_over


def test_a_run_that_was_handed_outputs_is_told_from_there() -> None:
    again = moved(moved(BEGUN, "requires_action"), "queued")
    start = Start(again, step=STEP)
    assert names(start, again, [STEP]) == ["queued"]
    assert [*retold(start, Stored(again, [STEP], {}))] == beginning(start)
    assert names(start, moved(again, "in_progress", started_at=5), [STEP]) == ["queued", "in_progress"]


def follower(*runs: Run | None, changes: int = 1000) -> Follower:
    """A reader of a run that is found like this, look after look; None where it is gone."""
    seen = iter(runs)

    async def look() -> Stored | None:
        run = next(seen)
        return None if run is None else Stored(run, [], {})

    return Follower(Start(QUEUED), Patient(changes), look)  # type: ignore[arg-type]  # it asks for no more


async def told(reader: Follower) -> list[list[str]]:
    """The names in each batch."""
    return [
        [one.name if isinstance(one, RunEvent) else type(one).__name__ for one in batch]
        async for batch in reader.batches()
    ]


@pytest.mark.promise("runs.stream.elsewhere")
async def test_each_event_is_told_once_as_soon_as_it_is_seen() -> None:
    done = moved(BEGUN, "completed")
    assert await told(follower(QUEUED, QUEUED, BEGUN, BEGUN, done)) == [
        ["created", "queued"],
        ["in_progress"],
        ["completed", "Done"],
    ]


async def test_a_reader_hears_now_and_then_that_nothing_happens() -> None:
    silent = [BEGUN] * (2 * LOOKS_IN_SILENCE)
    batches = await told(follower(BEGUN, *silent, moved(BEGUN, "failed")))
    assert batches == [["created", "queued", "in_progress"], [], [], ["failed", "Done"]]


async def test_a_run_that_is_gone_was_cancelled() -> None:
    assert await told(follower(BEGUN, None)) == [
        ["created", "queued", "in_progress"],
        ["cancelling", "cancelled", "Done"],
    ]


async def test_a_process_that_stops_ends_its_streams() -> None:
    assert await told(follower(QUEUED, BEGUN, changes=1)) == [
        ["created", "queued"],
        ["in_progress"],
        ["StreamError", "Done"],
    ]


async def test_nothing_is_looked_up_for_a_reader_who_has_gone() -> None:
    reader = follower(BEGUN)
    async for _ in reader.batches():
        reader.close()
