"""A way to a PostgreSQL of the tests on which connections are looked at first, as a PgBouncer does it."""

import asyncio
import struct

from tests.support.black_hole import BlackHole

TLS_WANTED, PLAIN = 80877103, 196608
KNOWN = {"user", "database", "client_encoding", "datestyle", "timezone", "application_name"}
"""The parameters of a start that PgBouncer takes by itself."""


class Doorman(BlackHole):
    """Lets nobody through who brings a parameter that PgBouncer does not know; with a `refusal`, nobody."""

    def __init__(self, url: str, refusal: str | None = None) -> None:
        super().__init__(url)
        self._refusal = refusal
        self._last: asyncio.StreamWriter | None = None

    def announce(self, text: str, code: str) -> None:
        """Tell the last who came in, unasked, that the connection ends, as a server does before it does."""
        asyncio.run_coroutine_threadsafe(self._tell(refused(text, code)), self._loop).result(10)

    async def _tell(self, error: bytes) -> None:
        assert self._last
        self._last.write(error)
        await self._last.drain()

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        start = await message(reader)
        if code_of(start) == TLS_WANTED:
            writer.write(b"N")
            start = await message(reader)
        refusal = self._refusal or (refusal_of(start) if code_of(start) == PLAIN else None)
        if refusal is None:
            self._last = writer
            return start
        writer.write(refused(refusal))
        return None


async def message(reader: asyncio.StreamReader) -> bytes:
    """The first of a connection, whose length is its first four bytes."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big") - 4)


def code_of(start: bytes) -> int:
    return int.from_bytes(start[4:8], "big")


def refusal_of(start: bytes) -> str | None:
    names = start[8:].split(b"\0")[::2]
    unknown = [name.decode() for name in names if name and name.decode().lower() not in KNOWN]
    return f"unsupported startup parameter: {unknown[0]}" if unknown else None


def refused(text: str, code: str = "08P01") -> bytes:
    """An error after which the connection ends. PgBouncer has one code for everything."""
    fields = f"SFATAL\0C{code}\0M{text}\0".encode()
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
