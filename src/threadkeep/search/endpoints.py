"""Searching a vector store (protocol section 10)."""

from threadkeep.http.request import Request, Response
from threadkeep.idempotency.endpoints import once
from threadkeep.search import base
from threadkeep.search.model import Query, results_of
from threadkeep.vector_stores import actions as stores


async def search_vector_store(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/search"""
    query: Query = request.parse("search_vector_store")
    id = request.path["vector_store_id"]
    if request.idempotency_key is None:  # else it may have been answered while the store was there
        await stores.use(request.context, request.project_id, [id])
    hits = await base.answer(request.context, [id], query)
    found = request.reply(request.dialect.search_results(results_of(query, hits)))
    if request.idempotency_key is None:
        return found

    async def use(inner: Request) -> Response:
        await stores.use(inner.context, inner.project_id, [id])
        return found

    return await once(request, request.body, use)  # with the search done, which no writer is to wait for
