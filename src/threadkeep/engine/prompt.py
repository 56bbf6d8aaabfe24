"""What a model is told: instructions, the thread, and what the run has done so far.

The thread is read from its newest end, page by page, until there is enough of it, so that a run on a
thread of a million messages costs what one on a short thread costs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from msgspec import Struct

from threadkeep.context import Context
from threadkeep.engine import images, searching
from threadkeep.engine.chat import (
    Chat,
    Weight,
    answer_format,
    choice,
    done,
    filled,
    functions,
    messages_of,
    other_than,
    spoken,
    unfilled,
    weight,
    weight_of_rest,
)
from threadkeep.engine.tokens import count
from threadkeep.errors import NotFound
from threadkeep.messages import pages as message_pages
from threadkeep.messages import store as messages
from threadkeep.messages.model import Message, message_of
from threadkeep.paging import Page, PageQuery
from threadkeep.providers.base import ChatRequest, Target
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import Run, RunStep
from threadkeep.storage.database import Transaction

PAGE = 50
ANSWER = 4096
"""Tokens of the context that are kept for an answer whose length nobody limited."""


SPARE = 16
"""One in so many tokens stays free beside what searches find, for what is said and called after them."""


class Prompt(Struct, frozen=True):
    """A turn to be asked for. `prompt_tokens` is by our own count, and more than that where it was plain
    without counting that everything fits."""

    request: ChatRequest
    prompt_tokens: int
    target: Target
    last: Chat | None
    """The message of the thread that is never left out."""


class TooLong(Exception):
    """There is no room for the turn: under one of the run's own caps (`reason`: the run is incomplete), or
    within what the model can read (None: the run fails)."""

    def __init__(self, reason: Literal["max_prompt_tokens", "max_completion_tokens"] | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = (
            "The instructions, tools and last message are longer than the model can read."
            if reason is None
            else f"The run has reached its {reason}."
        )


async def build(context: Context, worked: Worked, steps: list[RunStep], target: Target) -> Prompt:
    """The next turn of a run. `steps` are those it has taken, the first one first.

    Raises `TooLong`, `NotFound` where the thread is gone, and `FilesUnavailable`.
    """
    run = worked.run
    room = room_for(run, steps, target)
    frame = await framed(context, worked, steps)
    history, tokens = await newest(context, worked, frame.weights, room)
    last = history[last_of_user(history) or 0] if history else None
    history = await with_images(context, worked.project_id, history)
    request = ChatRequest(
        model=target.model,
        messages=[*frame.told, *reversed(history), *frame.said],
        tools=frame.tools,
        tool_choice=choice(run, steps, searching.name_of(run)) if frame.tools else None,
        parallel_tool_calls=False if frame.tools and not run.parallel_tool_calls else None,
        response_format=frame.format,
        temperature=other_than(run.temperature, 1.0),
        top_p=other_than(run.top_p, 1.0),
        reasoning_effort=run.reasoning_effort,
        max_completion_tokens=room.answer,
    )
    return Prompt(request, tokens, target, last)


class Frame(Struct, frozen=True):
    """What a turn has besides the thread. Nothing of it is ever left out."""

    told: list[Chat]
    said: list[Chat]
    tools: list[Chat]
    format: Chat | None

    @property
    def weights(self) -> list[Weight]:
        return [weight(chat) for chat in (*self.told, *self.said)] + [weight_of_rest(self.tools, self.format)]


async def framed(context: Context, worked: Worked, steps: Sequence[RunStep]) -> Frame:
    """Likewise, after these steps."""
    run = worked.run
    told: list[Chat] = [{"role": "system", "content": run.instructions}] if run.instructions else []
    search = searching.name_of(run)
    said = done(steps, await own_messages(context, worked, steps), search)
    tools = functions(run)
    if search and not searching.is_exhausted(steps):
        tools.append(searching.offered(search))
    return Frame(told, said, tools, answer_format(run))


async def room_for_results(context: Context, worked: Worked, steps: Sequence[RunStep], asked: Prompt) -> int:
    """The tokens that the searches of a turn may find, so that the next one has room for all that is always
    sent. `steps` include the turn's own, in which nothing is found yet. Raises `TooLong`."""
    room = room_for(worked.run, steps, asked.target).prompt
    always = (await framed(context, worked, steps)).weights
    if asked.last:
        always.append(weight(asked.last))
    free = room - room // SPARE - sum(await counted(always))
    return max(0, min(searching.most_for(worked.run)[1], free))


# ---------------------------------------------------------------- room


class Room(Struct, frozen=True):
    """Tokens that the prompt may have, what sets that limit, and what the run may still answer."""

    prompt: int
    reason: Literal["max_prompt_tokens"] | None
    answer: int | None


def room_for(run: Run, steps: Sequence[RunStep], target: Target) -> Room:
    """What is left after the turns before, whose tokens count against the run's caps. Raises `TooLong`."""
    used = [step.usage for step in steps if step.usage]
    answer = left(run.max_completion_tokens, sum(usage.completion_tokens for usage in used))
    if answer is not None and answer <= 0:
        raise TooLong("max_completion_tokens")
    capped = left(run.max_prompt_tokens, sum(usage.prompt_tokens for usage in used))
    readable = target.context_tokens - min(answer or ANSWER, target.context_tokens // 2)
    if capped is not None and capped < readable:
        return Room(capped, "max_prompt_tokens", answer)
    return Room(readable, None, answer)


def left(cap: int | None, used: int) -> int | None:
    return None if cap is None else cap - used


# ---------------------------------------------------------------- the thread


async def own_messages(context: Context, worked: Worked, steps: Sequence[RunStep]) -> dict[str, Message]:
    """The run's messages that nobody has deleted."""
    found: dict[str, Message] = {}
    for id in messages_of(steps):
        try:
            async with context.database.read() as transaction:
                body = await messages.get(transaction, worked.project_id, worked.run.thread_id, id)
        except NotFound:
            continue
        found[id] = message_of(body)
    return found


async def newest(context: Context, worked: Worked, fixed: list[Weight], room: Room) -> tuple[list[Chat], int]:
    """The messages that there is room for beside what is fixed, the newest first; and the tokens of all
    that. Counts only where the sizes in bytes leave a doubt. Raises `TooLong`."""
    history: list[Chat] = []
    sizes: list[int] | None = None
    bound = sum(one.at_most for one in fixed)
    taken = 0
    async for page in pages(context, worked):
        history += page
        if sizes is None:
            bound += sum(weight(chat).at_most for chat in page)
            if bound <= room.prompt:
                continue
            taken = sum(await counted(fixed))
            sizes = []
            page = history
        sizes += await counted([weight(chat) for chat in page])
        if taken + sum(sizes) > room.prompt:
            break
    if sizes is None:
        return history, bound
    kept = that_fit(sizes, last_of_user(history), room.prompt - taken)
    if kept is None:
        raise TooLong(room.reason)
    return [history[place] for place in kept], taken + sum(sizes[place] for place in kept)


async def counted(weights: Sequence[Weight]) -> list[int]:
    """The tokens of each."""
    texts = [text for one in weights for text in one.texts]
    numbers = iter(await asyncio.to_thread(count, texts))
    return [one.flat + sum(next(numbers) for _ in one.texts) for one in weights]


def last_of_user(newest_first: Sequence[Chat]) -> int | None:
    return next((place for place, chat in enumerate(newest_first) if chat["role"] == "user"), None)


def that_fit(sizes: Sequence[int], last: int | None, room: int) -> list[int] | None:
    """The places of messages to keep, of sizes with the newest first: as many of the newest as there is
    room for, and in any case the user's last one. None where not even that fits."""
    free = room - (0 if last is None else sizes[last])
    kept: list[int] = []
    for place, size in enumerate(sizes):
        if place != last:
            if size > free:
                break
            free -= size
        kept.append(place)
    if last is not None and last not in kept:
        kept.append(last)
    return None if free < 0 or (sizes and not kept) else kept


async def pages(context: Context, worked: Worked) -> AsyncIterator[list[Chat]]:
    """What the thread says without the run's own messages, the newest first; at least one page. Ends after
    as many messages as the run asks for."""
    wanted = worked.run.truncation_strategy.last_messages
    query = PageQuery(PAGE, "desc")
    while True:
        page = await read(context, worked, query)
        found = [message for message in map(message_of, page.items) if message.run_id != worked.run.id]
        if wanted is not None:
            found = found[:wanted]
            wanted -= len(found)
        yield [chat for message in found if (chat := spoken(message))]
        if not page.has_more or wanted == 0:
            return
        query = PageQuery(PAGE, "desc", after=page.last_id)


async def read(context: Context, worked: Worked, query: PageQuery) -> Page[str]:
    """One page of bodies. The first is read at once; where there are more there may be many, which must
    not hold up the event loop."""

    async def work(transaction: Transaction) -> Page[str]:
        return await message_pages.page(transaction, worked.project_id, worked.run.thread_id, query)

    if query.after is not None:
        return await context.database.scan(work)
    async with context.database.read() as transaction:
        return await work(transaction)


async def with_images(context: Context, project_id: str, newest_first: Sequence[Chat]) -> list[Chat]:
    """Messages with their images in place."""
    wanted = [file_id for chat in newest_first for file_id in unfilled(chat)]
    urls = await images.data_urls(context, project_id, wanted) if wanted else {}
    return [filled(chat, urls) for chat in newest_first]
