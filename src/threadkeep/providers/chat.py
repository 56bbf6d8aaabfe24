"""Chat completions over HTTP (`POST /chat/completions` as OpenAI published it), streamed.

Also under Azure's addresses. What failed is asked again only while nothing of an answer was handed on.
"""

import asyncio
import io
import logging
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from threadkeep import __version__
from threadkeep.clock import Clock
from threadkeep.providers import failures
from threadkeep.providers.base import ChatRequest, Piece
from threadkeep.providers.chunks import Chunks, ErrorSaid
from threadkeep.providers.failures import Place, Trouble
from threadkeep.settings import BadSettings, ProviderSettings

log = logging.getLogger(__name__)

AZURE_API_VERSION = "2024-10-21"
SECONDS_TO_LIST = 3.0
"""How long a provider has to say which models it has."""
SECONDS_TO_END = 1.0
"""How long a complete answer may take to end, so that its connection can be used again."""
MOST_OF_AN_ERROR = 64 * 1024
MOST_OF_A_LIST = 16 * 1024 * 1024
LARGE_BODY = 1024 * 1024
"""Bytes from which on aiohttp is to write a body in parts."""


class Patience(Struct, frozen=True, kw_only=True):
    """How attempts follow each other: after a random part of `base * 2 ** attempt` seconds, `most` at the
    highest, and never once `seconds` have passed since the first."""

    base: float = 0.5
    most: float = 20.0
    seconds: float = 600.0
    chance: Callable[[], float] = random.random
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def delay(self, attempt: int, after: float | None) -> float:
        """Seconds before another attempt; `after` is what the provider asked for."""
        return max(self.chance() * min(self.most, self.base * 2.0**attempt), after or 0.0)


class Begun(Struct):
    """An answer whose first pieces are here."""

    response: aiohttp.ClientResponse
    chunks: Chunks
    pieces: list[Piece]


class ChatProvider:
    """One upstream. Raises `BadSettings` for an address that is none.

    `address_setting` and `key_setting` are what messages tell people to check.
    """

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        clock: Clock,
        patience: Patience | None = None,
        *,
        address_setting: str = "its base_url",
        key_setting: str = "its api_key",
    ) -> None:
        self.name = name
        self._settings, self._clock, self._patience = settings, clock, patience or Patience()
        self._base = checked_base(name, settings)
        require_sendable(name, settings.api_key)
        host = urlsplit(self._base).netloc
        self._place = Place(name, host, address_setting, key_setting, settings.api_key)
        self._session: aiohttp.ClientSession | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[Piece], None]:
        """The answer as it comes."""
        begun = await self._begin(self._url(request.model), msgspec.json.encode(self._body(request)))
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
                    raise self._broken(problem).failure from None
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

    async def _begin(self, url: str, body: bytes) -> Begun:
        """The answer of the first attempt that has one. Raises `ModelFailure`."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._patience.seconds
        attempt = 0
        while True:
            try:
                return await self._attempt(url, body)
            except Trouble as trouble:
                delay = self._patience.delay(attempt, trouble.after)
                in_time = now() + delay < give_up_at
                if not (trouble.again and attempt < self._settings.max_retries and in_time):
                    raise trouble.failure from None
                log.warning(
                    "event=provider_retry provider=%s attempt=%d seconds=%.1f problem=%r",
                    self.name, attempt + 1, delay, trouble.failure.message,
                )  # fmt: skip
            await self._patience.pause(delay)
            attempt += 1

    async def _attempt(self, url: str, body: bytes) -> Begun:
        """One request, up to the first pieces of its answer. Raises `Trouble`."""
        response = await self._asked("POST", url, io.BytesIO(body) if len(body) > LARGE_BODY else body)
        try:
            await self._require_success(response)
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
            raise self._broken(problem) from None
        except BaseException:
            response.close()
            raise
        return Begun(response, chunks, pieces)

    async def _asked(self, method: str, url: str, data: Any = None) -> aiohttp.ClientResponse:
        """The beginning of an answer. Raises `Trouble`."""
        try:
            return await self._open().request(method, url, data=data, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError:
            seconds = self._settings.connect_timeout
            raise failures.unreachable(self._place, f"no connection within {seconds:g} seconds") from None
        except aiohttp.ClientSSLError as problem:
            raise failures.unreachable(self._place, f"TLS failed ({problem.os_error})", again=False) from None
        except aiohttp.ClientConnectorError as problem:
            raise failures.unreachable(self._place, reason_of(problem.os_error)) from None
        except (aiohttp.ClientError, OSError) as problem:
            raise self._broken(problem) from None

    async def _require_success(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            said = await read_some(response, MOST_OF_AN_ERROR)
            raise failures.refused(self._place, response.status, said, response.headers, self._clock())

    def _broken(self, problem: Exception) -> Trouble:
        """What the end of a connection means."""
        if isinstance(problem, TimeoutError):
            return failures.silent(self._place, self._settings.read_timeout)
        return failures.broken_off(self._place)

    def _trouble(self, chunks: Chunks) -> Trouble:
        """What is wrong with an answer that is not whole."""
        trouble = chunks.trouble
        if isinstance(trouble, ErrorSaid):
            return failures.said_mid_stream(self._place, trouble.error)
        if trouble:
            return failures.malformed(self._place, str(trouble))
        return failures.nothing_came(self._place) if chunks.empty else failures.broken_off(self._place)

    # -------------------------------------------------------------- what is sent

    def _url(self, model: str) -> str:
        if self._settings.kind == "openai":
            return self._base + "/chat/completions"
        version = quote(self._settings.api_version or AZURE_API_VERSION, safe="")
        deployment = f"{self._base}/openai/deployments/{quote(model, safe='')}"
        return f"{deployment}/chat/completions?api-version={version}"

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
            self._settings.max_tokens_field: request.max_completion_tokens,
        }
        if request.tools:
            body["tools"] = request.tools
            body["tool_choice"] = request.tool_choice
            body["parallel_tool_calls"] = request.parallel_tool_calls
        return {name: value for name, value in body.items() if value is not None}

    def _headers(self) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",  # pieces are small, and are to come at once
            "user-agent": f"threadkeep/{__version__}",
        }
        key = self._settings.api_key
        if key and self._settings.kind == "azure":
            headers["api-key"] = key
        elif key:
            headers["authorization"] = f"Bearer {key}"
        return {**headers, **{name.lower(): value for name, value in self._settings.headers.items()}}

    # -------------------------------------------------------------- what it has

    async def models(self) -> list[dict[str, Any]]:
        """The models that it says it has. Azure does not say: its list is of what could be deployed."""
        if self._settings.kind == "azure":
            return []
        try:
            async with asyncio.timeout(SECONDS_TO_LIST):
                return await self._listed()
        except TimeoutError:
            raise failures.silent(self._place, SECONDS_TO_LIST).failure from None
        except Trouble as trouble:
            raise trouble.failure from None

    async def _listed(self) -> list[dict[str, Any]]:
        response = await self._asked("GET", self._base + "/models")
        try:
            await self._require_success(response)
            body = await read_some(response, MOST_OF_A_LIST)
        except (aiohttp.ClientError, OSError) as problem:
            raise self._broken(problem) from None
        finally:
            response.close()
        try:
            listed = models_in(body)
        except ValueError:
            raise failures.malformed(self._place, "no list of models") from None
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

    def _open(self) -> aiohttp.ClientSession:
        """The session, made on the event loop that first needs one."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._settings.connect_timeout,
                    sock_read=self._settings.read_timeout,
                ),
            )
        return self._session

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
        if self._session is not None:
            await self._session.close()


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


def checked_base(name: str, settings: ProviderSettings) -> str:
    """The base URL without a slash at its end. Raises `BadSettings`."""
    base = settings.base_url.strip().rstrip("/")
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadSettings(
            f"The provider '{name}' needs a base_url such as https://host/v1: http or https, and no user "
            "name, query or fragment."
        )
    return base.removesuffix("/openai") if settings.kind == "azure" else base


def require_sendable(name: str, key: str | None) -> None:
    """Raises `BadSettings` for a key that no header can hold."""
    if key and not re.fullmatch("[!-~]+", key):
        raise BadSettings(f"The key of the provider '{name}' has spaces or other signs that no key has.")


async def read_some(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, or as much of it as is worth reading."""
    parts: list[bytes] = []
    async for data in response.content.iter_any():
        parts.append(data)
        most -= len(data)
        if most <= 0:
            break
    return b"".join(parts)


async def read_to_the_end(response: aiohttp.ClientResponse) -> None:
    """What comes after the last piece, unless it takes too long."""
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(SECONDS_TO_END):
            while await response.content.readany():
                pass


def reason_of(problem: OSError) -> str:
    """Why no connection came about, for a person."""
    if isinstance(problem, ConnectionRefusedError):
        return "connection refused"
    return str(problem.strerror or problem)
