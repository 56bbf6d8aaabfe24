"""Vector stores, their files and batches, in the order of the API reference (protocol section 10)."""

from threadkeep.errors import Invalid, Problem
from threadkeep.http.request import Request, Response
from threadkeep.idempotency.endpoints import once
from threadkeep.search import base as search
from threadkeep.vector_stores import actions, files, store
from threadkeep.vector_stores.model import FILTERS

BETWEEN_POLLS = 250
"""Milliseconds that poll helpers leave between polls."""


async def create_vector_store(request: Request) -> Response:
    """POST /vector_stores"""
    new = request.parse("create_vector_store")
    made = await actions.create(request.context, request.project_id, new)
    return request.reply(request.dialect.vector_store(made))


async def list_vector_stores(request: Request) -> Response:
    """GET /vector_stores"""
    query, now = request.page_query(), request.context.now()
    async with request.context.database.read() as transaction:
        page = await store.page(transaction, request.project_id, query, now)
    return request.reply_page(page, request.dialect.vector_store)


async def retrieve_vector_store(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}"""
    async with request.context.database.read() as transaction:
        found = await store.get(transaction, *place(request), request.context.now())
    return request.reply(request.dialect.vector_store(found))


async def modify_vector_store(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}"""
    change = request.parse("modify_vector_store")
    modified = await actions.modify(request.context, *place(request), change)
    return request.reply(request.dialect.vector_store(modified))


async def delete_vector_store(request: Request) -> Response:
    """DELETE /vector_stores/{vector_store_id}"""
    await actions.delete(request.context, *place(request))
    return request.reply(request.dialect.deleted("vector_store", request.path["vector_store_id"]))


def place(request: Request) -> tuple[str, str]:
    """The project and the id of the store."""
    return request.project_id, request.path["vector_store_id"]


# ---------------------------------------------------------------- files


async def create_vector_store_file(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/files"""
    new = request.parse("create_vector_store_file")

    async def attach(inner: Request) -> Response:
        file = await actions.attach(inner.context, *place(inner), new)
        return inner.reply(inner.dialect.vector_store_file(file))

    return with_poll_after(await once(request, request.body, attach))


async def list_vector_store_files(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}/files"""
    project_id, id = place(request)
    query, listing = request.page_query(), files.Listing(id, None, status_asked(request))
    async with request.context.database.read() as transaction:
        await store.require(transaction, project_id, id)
        page = await files.page(transaction, listing, query)
    return request.reply_page(page, request.dialect.vector_store_file)


def status_asked(request: Request) -> str | None:
    """The one status that a list of files is narrowed to. Raises `Invalid`."""
    status = request.query.get("filter")
    if status is not None and status not in FILTERS:
        raise Invalid(Problem(("filter",), "enum", actual=status, choices=FILTERS, where="query"))
    return status


async def retrieve_vector_store_file(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}/files/{file_id}"""
    async with request.context.database.read() as transaction:
        file = await files.get(transaction, *place(request), request.path["file_id"])
    return with_poll_after(request.reply(request.dialect.vector_store_file(file)))


async def modify_vector_store_file(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/files/{file_id}"""
    attributes = request.parse("modify_vector_store_file")
    file = await actions.set_attributes(request.context, *place(request), request.path["file_id"], attributes)
    return request.reply(request.dialect.vector_store_file(file))


async def delete_vector_store_file(request: Request) -> Response:
    """DELETE /vector_stores/{vector_store_id}/files/{file_id}"""
    file_id = request.path["file_id"]
    await actions.detach(request.context, *place(request), file_id)
    return request.reply(request.dialect.deleted("vector_store.file", file_id))


async def retrieve_vector_store_file_content(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}/files/{file_id}/content"""
    (project_id, id), file_id = place(request), request.path["file_id"]
    database = request.context.database
    async with database.read() as transaction:
        await files.get(transaction, project_id, id, file_id)
        text = await search.text_of(transaction, id, file_id)
    stream = request.dialect.vector_store_file_content(search.pieces(database, text))
    return Response(200, stream=stream)


# ---------------------------------------------------------------- batches


async def create_vector_store_file_batch(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/file_batches"""
    new = request.parse("create_vector_store_file_batch")

    async def create(inner: Request) -> Response:
        batch = await actions.create_batch(inner.context, *place(inner), new)
        return inner.reply(inner.dialect.vector_store_file_batch(batch))

    return with_poll_after(await once(request, request.body, create))


async def retrieve_vector_store_file_batch(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}/file_batches/{batch_id}"""
    async with request.context.database.read() as transaction:
        batch = await store.get_batch(transaction, *place(request), request.path["batch_id"])
    return with_poll_after(request.reply(request.dialect.vector_store_file_batch(batch)))


async def cancel_vector_store_file_batch(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel"""
    batch = await actions.cancel_batch(request.context, *place(request), request.path["batch_id"])
    return request.reply(request.dialect.vector_store_file_batch(batch))


async def list_vector_store_file_batch_files(request: Request) -> Response:
    """GET /vector_stores/{vector_store_id}/file_batches/{batch_id}/files"""
    (project_id, id), batch_id = place(request), request.path["batch_id"]
    query, listing = request.page_query(), files.Listing(id, batch_id, status_asked(request))
    async with request.context.database.read() as transaction:
        await store.get_batch(transaction, project_id, id, batch_id)
        page = await files.page(transaction, listing, query)
    return request.reply_page(page, request.dialect.vector_store_file)


def with_poll_after(response: Response) -> Response:
    """An answer that says when to ask again."""
    response.headers += ((b"openai-poll-after-ms", b"%d" % BETWEEN_POLLS),)
    return response
