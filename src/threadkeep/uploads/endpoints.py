"""Uploads, in the order of the API reference (protocol section 9)."""

import msgspec

from threadkeep.errors import (
    BadUpload,
    IdempotencyKeyReused,
    NotFound,
    ThreadkeepError,
    Unavailable,
    UploadNotPending,
)
from threadkeep.files import actions as files
from threadkeep.files.endpoints import FORM_OVERHEAD, data
from threadkeep.http.multipart import FileStart, FormEnd, clean_filename, events
from threadkeep.http.request import Request, Response
from threadkeep.idempotency.endpoints import REPLAYED, Endpoint, once
from threadkeep.uploads import actions
from threadkeep.uploads.model import LARGEST_PART


async def create_upload(request: Request) -> Response:
    """POST /uploads"""
    new = request.parse("create_upload")
    new = msgspec.structs.replace(new, filename=clean_filename(new.filename))
    upload = await actions.create(request.context, request.project_id, new)
    return request.reply(request.dialect.upload(upload))


async def add_upload_part(request: Request) -> Response:
    """POST /uploads/{upload_id}/parts"""
    upload_id = request.path["upload_id"]
    if request.idempotency_key is None:  # else it may have been answered while the upload was pending
        await actions.require_pending(request.context, request.project_id, upload_id)
    receipt = await received(request)

    async def keep(request: Request) -> Response:
        part = await actions.keep_part(request.context, receipt, upload_id)
        return request.reply(request.dialect.upload_part(part))

    return await keep_once(request, receipt.stored.sha256.encode(), receipt, keep)


async def received(request: Request) -> files.Receipt:
    """The bytes in the form of a part. Raises `BadUpload` and `TooLarge`."""
    form = events(request, LARGEST_PART + FORM_OVERHEAD)
    receipt, whole = None, False
    try:
        async for event in form:
            match event:
                case FileStart("data") if receipt is None:
                    chunks = data(form, LARGEST_PART, "data")
                    receipt = await actions.receive_part(request.context, request.project_id, chunks)
                case FormEnd():
                    whole = True
        if not whole:
            raise BadUpload("The form ends before its last boundary.", None)
        if receipt is None:
            raise BadUpload("'data' is a required property", "data")
    except BaseException:
        if receipt:
            await files.discard(request.context, receipt)
        raise
    return receipt


async def complete_upload(request: Request) -> Response:
    """POST /uploads/{upload_id}/complete"""
    upload_id, completion = request.path["upload_id"], request.parse("complete_upload")
    refusal: ThreadkeepError | None = None
    receipt: files.Receipt | None = None
    try:
        receipt = await actions.assemble(request.context, request.project_id, upload_id, completion)
    except Unavailable:
        raise
    except ThreadkeepError as problem:
        refusal = problem  # for those who have not been answered before

    async def keep(request: Request) -> Response:
        if receipt is None:
            assert refusal is not None
            raise refusal
        upload = await actions.complete(request.context, receipt, upload_id)
        return request.reply(request.dialect.upload(upload))

    return await keep_once(request, request.body, receipt, keep)


async def keep_once(
    request: Request, content: bytes, receipt: files.Receipt | None, keep: Endpoint
) -> Response:
    """Give received bytes their row; those that are refused or were answered before are not needed.

    After `Unavailable` nobody knows whether the row is there: what it does not name is swept away.
    """
    try:
        response = await once(request, content, keep)
    except (IdempotencyKeyReused, NotFound, UploadNotPending, BadUpload):
        if receipt:
            await files.discard(request.context, receipt)
        raise
    if receipt and REPLAYED in response.headers:
        await files.discard(request.context, receipt)
    return response


async def cancel_upload(request: Request) -> Response:
    """POST /uploads/{upload_id}/cancel"""
    upload = await actions.cancel(request.context, request.project_id, request.path["upload_id"])
    return request.reply(request.dialect.upload(upload))
