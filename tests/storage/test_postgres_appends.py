"""Messages that arrive together become one statement, in which each keeps its place and fails alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path

import asyncpg
import pytest

from tests.support.house import database_url
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.errors import NotFound, RunActive
from threadkeep.ids import id_maker
from threadkeep.messages import actions
from threadkeep.messages.model import NewMessage, message_of, plain_text
from threadkeep.messages.store import APPEND_MANY, APPEND_UNLOCKED
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction
from threadkeep.storage.postgres import ROWS, PostgresOptions
from threadkeep.storage.postgres.connection import Connection
from threadkeep.threads import actions as threads
from threadkeep.threads.model import NewThread

pytestmark = [pytest.mark.anyio, pytest.mark.promise("postgres.appends")]
PROJECT = "proj_1"
ROUNDS = 25
EVERY = "SELECT position, id FROM messages WHERE thread_id = :thread_id ORDER BY position"


def settings_in(directory: Path, *, prepared: bool = True) -> Settings:
    return Settings(
        database_url=database_url("postgres", directory),
        database_prepared=prepared,
        files_url=f"file:///{directory / 'files'}",
    )


@pytest.fixture
def prepared() -> bool:
    return True


@pytest.fixture
def settings(tmp_path, prepared) -> Settings:
    return settings_in(tmp_path, prepared=prepared)


@pytest.fixture
def moment() -> int:
    """Milliseconds after which a lock is waited for elsewhere: here none is, however slow the machine."""
    return 60_000


@pytest.fixture
async def context(settings, monkeypatch, moment) -> AsyncIterator[Context]:
    options = partial(PostgresOptions, lock_timeout=60_000, moment=moment)
    monkeypatch.setattr("threadkeep.storage.postgres.PostgresOptions", options)
    async with open_context(settings, system_clock, id_maker(system_clock)) as opened:
        yield opened


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """The statements on messages that were sent: the server looks for other things by itself now and then."""
    statements = []
    send = Connection.all

    async def noting(connection, sql, params):
        if " messages" in sql:
            statements.append(sql)
        return await send(connection, sql, params)

    monkeypatch.setattr(Connection, "all", noting)
    return statements


async def new_thread(context: Context, project: str = PROJECT) -> str:
    return (await threads.create(context, project, NewThread())).id


async def append(context: Context, thread: str, text: str = "x", project: str = PROJECT) -> str:
    """Append a message; its id."""
    return message_of(await actions.create(context, project, thread, NewMessage("user", plain_text(text)))).id


async def stored(context: Context, thread: str) -> list[tuple[int, str]]:
    async with context.database.read() as transaction:
        rows = await transaction.all(EVERY, {"thread_id": thread})
    return [(row[0], row[1]) for row in rows]


def in_line(ids: list[str]) -> list[tuple[int, str]]:
    """These messages at the first positions, without a gap."""
    return [*enumerate(ids, 1)]


async def test_what_arrives_together_is_one_statement_in_the_order_of_arrival(context, sent):
    one, other = await new_thread(context), await new_thread(context)
    sent.clear()
    ids = await asyncio.gather(*(append(context, (one, other)[number % 3 == 0]) for number in range(60)))
    assert sent == [APPEND_MANY]
    assert await stored(context, one) == in_line([id for number, id in enumerate(ids) if number % 3])
    assert await stored(context, other) == in_line(ids[::3])


async def test_a_lone_message_is_one_statement_and_waits_for_no_timer(context, sent):
    thread = await new_thread(context)
    sent.clear()
    task = asyncio.create_task(append(context, thread))
    for _ in range(4):  # turns of the loop, none of which takes any time
        await asyncio.sleep(0)
    assert sent == [APPEND_MANY]
    id = await task
    assert await stored(context, thread) == in_line([id])


async def test_a_crowd_is_written_in_few_statements_without_a_gap(context, sent):
    thread = await new_thread(context)
    sent.clear()
    ids = await asyncio.gather(*(append(context, thread) for _ in range(2 * ROWS.largest + 1)))
    assert sent == [APPEND_MANY] * 3
    rows = await stored(context, thread)
    assert [position for position, _ in rows] == [*range(1, len(ids) + 1)]
    assert sorted(id for _, id in rows) == sorted(ids)


@pytest.mark.parametrize("careful_until", [0.0, inf])
async def test_one_bad_item_fails_alone(context, careful_until):
    context.database._careful_until = careful_until
    good, busy = await new_thread(context), await new_thread(context)
    foreign = await new_thread(context, "proj_2")

    async def begin_run(transaction):
        await transaction.run("UPDATE threads SET active_run_id = 'run_1' WHERE id = :id", {"id": busy})

    await context.database.write(begin_run)
    wanted = [good, "thread_x", good, foreign, good, busy, "thread_\0", good]
    answers = await asyncio.gather(*(append(context, thread) for thread in wanted), return_exceptions=True)
    refused = {thread: answer for thread, answer in zip(wanted, answers, strict=True) if thread != good}
    assert [type(refused[thread]) for thread in ("thread_x", foreign, "thread_\0")] == [NotFound] * 3
    assert isinstance(refused[busy], RunActive)
    ids = [answer for answer in answers if isinstance(answer, str)]
    assert await stored(context, good) == in_line(ids)
    assert [await stored(context, thread) for thread in (foreign, busy)] == [[], []]


@pytest.mark.parametrize("prepared", [True, False])
async def test_a_statement_that_one_item_spoils_is_taken_apart(context, monkeypatch, sent):
    thread = await new_thread(context)
    monkeypatch.setattr("threadkeep.storage.postgres.connection.held", lambda value: value)
    sent.clear()
    one, problem, other = await asyncio.gather(
        append(context, thread), append(context, "thread_\0"), append(context, thread), return_exceptions=True
    )
    assert sent.count(APPEND_MANY) == 1
    assert isinstance(problem, Exception)
    assert sorted(id for _, id in await stored(context, thread)) == sorted([str(one), str(other)])


async def test_a_message_that_waits_for_its_thread_holds_up_no_later_one(context, sent):
    busy, free = await new_thread(context), await new_thread(context)

    async def while_locked(transaction: Transaction) -> tuple[asyncio.Task[str], str]:
        await transaction.run("UPDATE threads SET metadata = '{}' WHERE id = :id", {"id": busy})
        waiting = asyncio.create_task(append(context, busy))
        async with asyncio.timeout(20):
            while APPEND_MANY not in sent:
                await stored(context, free)
        later = await append(context, free)
        assert not waiting.done()
        return waiting, later

    waiting, later = await context.database.write(while_locked)
    assert await stored(context, free) == in_line([later])
    id = await waiting
    assert await stored(context, busy) == in_line([id])


@asynccontextmanager
async def locked(settings: Settings, thread: str) -> AsyncIterator[None]:
    """While another program, which may be frozen, holds a thread's row."""
    other = await asyncpg.connect(settings.database_url)
    try:
        async with other.transaction():
            await other.execute("UPDATE threads SET metadata = metadata WHERE id = $1", thread)
            yield
    finally:
        await other.close()


@pytest.mark.promise("postgres.locks")
@pytest.mark.parametrize("moment", [20])
@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("careful_until", [0.0, inf])
async def test_a_thread_that_is_locked_holds_up_its_own_messages_alone(
    context, settings, sent, careful_until
):
    free, held = [await new_thread(context) for _ in range(2)], await new_thread(context)
    context.database._careful_until = careful_until
    sent.clear()
    async with locked(settings, held):
        tasks: dict[str, list[asyncio.Task[str]]] = {thread: [] for thread in (*free, held)}
        for number in range(30):
            thread = (*free, held)[number % 3]
            tasks[thread].append(asyncio.create_task(append(context, thread)))
        written = {thread: await asyncio.gather(*tasks[thread]) for thread in free}
        assert not any(task.done() for task in tasks[held])
        for thread in free:
            assert await stored(context, thread) == in_line(written[thread])
    ids = await asyncio.gather(*tasks[held])
    assert await stored(context, held) == in_line(ids)
    first = [] if careful_until else [APPEND_MANY]
    assert sent[: len(first) + 1] == [*first, APPEND_UNLOCKED]
    assert set(sent[len(first) + 1 :]) <= {APPEND_MANY, EVERY}  # what waits stays one statement


@pytest.mark.promise("postgres.locks")
@pytest.mark.parametrize("moment", [20])
async def test_whoever_gives_up_on_a_locked_thread_takes_nothing_from_the_others(context, settings, sent):
    held = await new_thread(context)
    sent.clear()
    async with locked(settings, held):
        one, *others = [asyncio.create_task(append(context, held)) for _ in range(3)]
        async with asyncio.timeout(20):
            while sent.count(APPEND_MANY) < 2:  # the second waits for as long as it takes
                await stored(context, held)
        one.cancel()
        assert isinstance(*await asyncio.gather(one, return_exceptions=True), asyncio.CancelledError)
    ids = await asyncio.gather(*others)
    assert (await stored(context, held))[-2:] == [*enumerate(ids, 2)]


async def test_two_that_append_to_the_same_threads_in_opposite_order_never_meet_in_a_deadlock(
    settings, caplog
):
    caplog.set_level("INFO", "threadkeep")
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(open_context(settings, system_clock, id_maker(system_clock)))
            for _ in range(2)
        ]
        lines = [await new_thread(one) for _ in range(6)]

        async def write(context: Context, order: list[str]) -> None:
            for _ in range(ROUNDS):
                await asyncio.gather(*(append(context, thread) for thread in order for _ in range(3)))

        await asyncio.gather(
            write(one, lines), write(other, lines[::-1]), write(other, lines[3:] + lines[:3])
        )
        for thread in lines:
            rows = await stored(one, thread)
            assert [position for position, _ in rows] == [*range(1, 9 * ROUNDS + 1)]
    assert "write_conflict" not in caplog.text
