"""Chat completions over HTTP (`POST /chat/completions` as OpenAI published it), streamed.

Also under Azure's addresses. What failed is asked again only while nothing of an answer was handed on.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from threadkeep.providers import failures
from threadkeep.providers.base import ChatRequest, Piece
from threadkeep.providers.chunks import Chunks, ErrorSaid
from threadkeep.providers.failures import Trouble
from threadkeep.providers.upstream import Upstream

SECONDS_TO_LIST = 3.0
"""How long a provider has to say which models it has."""
SECONDS_TO_END = 1.0
"""How long a complete answer may take to end, so that its connection can be used again."""
MOST_OF_A_LIST = 16 * 1024 * 1024


class Begun(Struct):
    """An answer whose first pieces are here."""

    response: aiohttp.ClientResponse
    chunks: Chunks
    pieces: list[Piece]


class ChatProvider:
    """The chat completions of one upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self.name, self.upstream = upstream.name, upstream
        self._ending: set[asyncio.Task[None]] = set()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[Piece], None]:
        """The answer as it comes."""
        url = self.upstream.url("chat/completions", request.model)
        body = msgspec.json.encode(self._body(request))
        begun = await self.upstream.tried(partial(self._attempt, url, body))
        response, chunks = begun.response, begun.chunks
        over = False
        try:
            if begun.pieces:
                yield begun.pieces
            read, feed = response.content.readany, chunks.feed
            while not (chunks.done or chunks.trouble):
                try:
                    data = await read()
                except (aiohttp.ClientError, OSError) as problem:
                    if chunks.finished:
                        break
                    raise self.upstream.broken(problem).failure from None
                if not data:
                    break
                if pieces := feed(data):
                    yield pieces
            if not chunks.trouble and (pieces := chunks.end()):
                yield pieces
            if chunks.trouble or not chunks.finished:
                raise self._trouble(chunks).failure
            over = True
        finally:
            if over:
                self._let_go(response)
            else:
                response.close()

    # -------------------------------------------------------------- attempts

    async def _attempt(self, url: str, body: bytes) -> Begun:
        """One request, up to the first pieces of its answer. Raises `Trouble`."""
        response = await self.upstream.posted(url, body)
        try:
            await self.upstream.require_success(response)
            chunks = Chunks()
            pieces: list[Piece] = []
            while not (pieces or chunks.done or chunks.trouble):
                data = await response.content.readany()
                if not data:
                    break
                pieces = chunks.feed(data)
            if not pieces and (chunks.trouble or chunks.cut_off):
                raise self._trouble(chunks)
        except (aiohttp.ClientError, OSError) as problem:
            response.close()
            raise self.upstream.broken(problem) from None
        except BaseException:
            response.close()
            raise
        return Begun(response, chunks, pieces)

    def _trouble(self, chunks: Chunks) -> Trouble:
        """What is wrong with an answer that is not whole."""
        trouble = chunks.trouble
        if isinstance(trouble, ErrorSaid):
            return failures.said_mid_stream(self.upstream.place, trouble.error)
        if trouble:
            return failures.malformed(self.upstream.place, str(trouble))
        return (
            failures.nothing_came(self.upstream.place)
            if chunks.empty
            else failures.broken_off(self.upstream.place)
        )

    # -------------------------------------------------------------- what is sent

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body: what is None or empty is left out, and so is what only makes sense with tools."""
        body = {
            "model": request.model,
            "messages": request.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "response_format": request.response_format,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "reasoning_effort": request.reasoning_effort,
            self.upstream.settings.max_tokens_field: request.max_completion_tokens,
        }
        if request.tools:
            body["tools"] = request.tools
            body["tool_choice"] = request.tool_choice
            body["parallel_tool_calls"] = request.parallel_tool_calls
        return {name: value for name, value in body.items() if value is not None}

    # -------------------------------------------------------------- what it has

    async def models(self) -> list[dict[str, Any]]:
        """The models that it says it has. Azure does not say: its list is of what could be deployed."""
        if self.upstream.settings.kind == "azure":
            return []
        try:
            async with asyncio.timeout(SECONDS_TO_LIST):
                return await self._listed()
        except TimeoutError:
            raise failures.silent(self.upstream.place, SECONDS_TO_LIST).failure from None
        except Trouble as trouble:
            raise trouble.failure from None

    async def _listed(self) -> list[dict[str, Any]]:
        response = await self.upstream.asked("GET", self.upstream.base + "/models")
        body = await self.upstream.whole(response, MOST_OF_A_LIST)
        try:
            listed = models_in(body)
        except ValueError:
            raise failures.malformed(self.upstream.place, "no list of models") from None
        return [
            {
                "id": one.id,
                "object": "model",
                "created": int(one.created or 0),
                "owned_by": one.owned_by or self.name,
            }
            for one in listed
        ]

    # -------------------------------------------------------------- connections

    def _let_go(self, response: aiohttp.ClientResponse) -> None:
        """Have the connection used again, for which what is left of the answer must be read."""
        if not response.content.at_eof():
            task = asyncio.get_running_loop().create_task(read_to_the_end(response))
            self._ending.add(task)
            task.add_done_callback(partial(self._ended, response))

    def _ended(self, response: aiohttp.ClientResponse, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        response.close()  # without effect where the end was reached

    async def close(self) -> None:
        """Let go of every connection."""
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self.upstream.close()


class Listed(Struct):
    id: str
    created: float | None = None
    owned_by: str | None = None


class ModelList(Struct):
    data: list[Listed] | None


def models_in(body: bytes) -> list[Listed]:
    """The models in an answer to GET /models, which some give as a bare list. Raises `ValueError`."""
    listed = msgspec.json.decode(body, type=ModelList | list[Listed])
    return listed.data or [] if isinstance(listed, ModelList) else listed


async def read_to_the_end(response: aiohttp.ClientResponse) -> None:
    """What comes after the last piece, unless it takes too long."""
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(SECONDS_TO_END):
            while await response.content.readany():
                pass
