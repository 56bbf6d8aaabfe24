"""Images in files, as models take them."""

import base64
from collections.abc import Iterable

from threadkeep.context import Context
from threadkeep.errors import NotFound
from threadkeep.files import store as files
from threadkeep.files.model import StoredFile, blob_key
from threadkeep.storage.blobs import Damaged, Stored

MOST_BYTES = 20 * 1024 * 1024
"""Of one image, and of all images of a prompt; the upstreams we know take no more."""
KINDS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def kind_of(data: bytes) -> str | None:
    """The media type of an image, by its first bytes; None for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in KINDS if data.startswith(magic)), None)


async def data_urls(context: Context, project_id: str, file_ids: Iterable[str]) -> dict[str, str]:
    """Images by the id of their file. What is gone, is no image or is too large is left out, and so is
    what comes last where all together are too large. Raises `FilesUnavailable`."""
    urls: dict[str, str] = {}
    left = MOST_BYTES
    for id in dict.fromkeys(file_ids):
        stored = await find(context, project_id, id)
        if stored is None or stored.file.bytes > left:
            continue
        data = await content(context, project_id, stored)
        if kind := kind_of(data):
            left -= len(data)
            urls[id] = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return urls


async def find(context: Context, project_id: str, id: str) -> StoredFile | None:
    try:
        async with context.database.read() as transaction:
            return await files.get(transaction, project_id, id, context.now())
    except NotFound:
        return None


async def content(context: Context, project_id: str, stored: StoredFile) -> bytes:
    """A file's bytes; none where they were damaged."""
    whole = Stored(stored.file.bytes, stored.sha256)
    try:
        chunks = await context.blobs.open(blob_key(project_id, stored.file.id), whole)
        return b"".join([chunk async for chunk in chunks])
    except Damaged:
        return b""
