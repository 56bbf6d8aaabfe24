"""Threads, in the order of the API reference (protocol section 3)."""

from threadkeep.http.request import Request, Response
from threadkeep.paging import Page
from threadkeep.storage.database import Transaction
from threadkeep.threads import actions, store
from threadkeep.threads.model import Thread


async def create_thread(request: Request) -> Response:
    """POST /threads"""
    new = request.parse("create_thread")
    thread = await actions.create(request.context, request.project_id, new)
    return request.reply(request.dialect.thread(thread))


async def list_threads(request: Request) -> Response:
    """GET /threads (an extension: the project's threads, with `metadata[key]=value` filters)"""
    query = request.page_query(metadata_filters=True)

    async def work(transaction: Transaction) -> Page[Thread]:
        return await store.page(transaction, request.project_id, query)

    page = await request.context.database.scan(work)
    return request.reply_page(page, request.dialect.thread)


async def retrieve_thread(request: Request) -> Response:
    """GET /threads/{thread_id}"""
    async with request.context.database.read() as transaction:
        thread = await store.get(transaction, request.project_id, request.path["thread_id"])
    return request.reply(request.dialect.thread(thread))


async def modify_thread(request: Request) -> Response:
    """POST /threads/{thread_id}"""
    change = request.parse("modify_thread")
    thread = await actions.modify(request.context, request.project_id, request.path["thread_id"], change)
    return request.reply(request.dialect.thread(thread))


async def delete_thread(request: Request) -> Response:
    """DELETE /threads/{thread_id}"""
    id = request.path["thread_id"]
    await actions.delete(request.context, request.project_id, id)
    return request.reply(request.dialect.deleted("thread", id))
