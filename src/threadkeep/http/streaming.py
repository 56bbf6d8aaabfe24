"""Answers that go on: the events of a run as they happen.

A stream ends with `Done`, or when its client hangs up, which is noticed while nothing is sent, too. The
run knows nothing of either.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from threadkeep.engine.base import Watch
from threadkeep.engine.events import Event
from threadkeep.http.request import ClientGone, Receive, Request, Response
from threadkeep.wire.sse import KEEP_ALIVE

EVENT_STREAM = b"text/event-stream; charset=utf-8"
HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would else collect events before it passes them on
)


def event_stream(request: Request, watch: Watch, with_content: bool = False) -> Response:
    """What a run tells `watch`, in the caller's dialect; each batch is sent as it comes. `with_content` shows
    what searches of files found."""
    dialect = request.dialect
    write = dialect.events_with_content if with_content else dialect.events
    return Response(200, content_type=EVENT_STREAM, headers=HEADERS, stream=written(write, watch))


async def written(write: Callable[[Sequence[Event]], bytes], watch: Watch) -> AsyncGenerator[bytes, None]:
    """The bytes of every batch, a comment in the place of an empty one."""
    try:
        async for batch in watch.batches():
            yield write(batch) or KEEP_ALIVE
    finally:
        watch.close()


@asynccontextmanager
async def until_hung_up(receive: Receive) -> AsyncIterator[None]:
    """Break off what runs inside as soon as the client has gone. Raises `ClientGone` then."""
    inside = asyncio.current_task()
    assert inside is not None
    gone = False

    async def listen() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        inside.cancel()

    listener = asyncio.create_task(listen())
    try:
        yield
    except asyncio.CancelledError:
        if gone and inside.uncancel() == 0:
            raise ClientGone from None
        raise  # somebody else's doing: the server stops
    finally:
        listener.cancel()
