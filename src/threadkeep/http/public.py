"""What anyone who reaches the server may ask: whether it lives, whether it can work, what it speaks."""

from collections.abc import Awaitable, Callable

from threadkeep.errors import Unavailable
from threadkeep.http.openapi import encoded
from threadkeep.http.request import Request, Response


async def healthz(request: Request) -> Response:
    """The process answers."""
    return request.reply('{"status":"ok"}')


async def readyz(request: Request) -> Response:
    """The database answers."""
    try:
        async with request.context.database.read() as transaction:
            await transaction.one("SELECT version FROM schema_migrations ORDER BY version LIMIT 1", {})
    except Exception as problem:
        raise Unavailable(str(problem)) from problem
    return request.reply('{"status":"ready"}')


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
