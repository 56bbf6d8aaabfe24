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
from threadkeep.engine.chat import BETWEEN, passage
from threadkeep.engine.citations import label_of, source_of
from threadkeep.engine.leases import set_within
from threadkeep.engine.tokens import beginning, count
from threadkeep.engine.turn import Results
from threadkeep.errors import NotFound
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
MOST_QUERIES, LONGEST_QUERY = 5, 4096
"""Texts that are searched for in one call, and characters of each."""
AROUND = 50
"""Tokens that a passage's marker may have: those of the texts are counted without them."""
LEAST = 50
"""Tokens of a passage that is cut off: fewer would say nothing."""
JOINT = 4
"""Tokens that a passage and what is around it may have together beyond those of each."""


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
    limit = most_for(run)[0] if given is msgspec.UNSET else given
    threshold = tool.file_search.ranking_options.score_threshold
    return Query(texts=texts, limit=limit, threshold=threshold) if texts else None


def most_for(run: Run) -> tuple[int, int]:
    """The results of one search where the tool does not say, and the tokens of one turn's."""
    results, tokens = (5, 4_000) if run.model.startswith("gpt-3.5") else (20, 16_000)
    return results, tokens + results * AROUND


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
    """What a run may search: each store once, and the ids of those whose files it waits for."""

    all: list[VectorStore]
    awaited: list[str]

    @property
    def are_ready(self) -> bool:
        return all(one.status != "in_progress" for one in self.all if one.id in self.awaited)


async def stores_of(context: Context, worked: Worked) -> Stores:
    """Those of the run, of its assistant and of its thread that are there. Raises `NotFound` for the thread,
    and `ModelFailure` where one has expired."""
    run, project_id, now = worked.run, worked.project_id, context.now()
    async with context.database.read() as transaction:
        thread = await threads.get(transaction, project_id, run.thread_id)
        of_assistant, are_awaited = await stores_of_assistant(transaction, worked)
        of_run, of_thread = run.tool_resources.store_ids(), thread.tool_resources.store_ids()
        ids = dict.fromkeys([*of_run, *of_assistant, *of_thread])
        found = [await there(transaction, project_id, id, now) for id in ids]
    stores = [one for one in found if one is not None]
    for one in stores:
        if one.status == "expired":
            raise ModelFailure(
                "server_error", f"The vector store '{one.id}' has expired, and can no longer be searched."
            )
    return Stores(stores, [*of_run, *of_thread, *(of_assistant if are_awaited else ())])


async def stores_of_assistant(transaction: Transaction, worked: Worked) -> tuple[list[str], bool]:
    """The ids of an assistant's stores, and whether a run waits for their files.

    These may be many, and come and go at any time: v2 leaves it to its clients to look at the store before
    they start a run. Those of v1 that attach files to an assistant have nothing to look at.
    """
    try:
        assistant = await assistants.get(transaction, worked.project_id, worked.run.assistant_id)
    except NotFound:  # a run outlives its assistant
        return [], False
    ids = assistant.tool_resources.store_ids()
    return ids, bool(ids and await assistants.listed(transaction, assistant.id))


async def there(transaction: Transaction, project_id: str, id: str, now: int) -> VectorStore | None:
    try:
        return await store.get(transaction, project_id, id, now)
    except NotFound:
        return None


async def ready(context: Context, worked: Worked) -> None:
    """Wait for a while until files are searchable. From then on all stores are in use, whether the model
    searches them or not. Raises what `stores_of` raises.

    A run that another process takes up waits no longer than it would have.
    """
    started = worked.run.started_at
    end = (context.now() if started is None else started) + SECONDS_FOR_STORES
    woken, pause = asyncio.Event(), FIRST_LOOK
    stop_listening = context.database.listen(store.READY, woken.set)
    try:
        while not (stores := await stores_of(context, worked)).are_ready:
            left = end - context.clock()
            if left <= 0:
                break
            await set_within(woken, min(pause, left))
            woken.clear()
            pause = min(2 * pause, LONGEST_LOOK)
    finally:
        stop_listening()
    await actions.touch(context, stores.all)


# ---------------------------------------------------------------- searching


async def find(context: Context, worked: Worked, query: Query) -> list[Hit]:
    """What is found in all stores together, which are in use by that. Raises what `stores_of` raises."""
    stores = (await stores_of(context, worked)).all
    await actions.touch(context, stores)
    return await search.answer(context, [one.id for one in stores], query) if stores else []


async def that_fit(hits: Sequence[Hit], room: int) -> tuple[Results, int]:
    """The results that there is room for, and the tokens that are left of it."""
    if not hits:
        return [], room
    kept, room = await asyncio.to_thread(fitting, hits, room)
    return [result_of(hit) for hit in kept] or None, room


def fitting(hits: Sequence[Hit], room: int) -> tuple[list[Hit], int]:
    """The best hits that there is room for, and the tokens that are left of it. The first is cut off where it
    is too large, any other passed over."""
    hits = [*(cut_off(hit, room) for hit in hits[:1]), *hits[1:]]
    kept = []
    for hit, size in zip(hits, count([as_told(hit) for hit in hits]), strict=True):
        if size <= room:
            room -= size
            kept.append(hit)
    return kept, room


def cut_off(hit: Hit, room: int) -> Hit:
    """A hit with as much of its text as there is room for, if that still says anything."""
    text = "\n".join(hit.texts)
    around, whole = count([as_told(msgspec.structs.replace(hit, texts=[])), as_told(hit)])
    left = room - around - JOINT
    if whole <= room or left < LEAST:
        return hit
    return msgspec.structs.replace(hit, texts=[beginning(text, left)])


def as_told(hit: Hit) -> str:
    """A hit as the model is told it, wherever it stands: markers have as many tokens in all places."""
    return passage((0, 0), source_of(result_of(hit))) + BETWEEN


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
