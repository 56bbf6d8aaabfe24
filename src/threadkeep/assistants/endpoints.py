"""Assistants, in the order of the API reference (protocol section 2)."""

from threadkeep.assistants import actions, store
from threadkeep.errors import NotFound
from threadkeep.http.request import Request, Response


async def create_assistant(request: Request) -> Response:
    """POST /assistants"""
    new = request.parse("create_assistant")
    assistant = await actions.create(request.context, request.project_id, new)
    return request.reply(request.dialect.assistant(assistant))


async def list_assistants(request: Request) -> Response:
    """GET /assistants"""
    query = request.page_query()
    async with request.context.database.read() as transaction:
        page = await store.page(transaction, request.project_id, query)
    return request.reply_page(page, request.dialect.assistant)


async def retrieve_assistant(request: Request) -> Response:
    """GET /assistants/{assistant_id}"""
    async with request.context.database.read() as transaction:
        assistant = await store.stored(transaction, request.project_id, request.path["assistant_id"])
    return request.reply(request.dialect.assistant(assistant))


async def modify_assistant(request: Request) -> Response:
    """POST /assistants/{assistant_id}"""
    change = request.parse("modify_assistant")
    id = request.path["assistant_id"]
    assistant = await actions.modify(request.context, request.project_id, id, change)
    return request.reply(request.dialect.assistant(assistant))


async def delete_assistant(request: Request) -> Response:
    """DELETE /assistants/{assistant_id}"""
    id = request.path["assistant_id"]
    await actions.delete(request.context, request.project_id, id)
    return request.reply(request.dialect.deleted("assistant", id))


async def create_assistant_file(request: Request) -> Response:
    """POST /assistants/{assistant_id}/files (v1)"""
    file_id = request.parse("create_assistant_file")
    id = request.path["assistant_id"]
    file = await actions.attach(request.context, request.project_id, id, file_id)
    return request.reply(request.dialect.assistant_file(file))


async def list_assistant_files(request: Request) -> Response:
    """GET /assistants/{assistant_id}/files (v1)"""
    query = request.page_query()
    id = request.path["assistant_id"]
    async with request.context.database.read() as transaction:
        await store.get(transaction, request.project_id, id)
        page = await store.page_of_files(transaction, id, query)
    return request.reply_page(page, request.dialect.assistant_file)


async def retrieve_assistant_file(request: Request) -> Response:
    """GET /assistants/{assistant_id}/files/{file_id} (v1)"""
    id, wanted = request.path["assistant_id"], request.path["file_id"]
    async with request.context.database.read() as transaction:
        await store.get(transaction, request.project_id, id)
        listed = await store.listed(transaction, id)
    for one in listed:
        if one.file.id == wanted:
            return request.reply(request.dialect.assistant_file(one.file))
    raise NotFound("assistant file", wanted)


async def delete_assistant_file(request: Request) -> Response:
    """DELETE /assistants/{assistant_id}/files/{file_id} (v1)"""
    file_id = request.path["file_id"]
    await actions.detach(request.context, request.project_id, request.path["assistant_id"], file_id)
    return request.reply(request.dialect.deleted("assistant.file", file_id))
