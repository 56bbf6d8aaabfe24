"""Searching a vector store (protocol section 10)."""

from threadkeep.http.request import Request, Response
from threadkeep.search import base
from threadkeep.search.model import Query, results_of
from threadkeep.vector_stores import actions as stores


async def search_vector_store(request: Request) -> Response:
    """POST /vector_stores/{vector_store_id}/search"""
    query: Query = request.parse("search_vector_store")
    id = request.path["vector_store_id"]
    await stores.use(request.context, request.project_id, [id])
    hits = await base.answer(request.context, [id], query)
    return request.reply(request.dialect.search_results(results_of(query, hits)))
