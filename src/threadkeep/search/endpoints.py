"""Searching a vector store (protocol section 10)."""

from contextlib import suppress

from threadkeep.errors import NotFound
from threadkeep.http.request import Request, Response
from threadkeep.idempotency.endpoints import once
from threadkeep.search import base
from threadkeep.search.model import Query, results_of
from threadkeep.vector_stores import actions, store


async def search_vector_store(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/search"""
    query: Query = request.parse("search_vector_store")
    id = request.path["vector_store_id"]
    if request.idempotency_key is None:
        await actions.use(request.context, request.project_id, [id])
        return await found(request, id, query)
    answer: Response | None = None
    with suppress(NotFound):  # it may have been answered while the store was there
        async with request.context.database.read() as transaction:
            await store.require(transaction, request.project_id, id)
        answer = await found(request, id, query)  # no writer is to wait for it

    async def use(inner: Request) -> Response:
        await actions.use(inner.context, inner.project_id, [id])
        return answer or await found(inner, id, query)

    return await once(request, request.body, use)


async def found(request: Request, id: str, query: Query) -> Response:
    hits = await base.answer(request.context, [id], query)
    return request.reply(request.dialect.search_results(results_of(query, hits)))
