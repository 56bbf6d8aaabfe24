"""The tool `file_search`: what it searches, how it is asked and what it answers.

The model is offered a function, which the server carries out itself. What was found is kept in the step of
the call, together with its text, so that a run that goes on elsewhere tells its model the same.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.assistants import store as assistants
from threadkeep.assistants.model import FileSearchTool, FunctionTool
from threadkeep.context import Context
from threadkeep.engine.citations import label_of, searches
from threadkeep.engine.leases import set_within
from threadkeep.engine.tokens import count
from threadkeep.errors import NotFound, VectorStoreExpired
from threadkeep.providers.base import ModelFailure
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import FileSearchCall, Run, RunStep, ToolCallsDetails
from threadkeep.search import base as search
from threadkeep.search.model import Hit, Query
from threadkeep.storage.database import Transaction
from threadkeep.threads import store as threads
from threadkeep.vector_stores import actions, store
from threadkeep.vector_stores.model import VectorStore

SECONDS_FOR_STORES = 60
"""So long a run waits for files that are still being made searchable."""
FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0
"""Seconds between two looks at them, for a wake-up may be lost."""
MOST_SEARCHES = 10
"""Turns of one run in which its model may search; after them it has to answer."""
RESULTS, FEW_RESULTS = 20, 5
MOST_QUERIES, LONGEST_QUERY = 5, 4096
"""Texts that are searched for in one call, and characters of each."""
TOKENS = 16_000
"""Tokens that one turn's results have at most; all of a run's have half of what the model can read."""


def tool_of(run: Run) -> FileSearchTool | None:
    """The tool, where the run may use it."""
    tools = (tool for tool in run.tools if isinstance(tool, FileSearchTool))
    return None if run.tool_choice == "none" else next(tools, None)


def name_of(run: Run) -> str | None:
    """What the function is called that the model is offered: none of the client's own."""
    if tool_of(run) is None:
        return None
    taken = {tool.function.name for tool in run.tools if isinstance(tool, FunctionTool)}
    names = ("file_search", *(f"file_search_{n}" for n in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def turns_of_search(steps: Sequence[RunStep]) -> int:
    """The turns in which a run has searched."""
    calls_of = [one.step_details for one in steps if isinstance(one.step_details, ToolCallsDetails)]
    return sum(any(isinstance(call, FileSearchCall) for call in one.tool_calls) for one in calls_of)


def is_exhausted(steps: Sequence[RunStep]) -> bool:
    """Whether the model may search no more."""
    return turns_of_search(steps) >= MOST_SEARCHES


def ranking_options(tool: FileSearchTool) -> dict[str, Any]:
    """As steps show them."""
    options = tool.file_search.ranking_options
    return {"ranker": options.ranker, "score_threshold": options.score_threshold}


def query_of(run: Run, tool: FileSearchTool, arguments: str) -> Query | None:
    """What the model asks for; None where it does not say."""
    texts = list(dict.fromkeys(text.strip()[:LONGEST_QUERY] for text in texts_in(arguments)))
    texts = [text for text in texts if text][:MOST_QUERIES]
    given = tool.file_search.max_num_results
    usual = FEW_RESULTS if run.model.startswith("gpt-3.5") else RESULTS
    limit = usual if given is msgspec.UNSET else given
    threshold = tool.file_search.ranking_options.score_threshold
    return Query(texts=texts, limit=limit, threshold=threshold) if texts else None


def texts_in(arguments: str) -> Iterator[str]:
    """Every text in the arguments, under whatever name; arguments that are not JSON are one themselves."""
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        given = arguments
    for value in given.values() if isinstance(given, dict) else (given,):
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


# ---------------------------------------------------------------- stores


class Stores(Struct, frozen=True):
    """What a run may search: each store once, and which of them are its thread's."""

    all: list[VectorStore]
    of_thread: list[str]

    @property
    def are_ready(self) -> bool:
        """Whether the thread's files are searchable. Those of an assistant may be many, and come and go at
        any time: nobody waits for them."""
        return all(one.status != "in_progress" for one in self.all if one.id in self.of_thread)


async def stores_of(context: Context, worked: Worked) -> Stores:
    """Those of the run, of its assistant and of its thread that are there. Raises `NotFound` for the thread,
    and `ModelFailure` where one has expired."""
    run, project_id, now = worked.run, worked.project_id, context.now()
    async with context.database.read() as transaction:
        thread = await threads.get(transaction, project_id, run.thread_id)
        ids = [*run.tool_resources.store_ids(), *await ids_of_assistant(transaction, worked)]
        of_thread = thread.tool_resources.store_ids()
        ids += of_thread
        found = [await there(transaction, project_id, id, now) for id in dict.fromkeys(ids)]
    stores = [one for one in found if one is not None]
    for one in stores:
        if one.status == "expired":
            raise expired(one.id)
    return Stores(stores, of_thread)


def expired(id: str) -> ModelFailure:
    return ModelFailure(
        "server_error", f"The vector store '{id}' has expired, and can no longer be searched."
    )


async def ids_of_assistant(transaction: Transaction, worked: Worked) -> list[str]:
    try:
        assistant = await assistants.get(transaction, worked.project_id, worked.run.assistant_id)
    except NotFound:  # a run outlives its assistant
        return []
    return assistant.tool_resources.store_ids()


async def there(transaction: Transaction, project_id: str, id: str, now: int) -> VectorStore | None:
    try:
        return await store.get(transaction, project_id, id, now)
    except NotFound:
        return None


async def ready(context: Context, worked: Worked) -> None:
    """Wait until the thread's files are searchable, for a while. Raises what `stores_of` raises.

    A run that another process takes up waits no longer than it would have.
    """
    started = worked.run.started_at
    end = (context.now() if started is None else started) + SECONDS_FOR_STORES
    woken, pause = asyncio.Event(), FIRST_LOOK
    stop_listening = context.database.listen(store.READY, woken.set)
    try:
        while not (await stores_of(context, worked)).are_ready:
            left = end - context.clock()
            if left <= 0:
                return
            await set_within(woken, min(pause, left))
            woken.clear()
            pause = min(2 * pause, LONGEST_LOOK)
    finally:
        stop_listening()


# ---------------------------------------------------------------- searching


async def find(context: Context, worked: Worked, query: Query) -> list[Hit]:
    """What is found in all stores together, which are in use by that. Raises what `stores_of` raises."""
    ids = [one.id for one in (await stores_of(context, worked)).all]
    if not ids:
        return []
    try:
        await actions.use(context, worked.project_id, ids)
    except NotFound:  # one was deleted meanwhile, and finds nothing
        pass
    except VectorStoreExpired as problem:
        raise expired(problem.id) from None
    return await search.answer(context, ids, query)


async def room_for_results(steps: Sequence[RunStep], context_tokens: int) -> int:
    """The tokens that results of the next turn may have."""
    texts = [source.text for _, found in searches(steps) for _, source in found]
    taken = sum(await asyncio.to_thread(count, texts)) if texts else 0
    return max(0, min(TOKENS, context_tokens // 2 - taken))


async def that_fit(hits: Sequence[Hit], room: int) -> tuple[list[Hit], int]:
    """The best hits that there is room for, and the room that is left."""
    sizes = await asyncio.to_thread(count, ["\n".join(hit.texts) for hit in hits]) if hits else []
    kept = []
    for hit, size in zip(hits, sizes, strict=True):
        if size > room:
            break
        room -= size
        kept.append(hit)
    return kept, room


def result_of(hit: Hit) -> dict[str, Any]:
    """A hit as it stands in a step."""
    return {
        "file_id": hit.file_id,
        "file_name": hit.filename,
        "score": hit.score,
        "attributes": hit.attributes,
        "content": [{"type": "text", "text": text} for text in hit.texts],
    }


# ---------------------------------------------------------------- what the model is told


def offered(name: str) -> dict[str, Any]:
    """The function as the model is offered it."""
    example = f"【0:0†{label_of('name.pdf')}】"
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": "Searches the files that were given to you, and returns the best passages. "
            f"Each has a marker before it, such as {example}. After whatever you say from a passage, repeat "
            "its marker exactly as it stands there.",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "What to look for, as a question or keywords."}
                },
                "required": ["query"],
            },
        },
    }
