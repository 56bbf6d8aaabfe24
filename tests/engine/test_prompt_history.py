"""What a model is told about a thread that is really there, on every database."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.house import Settings, database_url
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.context import Context
from threadkeep.engine import prompt
from threadkeep.files import actions as files
from threadkeep.files.model import Upload
from threadkeep.ids import id_maker
from threadkeep.messages import pages
from threadkeep.messages import store as messages
from threadkeep.messages.model import (
    ImageFile,
    ImageFilePart,
    Message,
    NewMessage,
    Part,
    Text,
    TextPart,
    body_of,
    plain_text,
)
from threadkeep.providers.base import Target
from threadkeep.runs.claims import Worked
from threadkeep.runs.model import (
    CalledFunction,
    Claim,
    FunctionToolCall,
    Job,
    MessageCreation,
    MessageCreationDetails,
    Run,
    RunStep,
    ToolCallsDetails,
    TruncationStrategy,
)
from threadkeep.storage.database import Transaction
from threadkeep.threads import actions as threads
from threadkeep.threads.model import NewThread

PROJECT = "proj_1"
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture
def address(database: str, tmp_path: Path) -> str:
    """Made outside of the event loop."""
    return database_url(database, tmp_path)


@pytest.fixture
async def context(address: str, tmp_path: Path) -> AsyncIterator[Context]:
    """What rooms work with, without a server."""
    settings = Settings(database_url=address, files_url=f"file:///{tmp_path / 'files'}")
    async with open_context(settings, system_clock, id_maker(system_clock)) as opened:
        yield opened


def target(context_tokens: int = 128_000) -> Target:
    return Target(provider=None, model="upstream", context_tokens=context_tokens)  # type: ignore[arg-type]  # not asked


def user(value: str) -> NewMessage:
    return NewMessage("user", plain_text(value))


def assistant(value: str) -> NewMessage:
    return NewMessage("assistant", plain_text(value))


async def worked(context: Context, said: list[NewMessage], **given: Any) -> Worked:
    """A run on a thread with these messages."""
    thread = await threads.create(context, PROJECT, NewThread(messages=said))
    run = Run(
        id=context.new_id("run_"),
        created_at=context.now(),
        assistant_id="asst_1",
        thread_id=thread.id,
        model="model",
        **given,
    )
    return Worked(Claim(run.id, "owner", 1), PROJECT, run, Job())


async def told(context: Context, work: Worked, tokens: int = 128_000) -> list[Any]:
    """What stands in the prompt, without roles."""
    built = await prompt.build(context, work, [], target(tokens))
    return [chat["content"] for chat in built.request.messages]


async def write(context: Context, run: Run, value: str) -> RunStep:
    """A message of the run's own, and its step."""
    message = Message(
        id=context.new_id("msg_"),
        created_at=context.now(),
        thread_id=run.thread_id,
        run_id=run.id,
        role="assistant",
        content=plain_text(value),
    )

    async def work(transaction: Transaction) -> None:
        row = await transaction.one(
            "UPDATE threads SET last_position = last_position + 1 WHERE id = :id RETURNING last_position",
            {"id": run.thread_id},
        )
        assert row
        await messages.insert(transaction, run.thread_id, row[0], message.id, body_of(message), run.id)

    await context.database.write(work)
    return step(run, MessageCreationDetails(MessageCreation(message.id)))


def step(run: Run, details: Any) -> RunStep:
    kind: Any = "tool_calls" if isinstance(details, ToolCallsDetails) else "message_creation"
    return RunStep(
        id="step_1",
        created_at=1,
        run_id=run.id,
        assistant_id="asst_1",
        thread_id=run.thread_id,
        type=kind,
        step_details=details,
    )


@pytest.mark.promise("v2.runs.prompt")
async def test_instructions_then_the_thread_then_what_the_run_has_done(context):
    work = await worked(context, [user("one"), assistant("two"), user("three")], instructions="Be brief.")
    said = await write(context, work.run, "Let me look.")
    call = FunctionToolCall(id="call_1", function=CalledFunction("look", "{}", "a cat"))
    steps = [said, step(work.run, ToolCallsDetails([call]))]
    built = await prompt.build(context, work, steps, target())
    assert [(chat["role"], chat["content"]) for chat in built.request.messages] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
        ("assistant", "Let me look."),
        ("tool", "a cat"),
    ]
    assert built.request.messages[4]["tool_calls"][0]["id"] == "call_1"
    assert built.request.model == "upstream"


async def test_nothing_that_was_not_asked_for_is_sent(context):
    built = await prompt.build(context, await worked(context, [user("hello")]), [], target())
    sent = {name: value for name, value in msgspec.structs.asdict(built.request).items() if value}
    assert sent == {"model": "upstream", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.promise("v2.runs.sampling")
async def test_every_parameter_reaches_the_upstream(context):
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    work = await worked(
        context,
        [user("hello")],
        temperature=0.0,
        top_p=0.5,
        reasoning_effort="low",
        max_completion_tokens=20,
        response_format=schema,
    )
    request = (await prompt.build(context, work, [], target())).request
    assert (request.temperature, request.top_p, request.reasoning_effort) == (0.0, 0.5, "low")
    assert (request.max_completion_tokens, request.response_format) == (20, schema)


@pytest.mark.promise("v2.runs.last-messages")
@pytest.mark.parametrize("wanted", [1, 2, 50, 51, 119, 120, 121])
async def test_last_messages_are_the_newest_of_the_thread(context, wanted):
    strategy = TruncationStrategy("last_messages", wanted)
    said = [str(number) for number in range(120)]
    work = await worked(context, [user(one) for one in said], truncation_strategy=strategy)
    await write(context, work.run, "mine, and not counted")
    assert await told(context, work) == said[-wanted:]


@pytest.mark.promise("v2.runs.truncation")
async def test_a_thread_that_is_too_long_loses_its_oldest_messages(context):
    said = [f"{number} " + "word " * 20 for number in range(300)]
    work = await worked(context, [user(one) for one in said], instructions="Be brief.")
    told_now = await told(context, work, 2000)
    assert told_now[0] == "Be brief."
    assert told_now[1:] == said[-len(told_now[1:]) :]
    assert 30 < len(told_now) < 50  # of 26 tokens each, in 1000


async def test_the_budget_of_a_run_limits_its_prompt(context):
    said = [f"{number} " + "word " * 20 for number in range(40)]
    work = await worked(context, [user(one) for one in said], max_prompt_tokens=256)
    built = await prompt.build(context, work, [], target())
    assert 5 < len(built.request.messages) < 12
    assert built.prompt_tokens <= 256


@pytest.mark.promise("v2.runs.too-long")
@pytest.mark.parametrize(
    ("caps", "tokens", "reason"),
    [({}, 400, None), ({"max_prompt_tokens": 256}, 128_000, "max_prompt_tokens")],
)
async def test_a_message_that_does_not_fit_is_not_sent_in_part(context, caps, tokens, reason):
    work = await worked(context, [user("word " * 500)], **caps)
    with pytest.raises(prompt.TooLong) as refusal:
        await told(context, work, tokens)
    assert refusal.value.reason == reason


async def test_instructions_that_do_not_fit_are_not_cut(context):
    with pytest.raises(prompt.TooLong):
        await told(context, await worked(context, [], instructions="word " * 500), 400)


async def test_as_much_of_a_long_thread_is_read_as_there_is_room_for(context, monkeypatch):
    asked = []
    work = await worked(context, [user("word " * 100) for _ in range(1000)])
    page = pages.page

    async def noted(*given: Any) -> Any:
        asked.append(given)
        return await page(*given)

    monkeypatch.setattr(pages, "page", noted)
    await told(context, work, 10_000)
    assert len(asked) <= 2


async def upload(context: Context, data: bytes, **given: Any) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    receipt = await files.receive(context, PROJECT, chunks())
    return (await files.keep(context, receipt, "x.png", Upload("vision", **given))).id


@pytest.mark.promise("v2.runs.images")
async def test_images_are_shown_to_the_model(context):
    image = await upload(context, PNG)
    parts: list[Part] = [TextPart(Text("What is this?")), ImageFilePart(ImageFile(image, "low"))]
    content = (await told(context, await worked(context, [NewMessage("user", parts)])))[0]
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert content == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]


async def test_an_image_that_is_gone_or_is_none_is_mentioned(context):
    no_image, deleted = await upload(context, b"words"), await upload(context, PNG)
    parts: list[Part] = [ImageFilePart(ImageFile(no_image)), ImageFilePart(ImageFile(deleted))]
    work = await worked(context, [NewMessage("user", parts)])
    await files.delete(context, PROJECT, deleted)
    assert await told(context, work) == [
        [{"type": "text", "text": f"[image {id}: not available]"} for id in (no_image, deleted)]
    ]


async def test_images_of_messages_that_are_dropped_are_not_fetched(context, monkeypatch):
    image = await upload(context, PNG)
    shows = NewMessage("user", [ImageFilePart(ImageFile(image))])
    work = await worked(context, [shows, user("hello")])

    async def never(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(context.blobs, "open", never)
    assert await told(context, work, 1000) == ["hello"]
