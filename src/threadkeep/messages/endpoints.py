"""Messages, in the order of the API reference (protocol section 4)."""

from threadkeep.errors import NotFound
from threadkeep.http.request import Request, Response
from threadkeep.messages import actions, pages, store
from threadkeep.messages.model import MessageFile, message_files_of, message_of
from threadkeep.paging import page_at_hand
from threadkeep.storage import tombstones


async def create_message(request: Request) -> Response:
    """POST /threads/{thread_id}/messages"""
    new = request.parse("create_message")
    body = await actions.create(request.context, request.project_id, request.path["thread_id"], new)
    return request.reply(request.dialect.message(body))


async def list_messages(request: Request) -> Response:
    """GET /threads/{thread_id}/messages"""
    query = request.page_query()
    database, thread_id = request.context.database, request.path["thread_id"]
    run_id = request.query.get("run_id")
    if run_id is None:
        page = await pages.page_beside_others(database, request.project_id, thread_id, query)
    else:
        async with database.read() as transaction:
            page = await pages.page(transaction, request.project_id, thread_id, query, run_id)
    return request.reply(request.dialect.messages(page))


async def retrieve_message(request: Request) -> Response:
    """GET /threads/{thread_id}/messages/{message_id}"""
    return request.reply(request.dialect.message(await body(request)))


async def body(request: Request) -> str:
    async with request.context.database.read() as transaction:
        return await store.get(
            transaction, request.project_id, request.path["thread_id"], request.path["message_id"]
        )


async def modify_message(request: Request) -> Response:
    """POST /threads/{thread_id}/messages/{message_id}"""
    metadata = request.parse("modify_message")
    changed = await actions.modify(
        request.context,
        request.project_id,
        request.path["thread_id"],
        request.path["message_id"],
        metadata,
    )
    return request.reply(request.dialect.message(changed))


async def delete_message(request: Request) -> Response:
    """DELETE /threads/{thread_id}/messages/{message_id}"""
    id = request.path["message_id"]
    await actions.delete(request.context, request.project_id, request.path["thread_id"], id)
    return request.reply(request.dialect.deleted("thread.message", id))


async def list_message_files(request: Request) -> Response:
    """GET /threads/{thread_id}/messages/{message_id}/files (v1)"""
    query = request.page_query()
    files = message_files(await body(request))
    places: dict[str, float] = {file.id: place for place, file in enumerate(files)}
    for cursor in (query.after, query.before):
        if cursor is not None and cursor not in places:
            places[cursor] = await place_of_buried(request, cursor)
    page = page_at_hand(query, files, places, lambda file: file.id)
    return request.reply_page(page, request.dialect.message_file)


async def retrieve_message_file(request: Request) -> Response:
    """GET /threads/{thread_id}/messages/{message_id}/files/{file_id} (v1)"""
    wanted = request.path["file_id"]
    for file in message_files(await body(request)):
        if file.id == wanted:
            return request.reply(request.dialect.message_file(file))
    raise NotFound("message file", wanted)


def message_files(text: str) -> list[MessageFile]:
    message = message_of(text)
    return [
        MessageFile(id=id, created_at=message.created_at, message_id=message.id, file_id=id)
        for id in message_files_of(message)
    ]


async def place_of_buried(request: Request, cursor: str) -> float:
    """The place of a file that was deleted since: between those that were its neighbours."""
    async with request.context.database.read() as transaction:
        place = await tombstones.place(transaction, request.path["message_id"], cursor)
    if place is None:
        raise NotFound("message file", cursor)
    return place - 0.5
