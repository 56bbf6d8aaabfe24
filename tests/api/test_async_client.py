"""The same through the official client's asynchronous half."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, NotFoundError

from tests.support.house import House
from tests.support.shapes import check_response_async

Work = Callable[[AsyncOpenAI], Awaitable[None]]


@pytest.fixture
def run(house: House, key: str) -> Callable[[Work], None]:
    """Runs a coroutine with a client of a fresh project; every answer is held against its schema."""

    async def connected(work: Work) -> None:
        hooks = {"response": [check_response_async]}
        http = DefaultAsyncHttpxClient(event_hooks=hooks, verify=False)
        async with AsyncOpenAI(
            base_url=house.base_url, api_key=key, max_retries=0, http_client=http
        ) as client:
            await work(client)

    return lambda work: asyncio.run(connected(work))


@pytest.mark.promise("common.async-client")
def test_a_thread_from_beginning_to_end(run: Callable[[Work], None]) -> None:
    async def work(client: AsyncOpenAI) -> None:
        threads, messages = client.beta.threads, client.beta.threads.messages
        thread = await threads.create(messages=[{"role": "user", "content": "one"}])
        two = await messages.create(thread.id, role="assistant", content="two")
        changed = await messages.update(two.id, thread_id=thread.id, metadata={"a": "b"})
        assert await messages.retrieve(two.id, thread_id=thread.id) == changed
        assert (await messages.delete(two.id, thread_id=thread.id)).deleted
        assert (await threads.delete(thread.id)).deleted
        with pytest.raises(NotFoundError, match=f"No thread found with id '{thread.id}'"):
            await threads.retrieve(thread.id)

    run(work)


@pytest.mark.promise("common.async-client")
def test_files_go_out_and_come_back(run: Callable[[Work], None]) -> None:
    async def work(client: AsyncOpenAI) -> None:
        file = await client.files.create(file=("a.bin", b"\x00\xff" * 50_000), purpose="vision")
        assert [one.id async for one in client.files.list()] == [file.id]
        assert (await client.files.content(file.id)).content == b"\x00\xff" * 50_000
        assert (await client.files.delete(file.id)).deleted

    run(work)


@pytest.mark.promise("paging.sdk-iterators")
def test_messages_written_at_once_are_all_there_once(run: Callable[[Work], None]) -> None:
    async def work(client: AsyncOpenAI) -> None:
        messages = client.beta.threads.messages
        thread = await client.beta.threads.create()
        texts = [str(number) for number in range(60)]
        made = await asyncio.gather(
            *(messages.create(thread.id, role="user", content=text) for text in texts)
        )
        up = [one.id async for one in messages.list(thread.id, limit=7, order="asc")]
        down = [one.id async for one in messages.list(thread.id, limit=9)]
        assert sorted(up) == sorted(one.id for one in made)
        assert down == up[::-1]

    run(work)


@pytest.mark.promise("common.raw-responses")
def test_raw_and_streamed_responses(run: Callable[[Work], None]) -> None:
    async def work(client: AsyncOpenAI) -> None:
        raw = await client.beta.threads.with_raw_response.create(metadata={"a": "b"})
        thread = raw.parse()
        assert raw.headers["x-request-id"] == thread._request_id
        streamed = client.beta.threads.with_streaming_response.retrieve(thread.id)
        async with streamed as response:
            assert await response.json() == thread.to_dict()

    run(work)
