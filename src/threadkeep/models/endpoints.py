"""Models, in the order of the API reference (protocol section 11)."""

from typing import Any

from threadkeep.errors import ModelNotDeletable, NoSuchModel
from threadkeep.http.request import Request, Response


async def list_models(request: Request) -> Response:
    """GET /models"""
    return request.reply(request.dialect.models(await request.context.providers.models()))


async def retrieve_model(request: Request) -> Response:
    """GET /models/{model}"""
    return request.reply(request.dialect.model(await model_asked(request)))


async def delete_model(request: Request) -> Response:
    """DELETE /models/{model}: always refused, since none of them is the caller's own fine-tuned one."""
    model = await model_asked(request)
    raise ModelNotDeletable(model["id"])


async def model_asked(request: Request) -> dict[str, Any]:
    """Raises `NoSuchModel`."""
    id = request.path["model"]
    for model in await request.context.providers.models():
        if model["id"] == id:
            return model
    raise NoSuchModel(id)
