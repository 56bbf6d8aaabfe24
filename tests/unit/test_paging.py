"""Every list against a model of paging that can be read at a glance, with every cursor and limit."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.conftest import Workshop
from threadkeep.context import Context
from threadkeep.errors import NotFound
from threadkeep.files import actions as file_actions
from threadkeep.files import store as file_rows
from threadkeep.files.model import Upload
from threadkeep.http.request import Request
from threadkeep.messages import actions as message_actions
from threadkeep.messages import pages as message_pages
from threadkeep.messages.endpoints import list_message_files
from threadkeep.messages.model import Attachment, NewMessage, file_ids_of, message_of, plain_text
from threadkeep.paging import PageQuery
from threadkeep.threads import actions as thread_actions
from threadkeep.threads import store as thread_rows
from threadkeep.threads.model import NewThread
from threadkeep.wire import openai_v1

pytestmark = pytest.mark.promise("lists.every-combination")
NOWHERE = "msg_000000000000000000000000"
LIMITS = (1, 2, 3, 100)
EXAMPLES = 12
"""For each database. They are the same at every run; with a few of them come thousands of pages."""
MOST = 5
Ids = list[str]


def expected(ids: Ids, gone: set[str], query: PageQuery) -> tuple[Ids, bool]:
    """The ids of a page and whether more follow, from all ids in the order of their making."""
    line = ids if query.order == "asc" else ids[::-1]
    start = line.index(query.after) + 1 if query.after else 0
    end = line.index(query.before) if query.before else len(line)
    between = [id for id in line[start:end] if id not in gone]
    nearest_the_end = query.before and not query.after
    page = between[-query.limit :] if nearest_the_end else between[: query.limit]
    return page, len(between) > query.limit


class Messages:
    """The messages of a thread."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def make(self, count: int) -> Ids:
        new = NewThread([NewMessage("user", plain_text(str(number))) for number in range(count)])
        self.thread = (await thread_actions.create(self.context, "proj_1", new)).id
        async with self.context.database.read() as transaction:
            every = await message_pages.page(transaction, "proj_1", self.thread, PageQuery(100, "asc"))
        return [message_of(body).id for body in every.items]

    async def delete(self, id: str) -> None:
        await message_actions.delete(self.context, "proj_1", self.thread, id)

    async def page(self, query: PageQuery) -> tuple[Ids, Any]:
        """Read alone, and twice beside itself: all must be the same."""
        database = self.context.database
        asked = [message_pages.page_beside_others(database, "proj_1", self.thread, query) for _ in range(2)]
        beside = await asyncio.gather(*asked, return_exceptions=True)
        async with database.read() as transaction:
            page = await message_pages.page(transaction, "proj_1", self.thread, query)
        assert beside == [page] * 2
        return [message_of(body).id for body in page.items], page


class Threads:
    """The threads of a project that has nothing else."""

    def __init__(self, context: Context) -> None:
        self.context, self.project = context, context.new_id("proj_")

    async def make(self, count: int) -> Ids:
        new = NewThread()
        return [(await thread_actions.create(self.context, self.project, new)).id for _ in range(count)]

    async def delete(self, id: str) -> None:
        await thread_actions.delete(self.context, self.project, id)

    async def page(self, query: PageQuery) -> tuple[Ids, Any]:
        async with self.context.database.read() as transaction:
            page = await thread_rows.page(transaction, self.project, query)
        return [thread.id for thread in page.items], page


async def content() -> AsyncIterator[bytes]:
    yield b"x"


async def upload(context: Context, project: str) -> str:
    receipt = await file_actions.receive(context, project, content())
    return (await file_actions.keep(context, receipt, "a.txt", Upload("vision"))).id


class Files:
    """The files of a project that has nothing else."""

    def __init__(self, context: Context) -> None:
        self.context, self.project = context, context.new_id("proj_")

    async def make(self, count: int) -> Ids:
        return [await upload(self.context, self.project) for _ in range(count)]

    async def delete(self, id: str) -> None:
        await file_actions.delete(self.context, self.project, id)

    async def page(self, query: PageQuery) -> tuple[Ids, Any]:
        async with self.context.database.read() as transaction:
            page = await file_rows.page(transaction, self.project, query, None, self.context.now())
        return [file.id for file in page.items], page


async def no_body() -> dict[str, Any]:
    return {"type": "http.request"}


class MessageFiles(Files):
    """The files of a message, as v1 lists them."""

    async def make(self, count: int) -> Ids:
        ids = await super().make(count)
        new = NewMessage("user", plain_text("look"), [Attachment(id) for id in ids])
        thread = await thread_actions.create(self.context, self.project, NewThread())
        body = await message_actions.create(self.context, self.project, thread.id, new)
        self.path = {"thread_id": thread.id, "message_id": message_of(body).id}
        assert file_ids_of(message_of(body)) == ids
        return ids

    async def page(self, query: PageQuery) -> tuple[Ids, Any]:
        asked = {"limit": query.limit, "order": query.order, "after": query.after, "before": query.before}
        text = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
        request = Request("req_1", self.context, openai_v1.DIALECT, {}, text.encode(), no_body)
        request.project_id, request.path = self.project, self.path
        answer = json.loads((await list_message_files(request)).body)
        return [file["id"] for file in answer["data"]], Answer(answer)


class Answer:
    """A page as it stands on the wire."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.first_id, self.last_id = answer["first_id"], answer["last_id"]
        self.has_more = answer["has_more"]


LISTS = [Messages, Threads, Files, MessageFiles]


@pytest.mark.parametrize("kind", LISTS)
@settings(max_examples=EXAMPLES)
@given(count=st.integers(0, MOST), gone=st.lists(st.integers(0, MOST - 1), unique=True))
def test_every_page_is_what_the_model_says(workshop: Workshop, kind, count, gone):
    listing = kind(workshop.context)

    async def compare() -> None:
        ids = await listing.make(count)
        deleted = [ids[number] for number in gone if number < count]
        for id in deleted:
            await listing.delete(id)
        cursors = [None, *ids]
        for order, after, before, limit in itertools.product(("asc", "desc"), cursors, cursors, LIMITS):
            query = PageQuery(limit, order, after, before)
            found, page = await listing.page(query)
            wanted, more = expected(ids, set(deleted), query)
            assert (found, page.has_more) == (wanted, more), query
            assert (page.first_id, page.last_id) == ((wanted[0], wanted[-1]) if wanted else (None, None))

    workshop.run(compare())


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("cursor", ["after", "before"])
def test_a_cursor_that_never_was_is_not_found(workshop: Workshop, kind, cursor):
    listing = kind(workshop.context)

    async def ask() -> None:
        await listing.make(2)
        with pytest.raises(NotFound) as refused:
            await listing.page(msgspec.structs.replace(PageQuery(), **{cursor: NOWHERE}))
        assert refused.value.id == NOWHERE

    workshop.run(ask())


@settings(max_examples=EXAMPLES)
@given(runs=st.lists(st.sampled_from([None, "run_1", "run_2"]), max_size=MOST))
def test_messages_of_one_run_are_paged_like_all(workshop: Workshop, runs):
    """Cursors keep their places, also those that are of another run."""
    listing = Messages(workshop.context)

    async def compare() -> None:
        ids = await listing.make(len(runs))

        async def assign(transaction: Any) -> None:
            for id, run in zip(ids, runs, strict=True):
                await transaction.run(
                    "UPDATE messages SET run_id = :run WHERE id = :id", {"run": run, "id": id}
                )

        await workshop.context.database.write(assign)
        others = {id for id, run in zip(ids, runs, strict=True) if run != "run_1"}
        cursors = [None, *ids]
        for order, after, before, limit in itertools.product(("asc", "desc"), cursors, cursors, (1, 2, 100)):
            query = PageQuery(limit, order, after, before)
            async with workshop.context.database.read() as transaction:
                page = await message_pages.page(transaction, "proj_1", listing.thread, query, "run_1")
            found = [message_of(body).id for body in page.items]
            assert (found, page.has_more) == expected(ids, others, query), query

    workshop.run(compare())
