"""Engines at work in one process on one database, with a scripted model and a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.support.clock import SetClock
from tests.support.event_order import Named, of_events
from tests.support.scripted import Gate, Part, Scripted
from threadkeep.app import open_context
from threadkeep.assistants import store as assistants
from threadkeep.assistants.model import Assistant, Function, FunctionTool
from threadkeep.context import Context
from threadkeep.engine.events import Event
from threadkeep.engine.retelling import beginning
from threadkeep.engine.watch import Feed
from threadkeep.engine.worker import Engine
from threadkeep.ids import id_maker
from threadkeep.messages import pages as messages
from threadkeep.messages.model import Message, NewMessage, message_of, plain_text
from threadkeep.paging import PageQuery
from threadkeep.runs import actions, claims, steps, store
from threadkeep.runs.actions import Started
from threadkeep.runs.model import Job, NewRun, Run, RunStep, ToolOutput, ToolOutputs
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction
from threadkeep.threads import actions as threads
from threadkeep.threads.model import NewThread, Thread

PROJECT = "proj_1"
SECONDS = 10.0
"""How long anything may take that is waited for."""
WEATHER = FunctionTool(Function("weather"))


class Bench:
    """One process's rooms. `second()` is another engine on the same database."""

    def __init__(self, context: Context, model: Scripted, clock: SetClock) -> None:
        self.context, self.model, self.clock = context, model, clock
        self.engines = [context.runner]
        self.assistant = Assistant(
            id=context.new_id("asst_"), created_at=context.now(), model="m", instructions="Be kind."
        )

    @property
    def engine(self) -> Engine:
        assert isinstance(self.context.runner, Engine)
        return self.context.runner

    async def prepare(self) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("DELETE FROM runs", {})  # of tests before this one
            await assistants.insert(transaction, PROJECT, self.assistant)

        await self.context.database.write(work)

    def second(self) -> "Bench":
        """Another process, as far as the database can tell; it works nothing before `engine.start`."""
        engine = Engine(self.context.settings, self.clock)
        self.engines.append(engine)
        other = Bench(msgspec.structs.replace(self.context, runner=engine), self.model, self.clock)
        other.engines, other.assistant = self.engines, self.assistant
        return other

    def start(self) -> None:
        self.engine.start(self.context)

    async def crash(self) -> None:
        """The process dies: nothing more is written, nothing is given back."""
        engine = self.engine
        assert engine._leases is not None
        tasks = [*engine._leases._works.values(), *engine._leases._loops, engine._looking]
        engine._leases._taking = False
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
        engine._leases._loops = []

    # -------------------------------------------------------------- what clients do

    async def thread(self, text: str = "Hi") -> Thread:
        new = NewThread([NewMessage("user", plain_text(text))])
        return await threads.create(self.context, PROJECT, new)

    async def create(self, thread: Thread, owner: str | None = None, **given: Any) -> Started:
        new = NewRun(assistant_id=self.assistant.id, **given)
        return await actions.create(self.context, PROJECT, thread.id, new, Job(), owner)

    async def run(self, thread: Thread, **given: Any) -> tuple[Run, Feed]:
        """A run that this process works, and the feed of its events."""
        return self._adopted(await self.create(thread, self.context.runner.owner(), **given))

    async def held(self, says: list[Part], thread: Thread | None = None, **given: Any) -> tuple[Run, Feed]:
        """Likewise, once its model stands still at the gate in what it says."""
        self.model.script(says)
        run, feed = await self.run(thread or await self.thread(), **given)
        await happens(next(part for part in says if isinstance(part, Gate)).reached)
        return run, feed

    async def submit(self, run: Run, **outputs: str) -> tuple[Run, Feed]:
        """Hand in what functions answered, by the ids of their calls."""
        given = ToolOutputs([ToolOutput(id, output) for id, output in outputs.items()])
        owner = self.context.runner.owner()
        return self._adopted(
            await actions.submit_tool_outputs(self.context, PROJECT, run.thread_id, run.id, given, owner)
        )

    def _adopted(self, started: Started) -> tuple[Run, Feed]:
        feed = Feed()
        for event in beginning(started.start):
            feed.tell(event)
        assert started.claim
        self.context.runner.adopt(started.claim, feed)
        return started.run, feed

    async def cancel(self, run: Run) -> Run:
        """As the endpoint does."""
        owner = self.context.runner.owner()
        done = await actions.cancel(self.context, PROJECT, run.thread_id, run.id, owner)
        if done.claim:
            self.context.runner.adopt(done.claim)
        return done.run

    async def delete(self, thread: Thread) -> None:
        await threads.delete(self.context, PROJECT, thread.id)

    # -------------------------------------------------------------- what they see

    async def look(self, run: Run) -> Run:
        async with self.context.database.read() as transaction:
            return await store.get(transaction, PROJECT, run.thread_id, run.id)

    async def until(self, run: Run, *statuses: str) -> Run:
        """The run once it has one of these statuses, or is over."""
        async with asyncio.timeout(SECONDS):
            while not ((run := await self.look(run)).is_over or run.status in statuses):
                await self.context.runner.change(run.id, run.status, SECONDS)
        assert run.status in statuses, run
        return run

    async def steps(self, run: Run) -> list[RunStep]:
        async with self.context.database.read() as transaction:
            return await steps.of_run(transaction, run.id)

    async def messages(self, thread: Thread) -> list[Message]:
        """The thread's messages, the first one first."""
        async with self.context.database.read() as transaction:
            page = await messages.page(transaction, PROJECT, thread.id, PageQuery(100, "asc"))
        return [message_of(body) for body in page.items]

    async def said(self, thread: Thread) -> list[str]:
        return [text_of(message) for message in await self.messages(thread)]

    async def due(self) -> set[str]:
        """Runs that anybody may take."""
        async with self.context.database.read() as transaction:
            return set(await claims.due(transaction, self.context.now(), 100))

    async def active_run(self, thread: Thread) -> str | None:
        sql = "SELECT active_run_id FROM threads WHERE id = :id"
        async with self.context.database.read() as transaction:
            row = await transaction.one(sql, {"id": thread.id})
        assert row
        return row[0]


def text_of(message: Message) -> str:
    return "".join(part.text.value for part in message.content if hasattr(part, "text"))


async def told(feed: Feed) -> list[Named]:
    """Every event of a feed, up to its end."""
    return of_events(await events_of(feed))


async def events_of(feed: Feed) -> Sequence[Event]:
    async with asyncio.timeout(SECONDS):
        return [event async for batch in feed.batches() for event in batch]


async def happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        await event.wait()


@asynccontextmanager
async def open_bench(
    directory: Path, url: str, clock: SetClock, *, started: bool = True, **settings: Any
) -> AsyncIterator[Bench]:
    """An engine with its rooms, on the database at `url`."""
    given = Settings(database_url=url, files_url=f"file:///{directory / 'files'}", **settings)
    model = Scripted()
    async with open_context(given, clock, id_maker(clock), Engine(given, clock)) as context:
        bench = Bench(msgspec.structs.replace(context, providers=model), model, clock)
        await bench.prepare()
        if started:
            bench.start()
        try:
            yield bench
        finally:
            model.let_go()
            for engine in bench.engines:
                assert isinstance(engine, Engine)
                await engine.stop()
