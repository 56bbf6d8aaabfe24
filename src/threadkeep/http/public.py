"""What anyone who reaches the server may ask: whether it lives, whether it can work, what it speaks."""

import asyncio
from collections.abc import Awaitable, Callable

from threadkeep.errors import Unavailable
from threadkeep.http.openapi import encoded
from threadkeep.http.request import Request, Response
from threadkeep.wire.base import encode

SECONDS_TO_CHECK = 10
"""Whoever asks has little patience; a request has more."""


async def healthz(request: Request) -> Response:
    """The process answers."""
    return request.reply('{"status":"ok"}')


async def readyz(request: Request) -> Response:
    """The database can be worked with; or why not, beside what any request is answered then."""
    try:
        async with asyncio.timeout(SECONDS_TO_CHECK):
            await request.context.check()
    except TimeoutError:
        return not_ready(request, Unavailable(f"no answer for {SECONDS_TO_CHECK} seconds", "unreachable"))
    except Unavailable as problem:
        return not_ready(request, problem)
    except Exception as problem:
        return not_ready(request, Unavailable(type(problem).__name__))
    return request.reply('{"status":"ready"}')


def not_ready(request: Request, problem: Unavailable) -> Response:
    reply = request.dialect.error(problem)
    body = {**reply.body, "reason": problem.reason, "detail": str(problem)}
    return Response(reply.status, encode(body), headers=reply.headers)


async def openapi(request: Request) -> Response:
    """The server's own description."""
    return Response(200, encoded(request.context.settings.require_beta_header))


PUBLIC_METHODS = ("GET", "HEAD")
"""HEAD is for health checks that want no body; the server below leaves it out."""
PUBLIC: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/openapi.json": openapi,
}
