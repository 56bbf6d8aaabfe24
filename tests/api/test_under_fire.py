"""Reading while others write. Reference: protocol section 1.4, and 12.4 for deleting while paging."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any, Literal

import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.support.house import House

WRITERS, EACH = 8, 30
Ids = list[str]


@pytest.fixture
def sdk(house: House, key: str) -> Iterator[OpenAI]:
    """The official client, unwatched: what it is held against would take the processor from the server."""
    http = DefaultHttpxClient(verify=False)
    with OpenAI(base_url=house.base_url, api_key=key, max_retries=0, http_client=http) as client:
        yield client


def write(sdk: OpenAI, thread_id: str, writer: int) -> Ids:
    """Append some messages; their ids as answered."""
    messages = sdk.beta.threads.messages
    return [messages.create(thread_id, role="user", content=f"{writer} {n}").id for n in range(EACH)]


def follow(sdk: OpenAI, thread_id: str, limit: int, writers: list[Future[Ids]]) -> Ids:
    """Read forward to the end again and again, from the last message seen, until all is written."""
    seen: Ids = []
    finished = False
    while not finished:
        finished = all(writer.done() for writer in writers)
        after: dict[str, Any] = {"after": seen[-1]} if seen else {}
        pages = sdk.beta.threads.messages.list(thread_id, order="asc", limit=limit, **after)
        seen += [message.id for message in pages]
    return seen


def look_back(sdk: OpenAI, thread_id: str, limit: int, writers: list[Future[Ids]]) -> list[Ids]:
    """Read backward from the newest to the first message, again and again until all is written."""
    walks = []
    while not all(writer.done() for writer in writers):
        pages = sdk.beta.threads.messages.list(thread_id, order="desc", limit=limit)
        walks.append([message.id for message in pages])
    return walks


@pytest.mark.promise("paging.under-fire")
def test_readers_see_every_message_once_and_in_order_while_eight_write(sdk: OpenAI) -> None:
    under_fire([sdk])


@pytest.mark.promise("paging.under-fire", "postgres.many-servers")
def test_the_same_holds_where_three_servers_share_a_database(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("shared")
    with ExitStack() as stack:
        houses = [stack.enter_context(House(directory, "postgres")) for _ in range(3)]
        key = houses[0].new_key("shared")
        http = stack.enter_context(DefaultHttpxClient(verify=False))
        under_fire(
            [OpenAI(base_url=one.base_url, api_key=key, max_retries=0, http_client=http) for one in houses]
        )


def under_fire(clients: list[OpenAI]) -> None:
    """Write through all of these servers at once, and read from them while that goes on."""
    sdk = clients[0]
    thread_id = sdk.beta.threads.create().id
    turns = itertools.cycle(clients)
    with ThreadPoolExecutor(WRITERS + 4) as pool:
        writers = [pool.submit(write, next(turns), thread_id, writer) for writer in range(WRITERS)]
        forward = [pool.submit(follow, next(turns), thread_id, limit, writers) for limit in (3, 20)]
        backward = [pool.submit(look_back, next(turns), thread_id, limit, writers) for limit in (7, 50)]
        everyone: list[Future[Any]] = [*writers, *forward, *backward]
        wait(everyone, timeout=60)

    final = [one.id for one in sdk.beta.threads.messages.list(thread_id, order="asc", limit=100)]
    assert sorted(final) == sorted(id for writer in writers for id in writer.result())
    place = {id: number for number, id in enumerate(final)}
    for writer in writers:
        assert writer.result() == sorted(writer.result(), key=place.__getitem__)
    for reader in forward:
        assert reader.result() == final
    walks = [walk for reader in backward for walk in reader.result()]
    assert walks
    for walk in walks:
        assert walk == final[: len(walk)][::-1]


@pytest.mark.promise("paging.delete-while-paging")
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_loop_that_deletes_what_it_reads_leaves_an_empty_thread(
    sdk: OpenAI, order: Literal["asc", "desc"]
) -> None:
    first: Any = [{"role": "user", "content": str(number)} for number in range(25)]
    thread = sdk.beta.threads.create(messages=first)
    messages = sdk.beta.threads.messages
    deleted = [
        messages.delete(message.id, thread_id=thread.id).id
        for message in messages.list(thread.id, limit=4, order=order)
    ]
    assert len(deleted) == 25
    assert messages.list(thread.id).data == []


@pytest.mark.promise("paging.delete-while-paging")
def test_the_next_page_follows_although_the_last_one_was_deleted(sdk: OpenAI) -> None:
    first: Any = [{"role": "user", "content": str(number)} for number in range(10)]
    thread = sdk.beta.threads.create(messages=first)
    messages = sdk.beta.threads.messages
    page = messages.list(thread.id, order="asc", limit=3)
    ids = [message.id for message in page]
    for id in ids[:4]:
        messages.delete(id, thread_id=thread.id)
    assert [message.id for message in page.get_next_page().data] == ids[4:7]
