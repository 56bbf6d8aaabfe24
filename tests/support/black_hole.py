"""A way over TCP to a PostgreSQL of the tests, which can swallow everything without a word."""

import asyncio
import contextlib
import threading
from typing import Self
from urllib.parse import parse_qs, urlsplit


class BlackHole:
    """`with BlackHole(url) as hole:` leads from `hole.url` to the server of `url`, until `hole.swallow()`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{parts.port or 5432}"
        self._user, self._path = parts.username, parts.path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="black hole")
        self._writers: list[asyncio.StreamWriter] = []
        self._passes = True
        self.swallowed = 0
        """Pieces that went nowhere."""

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        first = await self._let_in(reader, writer)
        if first is None:
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket)
        self._writers.append(inner_writer)
        inner_writer.write(first)
        await asyncio.gather(self._carry(reader, inner_writer), self._carry(inner_reader, writer))

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """What was read of a connection that may pass."""
        return b""

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                if self._passes:
                    writer.write(piece)
                else:
                    self.swallowed += 1
        writer.close()

    def swallow(self, *, everything: bool = True) -> None:
        """Let nothing through in either direction, or all again."""
        self._passes = not everything

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"postgresql://{self._user}@{host}:{port}{self._path}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        while under_way := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in self._writers:
                writer.close()
            await asyncio.wait(under_way)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
