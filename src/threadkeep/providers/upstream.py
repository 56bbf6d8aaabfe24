"""One server that models are asked of: its address, its connections, and how a request is sent again."""

import asyncio
import io
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp

from threadkeep import __version__
from threadkeep.clock import Clock
from threadkeep.providers import failures
from threadkeep.providers.failures import Place, Trouble
from threadkeep.providers.patience import Patience
from threadkeep.settings import BadSettings, ProviderSettings

log = logging.getLogger(__name__)
T = TypeVar("T")

AZURE_API_VERSION = "2024-10-21"
MOST_OF_AN_ERROR = 64 * 1024
LARGE_BODY = 1024 * 1024
"""Bytes from which on aiohttp is to write a body in parts."""


class Upstream:
    """The server of a provider. Raises `BadSettings` for an address that is none.

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
        self.name, self.settings = name, settings
        self._clock, self._patience = clock, patience or Patience()
        self.base = checked_base(name, settings)
        require_sendable(name, settings.api_key)
        host = urlsplit(self.base).netloc
        self.place = Place(name, host, address_setting, key_setting, settings.api_key)
        self._session: aiohttp.ClientSession | None = None

    # -------------------------------------------------------------- attempts

    async def tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the first attempt that succeeds returns; one that does not raises `Trouble`.

        Raises `ModelFailure` once there is no sense in another.
        """
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._patience.seconds
        number = 0
        while True:
            try:
                return await attempt()
            except Trouble as trouble:
                delay = self._patience.delay(number, trouble.after)
                in_time = now() + delay < give_up_at
                if not (trouble.again and number < self.settings.max_retries and in_time):
                    raise trouble.failure from None
                log.warning(
                    "event=provider_retry provider=%s attempt=%d seconds=%.1f problem=%r",
                    self.name, number + 1, delay, trouble.failure.message,
                )  # fmt: skip
            await self._patience.pause(delay)
            number += 1

    async def posted(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        """The beginning of an answer to a JSON body. Raises `Trouble`."""
        return await self.asked("POST", url, io.BytesIO(body) if len(body) > LARGE_BODY else body)

    async def asked(self, method: str, url: str, data: Any = None) -> aiohttp.ClientResponse:
        """The beginning of an answer. Raises `Trouble`."""
        try:
            return await self._open().request(method, url, data=data, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError:
            seconds = self.settings.connect_timeout
            raise failures.unreachable(self.place, f"no connection within {seconds:g} seconds") from None
        except aiohttp.ClientSSLError as problem:
            raise failures.unreachable(self.place, f"TLS failed ({problem.os_error})", again=False) from None
        except aiohttp.ClientConnectorError as problem:
            raise failures.unreachable(self.place, reason_of(problem.os_error)) from None
        except (aiohttp.ClientError, OSError) as problem:
            raise self.broken(problem) from None

    async def whole(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """The body of a whole answer that succeeded, `most` bytes of it. Raises `Trouble`."""
        try:
            await self.require_success(response)
            return await read_some(response, most)
        except (aiohttp.ClientError, OSError) as problem:
            raise self.broken(problem) from None
        finally:
            response.close()  # without effect where the end was reached

    async def require_success(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            said = await read_some(response, MOST_OF_AN_ERROR)
            raise failures.refused(self.place, response.status, said, response.headers, self._clock())

    def broken(self, problem: Exception) -> Trouble:
        """What the end of a connection means."""
        if isinstance(problem, TimeoutError):
            return failures.silent(self.place, self.settings.read_timeout)
        return failures.broken_off(self.place)

    # -------------------------------------------------------------- what is sent

    def url(self, operation: str, model: str) -> str:
        """Where an operation is asked of a model: Azure has an address for each of its deployments."""
        if self.settings.kind == "openai":
            return f"{self.base}/{operation}"
        version = quote(self.settings.api_version or AZURE_API_VERSION, safe="")
        deployment = f"{self.base}/openai/deployments/{quote(model, safe='')}"
        return f"{deployment}/{operation}?api-version={version}"

    def _headers(self) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",  # pieces are small, and are to come at once
            "user-agent": f"threadkeep/{__version__}",
        }
        key = self.settings.api_key
        if key and self.settings.kind == "azure":
            headers["api-key"] = key
        elif key:
            headers["authorization"] = f"Bearer {key}"
        return {**headers, **{name.lower(): value for name, value in self.settings.headers.items()}}

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
                    connect=self.settings.connect_timeout,
                    sock_read=self.settings.read_timeout,
                ),
            )
        return self._session

    async def close(self) -> None:
        """Let go of every connection."""
        if self._session is not None:
            await self._session.close()


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


def reason_of(problem: OSError) -> str:
    """Why no connection came about, for a person."""
    if isinstance(problem, ConnectionRefusedError):
        return "connection refused"
    return str(problem.strerror or problem)
