"""Runs and their steps, in the order of the API reference (protocol sections 5 and 6)."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from threadkeep.engine.retelling import Follower, Stored, beginning
from threadkeep.errors import Invalid, NotFound, Problem
from threadkeep.http.request import Request, Response
from threadkeep.http.streaming import event_stream
from threadkeep.idempotency.endpoints import REPLAYED, once
from threadkeep.messages import pages as messages
from threadkeep.messages.model import message_of
from threadkeep.paging import PageQuery
from threadkeep.runs import actions, store
from threadkeep.runs import steps as run_steps
from threadkeep.runs.actions import Cancelled, Started
from threadkeep.runs.model import Job, Run, Start, start_of, text_of

SEARCH_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
HELD = ("queued", "in_progress", "cancelling")
"""What a poll helper waits for the end of."""
BETWEEN_HELD_POLLS = 20
"""Milliseconds that poll helpers leave between polls that wait at the server, and between others."""
BETWEEN_POLLS = 500
MOST_MESSAGES = 1000
"""Of one run, in a stream that is told from what is stored."""


async def create_run(request: Request) -> Response:
    """POST /threads/{thread_id}/runs"""
    new = request.parse("create_run")
    job = Job(virtual_key=request.virtual_key, include_search_content=includes_content(request))

    async def start(inner: Request) -> Started:
        context, thread_id = inner.context, inner.path["thread_id"]
        return await actions.create(context, inner.project_id, thread_id, new, job, context.runner.owner())

    return await started(request, start, new.stream)


async def create_thread_and_run(request: Request) -> Response:
    """POST /threads/runs"""
    new = request.parse("create_thread_and_run")
    job = Job(virtual_key=request.virtual_key)

    async def start(inner: Request) -> Started:
        context = inner.context
        return await actions.create_with_thread(context, inner.project_id, new, job, context.runner.owner())

    return await started(request, start, new.run.stream)


async def list_runs(request: Request) -> Response:
    """GET /threads/{thread_id}/runs"""
    query = request.page_query()
    async with request.context.database.read() as transaction:
        page = await store.page(transaction, request.project_id, request.path["thread_id"], query)
    return request.reply_page(page, request.dialect.run)


async def retrieve_run(request: Request) -> Response:
    """GET /threads/{thread_id}/runs/{run_id}; a poll helper's is held until the status changes."""
    run = await stored_run(request)
    if request.headers.get(b"x-stainless-poll-helper") == b"true" and run.status in HELD:
        run = await when_changed(request, run)
    return answer(request, run)


async def modify_run(request: Request) -> Response:
    """POST /threads/{thread_id}/runs/{run_id}"""
    metadata = request.parse("modify_run")

    async def modify(inner: Request) -> Response:
        return inner.reply(inner.dialect.run(await actions.modify(inner.context, *place(inner), metadata)))

    return with_poll_after(request, await once(request, request.body, modify))


async def submit_tool_outputs(request: Request) -> Response:
    """POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs"""
    given = request.parse("submit_tool_outputs")

    async def start(inner: Request) -> Started:
        context = inner.context
        return await actions.submit_tool_outputs(context, *place(inner), given, context.runner.owner())

    return await started(request, start, given.stream)


async def cancel_run(request: Request) -> Response:
    """POST /threads/{thread_id}/runs/{run_id}/cancel"""
    done: list[Cancelled] = []

    async def cancel(inner: Request) -> Response:
        context = inner.context
        done.append(await actions.cancel(context, *place(inner), context.runner.owner()))
        return inner.reply(inner.dialect.run(done[-1].run))

    response = await once(request, request.body, cancel)
    if REPLAYED not in response.headers and done[-1].claim:
        request.context.runner.adopt(done[-1].claim)
    return with_poll_after(request, response)


async def list_run_steps(request: Request) -> Response:
    """GET /threads/{thread_id}/runs/{run_id}/steps"""
    query, with_content = request.page_query(), includes_content(request)
    async with request.context.database.read() as transaction:
        run = await store.get(transaction, *place(request))
        page = await run_steps.page(transaction, run.id, query)
    dialect = request.dialect
    return request.reply_page(page, dialect.step_with_content if with_content else dialect.step)


async def retrieve_run_step(request: Request) -> Response:
    """GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}"""
    with_content = includes_content(request)
    async with request.context.database.read() as transaction:
        run = await store.get(transaction, *place(request))
        step = await run_steps.get(transaction, run.id, request.path["step_id"])
    dialect = request.dialect
    return request.reply((dialect.step_with_content if with_content else dialect.step)(step))


# ---------------------------------------------------------------- what requests have in common


def place(request: Request) -> tuple[str, str, str]:
    """The project, the thread and the run that a path names."""
    return request.project_id, request.path["thread_id"], request.path["run_id"]


def includes_content(request: Request) -> bool:
    """Whether `include[]` asks for what file search found; there is nothing else to ask for.

    Raises `Invalid`.
    """
    asked = request.query_list("include")
    for number, value in enumerate(asked):
        if value != SEARCH_CONTENT:
            path = ("include", number)
            raise Invalid(Problem(path, "enum", actual=value, choices=(SEARCH_CONTENT,), where="query"))
    return bool(asked)


def answer(request: Request, run: Run) -> Response:
    return with_poll_after(request, request.reply(request.dialect.run(run)))


def with_poll_after(request: Request, response: Response) -> Response:
    """An answer that says when to ask for its run again."""
    held = request.context.settings.run_poll_hold > 0
    milliseconds = BETWEEN_HELD_POLLS if held else BETWEEN_POLLS
    response.headers += ((b"openai-poll-after-ms", b"%d" % milliseconds),)
    return response


async def stored_run(request: Request) -> Run:
    async with request.context.database.read() as transaction:
        return await store.get(transaction, *place(request))


async def when_changed(request: Request, run: Run) -> Run:
    """The run once its status is another, or when the poll has been held long enough."""
    seen, runner = run.status, request.context.runner
    until = time.monotonic() + request.context.settings.run_poll_hold
    goes_on = True
    while goes_on and run.status == seen and (left := until - time.monotonic()) > 0:
        goes_on = await runner.change(run.id, seen, left)
        run = await stored_run(request)
    return run


# ---------------------------------------------------------------- runs that set out


async def started(request: Request, start: Callable[[Request], Awaitable[Started]], stream: bool) -> Response:
    """Have a run start, once for each Idempotency-Key; answer with it, or with a stream of its events.

    `start` may be called again where its transaction is.
    """
    done: list[Started] = []

    async def begin(inner: Request) -> Response:
        done.append(await start(inner))
        if stream:  # kept under a key, for a repetition to follow the same run
            return inner.reply(text_of(done[-1].start))
        return inner.reply(inner.dialect.run(done[-1].run))

    response = await once(request, request.body, begin)
    claim = None if REPLAYED in response.headers else done[-1].claim
    runner = request.context.runner
    if not stream:
        if claim:
            runner.adopt(claim)
        return with_poll_after(request, response)
    if claim is None:
        return followed(request, start_of(response.body), response.headers)
    start_of_it = done[-1].start
    watch = runner.watch()
    for event in beginning(start_of_it):
        watch.tell(event)
    runner.adopt(claim, watch)
    return event_stream(request, watch, start_of_it.include_search_content)


def followed(request: Request, start: Start, headers: tuple[tuple[bytes, bytes], ...]) -> Response:
    """A stream of a run that this process does not work for this request: of what is stored, as it grows."""
    look = partial(stored_of, request, start.run)
    follower = Follower(start, request.context.runner, look)
    response = event_stream(request, follower, start.include_search_content)
    response.headers += headers
    return response


async def stored_of(request: Request, run: Run) -> Stored | None:
    """All that is stored of a run; None where it was deleted with its thread.

    What tells of other things is read before them: a step is never seen without its message.
    """
    everything = PageQuery(MOST_MESSAGES, "asc")
    async with request.context.database.read() as transaction:
        try:
            now = await store.get(transaction, request.project_id, run.thread_id, run.id)
            steps = await run_steps.of_run(transaction, run.id)
            made = await messages.page(transaction, request.project_id, run.thread_id, everything, run.id)
        except NotFound:
            return None
    return Stored(now, steps, {one.id: one for one in map(message_of, made.items)})
