"""Models, in the order of the API reference (protocol section 11)."""

from threadkeep.errors import NoSuchModel
from threadkeep.http.request import Request, Response


async def list_models(request: Request) -> Response:
    """GET /models"""
    return request.reply(request.dialect.models(await request.context.providers.models()))


async def retrieve_model(request: Request) -> Response:
    """GET /models/{model}"""
    id = request.path["model"]
    for model in await request.context.providers.models():
        if model["id"] == id:
            return request.reply(request.dialect.model(model))
    raise NoSuchModel(id)
