"""Blobs in object storage: Amazon S3 and what speaks like it, Google Cloud Storage, Azure.

Credentials and addresses come from the variables that each provider's own tools read.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from threadkeep.errors import FilesUnavailable
from threadkeep.settings import BadSettings
from threadkeep.storage.blobs import Blobs, trouble

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""The schemes, and how the variables of each begin."""
PART = 8 * 1024 * 1024
"""Bytes up to which a blob is sent in one piece, and of each part of a larger one. An upload holds twice
as many in memory. Providers take 10,000 parts, so 78 GiB."""

CLIENT: dict[str, str] = {"connect_timeout": "3s", "read_timeout": "30s", "timeout": "24h"}
"""A whole download may take long, since it goes at its reader's pace; silence may not."""
CLIENT_VARIABLES = (*CLIENT, "allow_http", "allow_invalid_certificates", "proxy_url", "proxy_excludes")
RETRIES: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}
"""A request that still finds no storage is answered with 503, and comes again by itself."""


class Bucket(Blobs):
    """Blobs under the prefix that a URL such as `s3://bucket/prefix` names. Raises `BadSettings`."""

    def __init__(self, url: str) -> None:
        super().__init__(store_at(url))

    async def _write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        # One part at a time: none is under way when the upload is called off.
        writer = obstore.open_writer_async(self._store, key, buffer_size=PART, max_concurrency=1)
        try:
            async for chunk in chunks:
                with trouble():
                    await writer.write(chunk)
        except BaseException as problem:
            await call_off(writer, problem)
            raise
        with trouble():  # whatever fails in here is called off by obstore, also while this is cancelled
            await asyncio.shield(writer.close())


async def call_off(writer: "AsyncWritableFile", problem: BaseException) -> None:
    """Leave nothing of an upload, neither an object nor parts of one."""
    with suppress(FilesUnavailable), trouble():
        if not isinstance(problem, FilesUnavailable):
            await settle(writer)
    with suppress(FilesUnavailable), trouble():
        await writer.__aexit__(type(problem), problem, problem.__traceback__)


async def settle(writer: "AsyncWritableFile") -> None:
    """Wait for the part that is under way: one that arrives after an upload was called off may stay.

    A write begins with waiting, so a byte is written. It can fill a part, which the second one awaits.
    """
    for _ in range(2):
        await writer.write(b"\0")


def store_at(url: str, environment: Mapping[str, str] = os.environ) -> "ObjectStore":
    """The place that a URL names. Raises `BadSettings`."""
    parts = urlsplit(url)
    if parts.scheme not in VARIABLES or not parts.netloc:
        shown = f"{parts.scheme}://..." if "@" in url else url  # before an @ may be a password
        raise BadSettings(
            f"files_url is {shown!r}, but must look like file:///path, s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix."
        )
    if "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        raise BadSettings(
            f"files_url must be {parts.scheme}://, a name and a prefix, nothing else: keys and addresses "
            f"come from {VARIABLES[parts.scheme]}... variables."
        )
    try:
        return from_url(
            url,
            client_options=client_options(environment, VARIABLES[parts.scheme]),
            retry_config=RETRIES,
        )
    except (BaseError, ValueError) as problem:
        reason = str(problem).partition("\n")[0]
        raise BadSettings(f"files_url is {url!r}, which cannot be used: {reason.rstrip('.')}.") from problem


def client_options(environment: Mapping[str, str], prefix: str) -> "ClientConfig":
    """How to speak HTTP. obstore reads no such variables once it is given any option."""
    given = {
        name: environment[prefix + name.upper()]
        for name in CLIENT_VARIABLES
        if prefix + name.upper() in environment
    }
    options: ClientConfig = {**CLIENT, **given}  # type: ignore[typeddict-item]  # it reads all from text
    return options
