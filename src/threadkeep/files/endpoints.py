"""Files, in the order of the API reference (protocol section 8)."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec

from threadkeep.errors import BadUpload, IdempotencyKeyReused, TooLarge
from threadkeep.files import actions, store
from threadkeep.files.model import LONGEST_LIFE, PURPOSES, SHORTEST_LIFE, File, Upload
from threadkeep.http.multipart import Data, Event, Field, FileEnd, FileStart, FormEnd, events
from threadkeep.http.ranges import content_range, span_of
from threadkeep.http.request import Request, Response
from threadkeep.idempotency.endpoints import REPLAYED, once
from threadkeep.paging import Page
from threadkeep.storage.database import Transaction

MOST_LISTED = 10_000
FORM_OVERHEAD = 1024 * 1024
"""Bytes that a form may have beside its file."""


async def upload_file(request: Request) -> Response:
    """POST /files"""
    limit = request.context.settings.max_file_bytes
    form = events(request, limit + FORM_OVERHEAD)
    fields: dict[str, str] = {}
    receipt: actions.Receipt | None = None
    filename, whole = "", False
    try:
        async for event in form:
            match event:
                case Field(name, value):
                    fields[name] = value
                    check_purpose(fields.get("purpose", PURPOSES[0]))
                case FileStart("file", name) if receipt is None:
                    filename = name
                    receipt = await actions.receive(request.context, request.project_id, data(form, limit))
                case FormEnd():
                    whole = True
        if not whole:
            raise BadUpload("The form ends before its last boundary.", None)
        upload = upload_of(fields, receipt)
    except BaseException:
        if receipt:
            await actions.discard(request.context, receipt)
        raise
    assert receipt is not None
    return await keep_once(request, receipt, filename, upload)


async def keep_once(request: Request, receipt: actions.Receipt, filename: str, upload: Upload) -> Response:
    """Give received bytes their row; those of a request that was answered before are not needed again."""

    async def keep(request: Request) -> Response:
        file = await actions.keep(request.context, receipt, filename, upload)
        return request.reply(request.dialect.file(file))

    content = msgspec.json.encode((upload, filename, receipt.stored.sha256))
    try:
        response = await once(request, content, keep)
    except IdempotencyKeyReused:
        await actions.discard(request.context, receipt)
        raise
    if REPLAYED in response.headers:
        await actions.discard(request.context, receipt)
    return response


async def data(form: AsyncIterator[Event], limit: int, field: str = "file") -> AsyncIterator[bytes]:
    """The bytes of the file that has just begun, in `field`. Raises `TooLarge` and `BadUpload`."""
    size = 0
    async for event in form:
        match event:
            case Data(chunk):
                size += len(chunk)
                if size > limit:
                    raise TooLarge(limit)
                yield chunk
            case FileEnd():
                return
    raise BadUpload("The form ends in the middle of its file.", field)


def upload_of(fields: dict[str, str], receipt: actions.Receipt | None) -> Upload:
    """What the fields of a whole form say. Raises `BadUpload`."""
    if receipt is None:
        raise BadUpload("'file' is a required property", "file")
    if "purpose" not in fields:
        raise BadUpload("'purpose' is a required property", "purpose")
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return Upload(fields["purpose"])
    if anchor is None or seconds is None:
        absent = "anchor" if anchor is None else "seconds"
        raise BadUpload(f"'{absent}' is a required property - 'expires_after'", "expires_after")
    if anchor != "created_at":
        raise BadUpload(f"'{anchor}' is not one of ['created_at'] - 'expires_after.anchor'", "expires_after")
    if not seconds.isascii() or not seconds.isdigit():
        raise BadUpload(f"'{seconds}' is not of type 'integer' - 'expires_after.seconds'", "expires_after")
    if not SHORTEST_LIFE <= int(seconds[:9]) <= LONGEST_LIFE:
        raise BadUpload(
            f"{seconds[:9]} is not between {SHORTEST_LIFE} and {LONGEST_LIFE} - 'expires_after.seconds'",
            "expires_after",
        )
    return Upload(fields["purpose"], int(seconds))


def check_purpose(purpose: str) -> None:
    if purpose not in PURPOSES:
        raise BadUpload(f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'", "purpose")


async def list_files(request: Request) -> Response:
    """GET /files"""
    query = request.page_query(maximum=MOST_LISTED, default=MOST_LISTED)
    purpose, now = request.query.get("purpose"), request.context.now()

    async def work(transaction: Transaction) -> Page[File]:
        return await store.page(transaction, request.project_id, query, purpose, now)

    page = await request.context.database.scan(work)  # up to ten thousand rows
    return request.reply_page(page, request.dialect.file)


async def retrieve_file(request: Request) -> Response:
    """GET /files/{file_id}"""
    async with request.context.database.read() as transaction:
        stored = await store.get(
            transaction, request.project_id, request.path["file_id"], request.context.now()
        )
    return request.reply(request.dialect.file(stored.file))


async def delete_file(request: Request) -> Response:
    """DELETE /files/{file_id}"""
    id = request.path["file_id"]
    await actions.delete(request.context, request.project_id, id)
    return request.reply(request.dialect.file_deleted(id))


async def download_file(request: Request) -> Response:
    """GET /files/{file_id}/content"""
    stored = await actions.downloadable(request.context, request.project_id, request.path["file_id"])
    size = stored.file.bytes
    span = span_of(request.headers, size)
    headers = [(b"content-disposition", disposition(stored.file.filename)), (b"accept-ranges", b"bytes")]
    if span:
        headers.append((b"content-range", content_range(span, size)))
    return Response(
        206 if span else 200,
        content_type=b"application/octet-stream",
        headers=tuple(headers),
        stream=await actions.content(request.context, request.project_id, stored, span),
        length=span.last - span.first + 1 if span else size,
    )


def disposition(filename: str) -> bytes:
    """`attachment; filename="..."`, with the real name beside it where ASCII cannot hold it (RFC 6266)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "_" for c in filename)
    header = f'attachment; filename="{plain}"'
    if plain != filename:
        header += "; filename*=UTF-8''" + quote(filename, safe="")
    return header.encode("ascii")
