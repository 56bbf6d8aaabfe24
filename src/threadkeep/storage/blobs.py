"""Bytes under a key: a directory today, through the interface that also speaks to object storage.

A blob is written to a temporary name and renamed when whole, so a key is there completely or
not at all.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import obstore
from msgspec import Struct
from obstore.store import LocalStore

CHUNK = 256 * 1024
UNFINISHED = "#1"
"""What obstore appends to the name of a blob that is not whole yet."""


class Stored(Struct, frozen=True):
    """What was written: its size in bytes and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Damaged(Exception):
    """The bytes under a key are not those that were written."""


class Blobs:
    """Blobs in the directory `root`, which is made where it does not exist."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self._store = LocalStore(str(root.absolute()))

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Stream `chunks` to `key`. What `chunks` raises is raised here, and nothing is left behind."""
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        await obstore.put_async(self._store, key, counted())
        await asyncio.to_thread(self._sync, key)
        return Stored(size, digest.hexdigest())

    def _sync(self, key: str) -> None:
        """Bytes and name on the disk before the row that points to them is."""
        path = self._root / key
        for place in (path, path.parent, self._root):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    async def stream(self, key: str, stored: Stored) -> AsyncIterator[bytes]:
        """The bytes of `key` in chunks. Raises `Damaged` before the last of them is complete."""
        digest, held = hashlib.sha256(), b""
        result = await obstore.get_async(self._store, key)
        if result.meta["size"] != stored.bytes:
            raise Damaged(key)
        async for chunk in result.stream(min_chunk_size=CHUNK):
            digest.update(chunk)
            if held:
                yield held
            held = bytes(chunk)
        if digest.hexdigest() != stored.sha256:
            raise Damaged(key)
        yield held

    async def delete(self, key: str) -> None:
        """Remove `key`, whole or not; a key that is not there is fine."""
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)
        with suppress(FileNotFoundError):  # what a process that was killed had written
            await asyncio.to_thread(os.unlink, self._root / (key + UNFINISHED))
