"""The least that can stand between a client and a model on the same stack: uvicorn, a bare ASGI app, and
aiohttp's client; what comes in goes out as it is."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

from bench.servers import serve

Message = MutableMapping[str, Any]
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


def app_for(
    upstream: str,
) -> Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]:
    """The app in front of a model."""
    session: aiohttp.ClientSession | None = None

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        nonlocal session
        if scope["method"] == "GET":
            await send(START)
            await send({"type": "http.response.body", "body": b"{}"})
            return
        if session is None:
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"Content-Type": "application/json"}
        async with session.post(upstream, data=body, headers=headers) as answer:
            await send(START)
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.runs.proxy")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    serve(app_for(options.upstream), options.port)


if __name__ == "__main__":
    main()
