"""Bytes under a key, in a directory here or in object storage (`storage.bucket`).

A key is there completely or not at all.
"""

import asyncio
import hashlib
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from threadkeep.errors import FilesUnavailable
from threadkeep.span import Span

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ObjectStore

CHUNK = 256 * 1024
UNFINISHED = "#1"
"""What obstore appends to the name of a local blob that is not whole yet."""
NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
log = logging.getLogger(__name__)


class Stored(Struct, frozen=True):
    """What was written: its size in bytes and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Damaged(Exception):
    """The bytes under a key are not those that were written."""


class Blobs(ABC):
    """Blobs in `store`. Every method raises `FilesUnavailable` where the storage is in trouble."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Stream `chunks` to `key`. What `chunks` raises is raised here, and nothing is left behind."""
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        await self._write(key, counted())
        return Stored(size, digest.hexdigest())

    @abstractmethod
    async def _write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Make `chunks` the bytes of `key`, to stay when this returns, or leave nothing."""

    async def open(self, key: str, stored: Stored, span: Span | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes of `key` in chunks, or of a part of it. Raises `Damaged` if there are none.

        Whole bytes are compared with their checksum, parts cannot be: what is returned raises `Damaged`
        before the last of them is complete.
        """
        options: GetOptions = {"range": (span.first, span.last + 1)} if span else {}
        with trouble():
            try:
                result = await obstore.get_async(self._store, key, options=options)
            except FileNotFoundError as problem:
                if NO_BUCKET.search(str(problem)):
                    raise
                raise Damaged(key) from problem
        return part_of(result, key, stored) if span else whole_of(result, key, stored)

    async def delete(self, key: str) -> None:
        """Remove `key`, whole or not; a key that is not there is fine."""
        with trouble(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)


async def whole_of(result: "GetResult", key: str, stored: Stored) -> AsyncGenerator[bytes, None]:
    """All bytes, the last of them only once all have proven right."""
    digest, held = hashlib.sha256(), b""
    if result.meta["size"] != stored.bytes:
        raise Damaged(key)
    with trouble():
        async for chunk in result.stream(min_chunk_size=CHUNK):
            digest.update(chunk)
            if held:
                yield held
            held = bytes(chunk)
    if digest.hexdigest() != stored.sha256:
        raise Damaged(key)
    yield held


async def part_of(result: "GetResult", key: str, stored: Stored) -> AsyncGenerator[bytes, None]:
    """The bytes that were asked for."""
    if result.meta["size"] != stored.bytes:
        raise Damaged(key)
    with trouble():
        async for chunk in result.stream(min_chunk_size=CHUNK):
            yield bytes(chunk)


@contextmanager
def trouble() -> Iterator[None]:
    """Turn what storage may raise into `FilesUnavailable`; the log has the cause."""
    try:
        yield
    except (BaseError, OSError) as problem:
        cause = str(problem).partition("\n")[0]
        cause = re.sub(r"\?\S*", "", cause)  # a query may hold a signature that opens the storage
        log.error("event=files_unavailable kind=%s cause=%r", type(problem).__name__, cause)
        raise FilesUnavailable(cause) from problem


class Directory(Blobs):
    """Blobs in the directory `root`, which is made where it does not exist.

    A blob is written to a temporary name and renamed when whole.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(LocalStore(str(root.absolute())))

    async def _write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        with trouble():
            await obstore.put_async(self._store, key, chunks)
            await asyncio.to_thread(self._sync, key)

    def _sync(self, key: str) -> None:
        """Bytes and name on the disk before the row that points to them is."""
        path = self._root / key
        for place in (path, path.parent, self._root):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    async def delete(self, key: str) -> None:
        await super().delete(key)
        with trouble(), suppress(FileNotFoundError):  # what a process that was killed had written
            await asyncio.to_thread(os.unlink, self._root / (key + UNFINISHED))
