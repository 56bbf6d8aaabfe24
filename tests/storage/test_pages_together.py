"""Pages that are asked for at the same time: each is what it is alone, and PostgreSQL gets one statement."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.storage.test_postgres_appends import PROJECT, append, new_thread, sent, settings_in
from tests.support.house import DATABASES, database_url
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.errors import NotFound, Unavailable
from threadkeep.ids import id_maker
from threadkeep.messages import pages, store
from threadkeep.messages.model import NewMessage, body_of, created, id_in, plain_text
from threadkeep.paging import Page, PageQuery
from threadkeep.settings import Settings
from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import QUESTIONS, PostgresDatabase
from threadkeep.storage.sqlite import SQLiteDatabase
from threadkeep.storage.within import Within

__all__ = ["sent"]

pytestmark = [pytest.mark.anyio, pytest.mark.promise("postgres.pages")]
NEWEST, OLDEST = PageQuery(), PageQuery(order="asc")
NOWHERE = "msg_000000000000000000000000"
PAGE, PAGES = pages.page_of(True, False, False), pages.pages_of(True, False).many
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"


async def opened(settings: Settings) -> AsyncIterator[Context]:
    async with open_context(settings, system_clock, id_maker(system_clock)) as context:
        yield context


@pytest.fixture(params=DATABASES)
def settings(request, tmp_path) -> Settings:
    return Settings(
        database_url=database_url(request.param, tmp_path), files_url=f"file:///{tmp_path / 'files'}"
    )


@pytest.fixture
async def context(settings) -> AsyncIterator[Context]:
    async for one in opened(settings):
        yield one


@pytest.fixture
def settings_on_postgres(tmp_path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
async def on_postgres(settings_on_postgres) -> AsyncIterator[Context]:
    async for one in opened(settings_on_postgres):
        yield one


async def thread_of(context: Context, messages: int, project: str = PROJECT) -> str:
    thread = await new_thread(context, project)
    for number in range(messages):
        await append(context, thread, str(number), project)
    return thread


async def beside(context: Context, thread: str, query: PageQuery = NEWEST) -> Page[str]:
    return await pages.page_beside_others(context.database, PROJECT, thread, query)


async def alone(context: Context, thread: str, query: PageQuery = NEWEST) -> Page[str]:
    async with context.database.read() as transaction:
        return await pages.page(transaction, PROJECT, thread, query)


def told(outcome: Any) -> Any:
    """What a caller gets: a page, or what it is refused with."""
    return (type(outcome), outcome.args, vars(outcome)) if isinstance(outcome, Exception) else outcome


async def test_each_is_what_it_is_alone(context):
    long, short, empty = [await thread_of(context, count) for count in (25, 3, 0)]
    foreign = await thread_of(context, 2, "proj_2")
    ids = [id_in(body) for body in (await alone(context, long, PageQuery(100))).items]
    threads = (long, short, empty, foreign, "thread_x", "thread_\0")
    cursors = (None, ids[3], ids[-1], NOWHERE)
    asked = [
        (thread, PageQuery(limit, order, after, before))
        for thread in threads
        for order in ("asc", "desc")
        for limit in (1, 2, 100)
        for after in cursors
        for before in cursors
    ]
    together = await asyncio.gather(*(beside(context, *one) for one in asked), return_exceptions=True)
    for one, outcome in zip(asked, together, strict=True):
        (expected,) = await asyncio.gather(alone(context, *one), return_exceptions=True)
        assert told(outcome) == told(expected), one
    kinds = {type(outcome) for outcome in together}
    assert kinds == {Page, NotFound}


def pages_in(sent):
    """Without what the server looks for by itself now and then."""
    return [statement for statement in sent if statement in (PAGE, PAGES)]


async def test_what_is_asked_together_is_one_statement_and_a_lone_page_is_plain(on_postgres, sent):
    context = on_postgres
    threads = [await thread_of(context, 2) for _ in range(5)]
    sent.clear()
    pages = await asyncio.gather(*(beside(context, thread) for thread in threads))
    assert pages_in(sent) == [PAGES]
    assert pages == [await alone(context, thread) for thread in threads]
    sent.clear()
    task = asyncio.create_task(beside(context, threads[0]))
    for _ in range(4):  # turns of the loop, none of which takes any time
        await asyncio.sleep(0)
    assert pages_in(sent) == [PAGE]
    assert await task == pages[0]


async def test_a_crowd_is_read_in_few_statements(on_postgres, sent):
    context = on_postgres
    thread = await thread_of(context, 3)
    sent.clear()
    crowd = await asyncio.gather(*(beside(context, thread) for _ in range(3 * QUESTIONS.largest)))
    assert pages_in(sent) == [PAGES] * 3
    assert crowd == [await alone(context, thread)] * len(crowd)


async def test_a_statement_that_one_spoils_is_taken_apart(on_postgres, monkeypatch, sent):
    context = on_postgres
    thread = await thread_of(context, 3)
    expected = await alone(context, thread)
    monkeypatch.setattr("threadkeep.storage.postgres.connection.held", lambda value: value)
    sent.clear()
    one, problem, other = await asyncio.gather(
        beside(context, thread), beside(context, "thread_\0"), beside(context, thread), return_exceptions=True
    )
    assert (one, other) == (expected, expected)
    assert isinstance(problem, Exception)
    assert sent.count(PAGE) == 3  # each by itself, whatever was tried together before


async def test_whoever_goes_away_takes_nobody_along(context):
    thread = await thread_of(context, 3)
    tasks = [asyncio.create_task(beside(context, thread)) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == [await alone(context, thread)] * 3
    assert await beside(context, thread) == outcomes[1]


async def test_a_lost_connection_is_told_to_all_and_over_at_the_next_page(on_postgres, settings_on_postgres):
    context = on_postgres
    thread = await thread_of(context, 3)
    expected = await alone(context, thread)
    other = await asyncpg.connect(settings_on_postgres.database_url)
    async with other.transaction():
        await other.execute("LOCK TABLE messages")
        tasks = [asyncio.create_task(beside(context, thread)) for _ in range(4)]
        async with asyncio.timeout(20):
            while not (waiting := await other.fetch(WAITING)):
                await other.execute("SELECT pg_stat_clear_snapshot()")
        for row in waiting:
            await other.execute("SELECT pg_terminate_backend($1)", row[0])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await other.close()
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
    assert await beside(context, thread) == expected


async def test_whoever_is_told_of_a_message_reads_it(context):
    """Also while others read the same thread all the time, whose older view must not be handed on."""
    thread = await thread_of(context, 1)
    stopped = False

    async def keep_reading() -> None:
        while not stopped:
            await beside(context, thread)
            await asyncio.sleep(0)

    readers = [asyncio.create_task(keep_reading()) for _ in range(12)]
    for _ in range(30):
        id = await append(context, thread)
        assert (await beside(context, thread)).first_id == id
    stopped = True
    await asyncio.gather(*readers)


async def test_a_page_within_a_transaction_holds_what_it_wrote(context):
    thread = await thread_of(context, 1)
    message = created(NewMessage("user", plain_text("x")), NOWHERE, thread, 1)

    async def work(transaction) -> list[Page[str]]:
        await store.append(transaction, PROJECT, thread, message.id, body_of(message))
        within = Within(transaction)
        return [await pages.page_beside_others(within, PROJECT, thread, query) for query in (NEWEST, OLDEST)]

    newest, oldest = await context.database.write(work)
    assert (newest.first_id, oldest.last_id) == (NOWHERE, NOWHERE)
    assert len(newest.items) == 2
    assert isinstance(context.database, PostgresDatabase) or newest == await beside(context, thread)


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("cursors", [True, False])
async def test_sqlite_reads_a_page_along_its_key_and_sorts_nothing(tmp_path, down, cursors):
    database = SQLiteDatabase(tmp_path / "plan.db")
    await migrate(database)
    asked = {"thread_id": "thread_1", "project_id": "proj_1", "low": None, "high": None, "rows": 21}
    sql = f"EXPLAIN QUERY PLAN {pages.page_of(down, cursors, False)}"
    plan = [row[3] for row in await database.scan(lambda transaction: transaction.all(sql, asked))]
    assert [line for line in plan if "TEMP B-TREE" in line] == []
    assert plan[0].startswith("SEARCH messages USING INDEX")
    await database.close()
