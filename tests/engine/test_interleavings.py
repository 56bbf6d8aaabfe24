"""Runs under whatever happens to them in whatever order: a machine that makes up histories.

Processes are created, die without a word and take over from each other; clients create, cancel, hand in
outputs and delete; the model answers, calls, fails and stands still; time passes. After each step: a thread
has at most the one active run that it names, and every run has moved as the table of moves allows. In the
end every run ends, every thread is free, and every stream was well formed.
"""

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.engine.bench import SECONDS, WEATHER, Bench, events_of, open_bench
from tests.support.clock import SetClock
from tests.support.event_order import check, of_events
from tests.support.scripted import Gate, Part, said
from threadkeep.engine.watch import Feed
from threadkeep.errors import ThreadkeepError
from threadkeep.providers.base import Call, Finish, ModelFailure
from threadkeep.runs import claims
from threadkeep.runs.model import MOVES, TERMINAL, Run, run_of
from threadkeep.storage.database import Transaction
from threadkeep.threads.model import Thread

ENGINES = 2
_numbers = itertools.count()


def answers(kind: str, gate: Gate) -> list[Part]:
    """One of the ways in which a model may answer."""
    ids = [f"call_{next(_numbers)}" for _ in range(2)]
    calls = [Call(0, "{}", ids[0], "weather"), Call(1, "{", ids[1], "weather")]
    turns: dict[str, list[Part]] = {
        "says": said("Hel", "lo."),
        "calls": said(*calls),
        "says and calls": said("Wait. ", *calls),
        "stands still": said("Hel", gate, "lo."),
        "stands still at once": [gate, *said("Hello.")],
        "stands still among calls": said("Wait.", calls[0], gate, calls[1]),
        "fails": ["Hel", ModelFailure("server_error", "No.")],
        "breaks": ["Hel", ValueError("a fault of our own")],
        "stops": ["Hel", Finish("length")],
        "says nothing": said(),
    }
    return turns[kind]


KINDS = [
    "says",
    "calls",
    "says and calls",
    "stands still",
    "stands still at once",
    "stands still among calls",
    "fails",
    "breaks",
    "stops",
    "says nothing",
]
EVERY_RUN = """
    SELECT r.id, r.thread_id, r.status, t.active_run_id
    FROM runs r LEFT JOIN threads t ON t.id = r.thread_id
"""
some = st.integers(0, 99)
"""Picks one of what there is."""


class Histories(RuleBasedStateMachine):
    directory: Path
    url: str
    loop: asyncio.Runner

    def run_on(self, coroutine: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(3 * SECONDS):
                return await coroutine

        return self.loop.run(bounded())

    @initialize()
    def open(self) -> None:
        self.clock = SetClock()
        self.gates: list[Gate] = []
        self.threads: list[Thread] = []
        self.deleted: set[str] = set()
        self.seen: dict[str, Run] = {}
        self.feeds: list[Feed] = []
        self.stack = AsyncExitStack()
        self.benches: list[Bench] = []
        self.run_on(self._open())

    async def _open(self) -> None:
        first = await self.stack.enter_async_context(open_bench(self.directory, self.url, self.clock))
        self.benches = [first]
        for _ in range(ENGINES - 1):
            self.benches.append(self._another())
        self.threads = [await first.thread() for _ in range(3)]

    def _another(self) -> Bench:
        bench = self.benches[0].second()
        bench.start()
        return bench

    def bench(self, number: int) -> Bench:
        return self.benches[number % len(self.benches)]

    # -------------------------------------------------------------- what happens

    @rule(kind=st.sampled_from(KINDS))
    def the_model_will(self, kind: str) -> None:
        gate = Gate()
        self.gates.append(gate)
        self.benches[0].model.script(answers(kind, gate))

    @rule()
    def a_gate_opens(self) -> None:
        if self.gates:
            self.gates.pop(0).open()

    @rule(number=some)
    def a_thread_is_made(self, number: int) -> None:
        self.threads.append(self.run_on(self.bench(number).thread()))

    @rule(number=some, thread=some, kind=st.sampled_from(KINDS))
    def a_run_is_streamed(self, number: int, thread: int, kind: str) -> None:
        self.the_model_will(kind)
        self.a_run_is_made(number, thread, True)

    @rule(number=some, thread=some, owned=st.booleans())
    def a_run_is_made(self, number: int, thread: int, owned: bool) -> None:
        if self.threads:
            self.run_on(self._create(self.bench(number), self.threads[thread % len(self.threads)], owned))

    async def _create(self, bench: Bench, thread: Thread, owned: bool) -> None:
        try:
            if owned:
                run, feed = await bench.run(thread, tools=[WEATHER])
                self.feeds.append(feed)
            else:
                run = (await bench.create(thread, tools=[WEATHER])).run
        except ThreadkeepError:
            return  # another run is active, or the thread is gone
        self.seen[run.id] = run

    @rule(number=some, run=some)
    def a_run_is_cancelled(self, number: int, run: int) -> None:
        self.run_on(self._with_run(run, self.bench(number).cancel))

    @rule(number=some, run=some)
    def outputs_are_handed_in(self, number: int, run: int) -> None:
        self.run_on(self._with_run(run, self._submitter(self.bench(number))))

    def _submitter(self, bench: Bench) -> Any:
        async def submit(run: Run) -> None:
            run = await bench.look(run)
            if run.required_action:
                calls = run.required_action.submit_tool_outputs.tool_calls
                _, feed = await bench.submit(run, **{call.id: "rain" for call in calls})
                self.feeds.append(feed)

        return submit

    async def _with_run(self, number: int, do: Any) -> None:
        if self.seen:
            try:
                await do(list(self.seen.values())[number % len(self.seen)])
            except ThreadkeepError:
                return  # it is over, is not waiting, or is gone

    @rule(thread=some)
    def a_thread_is_deleted(self, thread: int) -> None:
        if self.threads:
            gone = self.threads.pop(thread % len(self.threads))
            self.deleted.add(gone.id)
            self.run_on(self.benches[0].delete(gone))

    @rule(seconds=st.sampled_from([1, 5, 15, 30, 600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(turns=st.integers(1, 30))
    def everybody_goes_on(self, turns: int) -> None:
        self.run_on(self._go_on(turns))

    async def _go_on(self, turns: int) -> None:
        for _ in range(turns):
            await self.benches[0].context.database.write(nothing)

    @rule(number=some)
    def a_process_dies(self, number: int) -> None:
        place = number % len(self.benches)
        self.run_on(self.benches[place].crash())
        self.run_on(self._replace(place))

    async def _replace(self, place: int) -> None:
        self.benches[place] = self._another()

    @rule(number=some)
    def a_process_stops(self, number: int) -> None:
        place = number % len(self.benches)
        self.run_on(self.benches[place].engine.stop())
        self.run_on(self._replace(place))

    # -------------------------------------------------------------- what always holds

    @invariant()
    def runs_move_legally_and_one_at_a_time(self) -> None:
        if getattr(self, "benches", None):
            self.run_on(self._check())

    async def _check(self) -> None:
        async with self.benches[0].context.database.read() as transaction:
            rows = await transaction.all(EVERY_RUN, {})
        active = [(thread_id, id) for id, thread_id, status, _ in rows if status not in TERMINAL]
        assert len({thread_id for thread_id, _ in active}) == len(active)
        for id, thread_id, status, named in rows:
            if id not in self.seen:
                continue
            assert status in REACHABLE[self.seen[id].status], (self.seen[id].status, status)
            self.seen[id] = msgspec.structs.replace(self.seen[id], status=status)
            if thread_id not in self.deleted:
                assert (named == id) == (status not in TERMINAL)

    def teardown(self) -> None:
        if getattr(self, "benches", None):
            try:
                self.run_on(self._end())
            finally:
                self.run_on(self.stack.aclose())

    async def _end(self) -> None:
        """Nothing happens any more but the passing of time: every run ends."""
        for gate in self.gates:
            gate.open()
        self.clock.advance(1200)
        bench = self.benches[0]
        await bench.context.database.write(wake)
        while active := await unfinished(bench):
            await bench.engine.change(active[0].id, active[0].status, SECONDS)
        await self._check()
        for one in self.benches:
            await one.engine.stop()
        for feed in self.feeds:
            events = await events_of(feed)
            check(of_events(events), may_break_off=True)
        for thread in self.threads:
            assert await bench.active_run(thread) is None


def closure() -> dict[str, set[str]]:
    """Every status that can follow another, however many moves later."""
    reached: dict[str, set[str]] = {status: {status, *onward} for status, onward in MOVES.items()}
    for _ in MOVES:
        reached = {
            status: set().union(*(reached[one] for one in onward)) for status, onward in reached.items()
        }
    return reached


REACHABLE = closure()


async def nothing(_: Transaction) -> None:
    """A write that waits for those before it."""


async def wake(transaction: Transaction) -> None:
    await transaction.wake(claims.CHANNEL)


async def unfinished(bench: Bench) -> list[Run]:
    async with bench.context.database.read() as transaction:
        rows = await transaction.all("SELECT body FROM runs ORDER BY id", {})
    return [run for row in rows if not (run := run_of(row[0])).is_over]


@pytest.mark.parametrize("examples", [40])
def test_whatever_happens_every_run_ends(tmp_path, url, database, examples, monkeypatch):
    monkeypatch.setattr("threadkeep.engine.worker.SECONDS_OF_GRACE", 0.01)
    machine = type("Machine", (Histories,), {"directory": tmp_path, "url": url})
    few = examples if database == "sqlite" else examples // 4
    with asyncio.Runner() as machine.loop:  # type: ignore[attr-defined] # made just now
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=few,
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
            ),
        )
