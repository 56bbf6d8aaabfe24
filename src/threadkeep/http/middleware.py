"""The server as one ASGI application: identify, route, authenticate, read, answer, log.

Plain ASGI from end to end. The order of checks is the service's: key, version header, path, body.
"""

import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from threadkeep.context import Context
from threadkeep.errors import (
    InternalError,
    ThreadkeepError,
    UnknownRoute,
    UnsupportedContentType,
    WrongMethod,
)
from threadkeep.http import caller, portkey
from threadkeep.http.access_log import AccessLog
from threadkeep.http.cork import WHOLE
from threadkeep.http.errors import error_response
from threadkeep.http.public import PUBLIC, PUBLIC_METHODS
from threadkeep.http.request import ClientGone, Receive, Request, Response
from threadkeep.http.routes import Operation, tree
from threadkeep.http.streaming import until_hung_up
from threadkeep.idempotency.endpoints import once
from threadkeep.idempotency.model import IdempotencyKey, key_in
from threadkeep.projects.actions import Keyring
from threadkeep.settings import BadSettings
from threadkeep.virtual_keys.actions import Ring

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

log = logging.getLogger(__name__)
MOST_DISCARDED = 64 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that the client gets to see the refusal."""

USUAL_HEADERS = [
    (b"openai-version", b"2020-10-01"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
ORGANIZATION = (b"openai-organization", b"threadkeep")
LINE = b"%b: %b\r\n".__mod__
"""A header as it is sent."""


def request_ids() -> Iterator[str]:
    """`req_` and 32 hexadecimal digits: half of them this process's own, half counted."""
    process = os.urandom(8).hex()
    for number in itertools.count(int.from_bytes(os.urandom(4))):
        yield f"req_{process}{number:016x}"


class Running:
    """What exists while the server runs."""

    def __init__(self, context: Context, keyring: Keyring, virtual_keys: Ring) -> None:
        self.context, self.keyring, self.virtual_keys = context, keyring, virtual_keys


class Application:
    """The ASGI application. `lifespan` makes what it works with and takes it down again."""

    def __init__(self, lifespan: Callable[[], AbstractAsyncContextManager[Running]], logged: bool) -> None:
        self._lifespan = lifespan
        self._running: Running | None = None
        self.refusal: BadSettings | ThreadkeepError | None = None
        """Why it did not start, where that is for a person to put right."""
        self._access_log = AccessLog() if logged else None
        self._trees = {dialect.name: tree(dialect) for dialect in caller.DIALECTS}
        self._request_ids = request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise NotImplementedError(scope["type"])

    # -------------------------------------------------------------- from start to stop

    def drain(self) -> None:
        """The server begins to stop: nothing that a request waits for is to hold that up for long."""
        if self._running is not None:
            self._running.context.runner.drain()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._lifespan() as self._running:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except (BadSettings, ThreadkeepError) as refusal:
            self.refusal = refusal
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        except Exception as problem:
            log.exception("event=lifespan_failed")
            await send({"type": "lifespan.startup.failed", "message": str(problem)})
            return
        finally:
            if self._access_log:
                self._access_log.flush()
        await send({"type": "lifespan.shutdown.complete"})

    # -------------------------------------------------------------- one request

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        assert self._running is not None
        request = Request(
            next(self._request_ids),
            self._running.context,
            caller.DEFAULT,
            dict(scope["headers"]),
            scope["query_string"],
            receive,
        )
        try:
            response = await self._answer(request, self._running, scope["method"], scope["path"])
        except ThreadkeepError as problem:
            response = error_response(request, problem)
        except ClientGone:
            return
        except Exception:
            log.exception("event=internal_error request=%s", request.id)
            response = error_response(request, InternalError(request.id))
        if request.unread and (
            b"content-length" in request.headers or b"transfer-encoding" in request.headers
        ):
            if b"expect" in request.headers:  # the client waits for a word before it sends anything
                response.headers += ((b"connection", b"close"),)
            else:
                await discard_rest(request)
        milliseconds = (time.perf_counter() - started) * 1000
        try:
            await respond(send, request, response, milliseconds, scope.get("extensions", {}).get(WHOLE))
        except ClientGone:
            pass  # from a stream; what it told of goes on
        except Exception:  # the server hangs up on an answer that is not whole, so nobody takes it for one
            log.exception("event=answer_broken_off request=%s", request.id)
        if response.length is None:  # a stream takes as long as what it tells of
            milliseconds = (time.perf_counter() - started) * 1000
        if self._access_log:
            self._access_log.add(
                request.id,
                scope["method"],
                scope.get("raw_path") or scope["path"].encode(),
                response.status,
                milliseconds,
                request.project_id,
                request.dialect.name,
                portkey.trace_of(request.headers),
            )

    async def _answer(self, request: Request, running: Running, method: str, path: str) -> Response:
        segments = path.split("/")
        if segments[-1] == "":
            segments.pop()
        base = segments[1] if len(segments) > 1 else ""
        if base == "rubra":
            request.dialect = caller.RUBRA
            start = 3 if segments[2:3] == ["v1"] else 2
        elif base == "v1":
            start = 2
        elif public := PUBLIC.get(path.rstrip("/")):
            if method not in PUBLIC_METHODS:
                raise WrongMethod(method, path, PUBLIC_METHODS)
            return await public(request)
        else:
            raise UnknownRoute(method, path)
        request.project_id = await running.keyring.project_of(caller.secret_of(request.headers))
        if name := portkey.virtual_key_of(request.headers):
            request.virtual_key = await running.virtual_keys.id_of(name)
        if base == "v1":
            without_beta = segments[2:3] and segments[2] in caller.WITHOUT_BETA
            required = running.context.settings.require_beta_header and not without_beta
            request.dialect = caller.beta_of(request.headers, required)
        operation = self._route(request, method, path, segments[start:])
        if b"idempotency-key" in request.headers and method == "POST":
            target = f"{request.dialect.name} {method} {path}?{request.query_string.decode('latin-1')}"
            request.idempotency_key = IdempotencyKey(key_in(request.headers[b"idempotency-key"]), target)
        if operation.reads == "json":
            await request.read_body(running.context.settings.max_body_bytes)
            require_json(request)
        elif operation.reads == "nothing" and request.idempotency_key:  # by which others are told apart
            await request.read_body(running.context.settings.max_body_bytes)
        if request.idempotency_key and not operation.once_itself:
            return await once(request, request.body, operation.endpoint)
        return await operation.endpoint(request)

    def _route(self, request: Request, method: str, path: str, segments: list[str]) -> Operation:
        node, params = self._trees[request.dialect.name].find(segments)
        if node is None or not node.methods:
            raise UnknownRoute(method, path)
        operation = node.methods.get(method)
        if operation is None:
            raise WrongMethod(method, path, tuple(sorted(node.methods)))
        request.path = params
        return operation


def require_json(request: Request) -> None:
    """A body that is there must be JSON by its own account; without an account it is taken at its word."""
    content_type = request.headers.get(b"content-type", b"")
    if content_type == b"application/json" or not request.body or not content_type:
        return
    media_type = content_type.split(b";")[0].strip().lower()
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        raise UnsupportedContentType(media_type.decode("latin-1"), "application/json")


async def discard_rest(request: Request) -> None:
    """Read what is left of a refused body, within reason."""
    try:
        async for _ in request.chunks(MOST_DISCARDED):
            pass
    except (ThreadkeepError, ClientGone):
        return


async def respond(
    send: Send,
    request: Request,
    response: Response,
    milliseconds: float,
    whole: Callable[[Send, int, bytes, bytes], None] | None = None,
) -> None:
    """Send an answer with the headers that every answer has: by `whole` (see `cork`), where that can be."""
    headers = [
        (b"content-type", response.content_type),
        (b"x-request-id", request.id.encode()),
        (b"openai-processing-ms", b"%d" % milliseconds),
        *USUAL_HEADERS,
        *response.headers,
    ]
    if response.length is not None:  # else the server below sends it in chunks
        headers.append((b"content-length", b"%d" % response.length))
    if response.status != 401:
        headers.append(ORGANIZATION)
    if request.project_id:
        headers.append((b"openai-project", request.project_id.encode()))
    if whole and response.stream is None and not response.headers:  # those the server below must look at
        whole(send, response.status, b"".join(map(LINE, headers)), response.body)
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is None:
        await send({"type": "http.response.body", "body": response.body})
        return
    async with until_hung_up(request.receive), aclosing(response.stream) as stream:
        async for chunk in stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
