"""Working ahead: what comes next is made while what came before is used."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def ahead(
    source: AsyncIterator[T], make: Callable[[T], Awaitable[R]], most: int
) -> AsyncGenerator[R, None]:
    """What `make` makes of each of a source, in their order; up to `most` are made at the same time, or wait.

    What either raises is raised in its place. When this is closed, nothing of it goes on.
    """
    tasks: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def feed() -> None:
        try:
            await room.acquire()
            async for one in source:
                tasks.put_nowait(asyncio.ensure_future(made(one)))
                await room.acquire()
        finally:
            tasks.put_nowait(None)

    async def made(one: T) -> R:
        return await make(one)

    feeding = asyncio.create_task(feed(), name="working ahead")
    begun: list[asyncio.Task[R]] = []
    try:
        while task := await tasks.get():
            begun.append(task)
            result = await task
            begun.clear()
            room.release()
            yield result
        await feeding
    finally:
        feeding.cancel()
        while not tasks.empty():
            if task := tasks.get_nowait():
                begun.append(task)
        for task in begun:
            task.cancel()
        await asyncio.gather(feeding, *begun, return_exceptions=True)
