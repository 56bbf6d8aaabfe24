"""One turn at an upstream, over real HTTP: what is sent, what comes back, how connections are used."""

import asyncio
import logging

import pytest

from tests.providers.conftest import HI, At, calls_of, refusal_of, text_of
from tests.support.upstream import (
    Bytes,
    Call,
    Error,
    Gate,
    Refusal,
    Say,
    Upstream,
    Whole,
    closed_port,
    words,
)
from threadkeep.providers.base import ChatRequest, Finish, ModelFailure, Text, Used
from threadkeep.runs.model import Usage
from threadkeep.settings import BadSettings

pytestmark = [pytest.mark.anyio, pytest.mark.promise("providers.chat")]


# ---------------------------------------------------------------- what is sent


async def test_a_request_with_everything(up: Upstream):
    up.script(Say("Hello"))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}]
    request = ChatRequest(
        model="gpt-4o",
        messages=[*HI, {"role": "assistant", "content": None}],
        tools=tools,
        tool_choice="required",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        temperature=0.0,
        top_p=0.5,
        reasoning_effort="low",
        max_completion_tokens=300,
    )
    async with At(up.url, api_key="sk-upstream") as there:
        await there.pieces(request)
    assert up.bodies == [
        {
            "model": "gpt-4o",
            "messages": [*HI, {"role": "assistant", "content": None}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": tools,
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "response_format": {"type": "json_object"},
            "temperature": 0.0,
            "top_p": 0.5,
            "reasoning_effort": "low",
            "max_completion_tokens": 300,
        }
    ]
    [asked] = up.requests
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["authorization"] == "Bearer sk-upstream"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("threadkeep/")


async def test_what_is_not_given_is_left_out(up: Upstream):
    up.script(Say("Hello"))
    async with At(up.url) as there:
        await there.pieces(
            ChatRequest(model="gpt-4o", messages=HI, tool_choice="auto", parallel_tool_calls=True)
        )
    [asked] = up.requests
    assert set(asked.json) == {"model", "messages", "stream", "stream_options"}
    assert "Authorization" not in asked.headers


async def test_the_older_name_of_the_token_limit(up: Upstream):
    up.script(Say("Hello"))
    async with At(up.url, max_tokens_field="max_tokens") as there:
        await there.pieces(ChatRequest(model="gpt-4o", messages=HI, max_completion_tokens=7))
    assert up.bodies[0]["max_tokens"] == 7
    assert "max_completion_tokens" not in up.bodies[0]


async def test_headers_of_the_settings_go_before(up: Upstream):
    up.script(Say("Hello"))
    headers = {"X-Portkey-Provider": "openai", "Authorization": "Basic abc"}
    async with At(up.url, api_key="sk-x", headers=headers) as there:
        await there.pieces()
    sent = {name.lower(): value for name, value in up.requests[0].headers.items()}
    assert sent["x-portkey-provider"] == "openai"
    assert sent["authorization"] == "Basic abc"


@pytest.mark.promise("providers.azure")
@pytest.mark.parametrize("base", ["", "/", "/openai", "/openai/"])
async def test_azure(up: Upstream, base):
    up.script(Say("Hello"), Say("Hello"))
    async with At(up.origin + base, kind="azure", api_key="azure-key") as there:
        assert text_of(await there.pieces(ChatRequest(model="my gpt/4o", messages=HI))) == "Hello"
        assert await there.provider.models() == []
    async with At(up.origin + base, kind="azure", api_version="2030-01-01-preview") as there:
        await there.pieces()
    first, second = up.requests
    assert first.path == "/openai/deployments/my gpt/4o/chat/completions"
    assert dict(first.query) == {"api-version": "2024-10-21"}
    assert {name.lower(): value for name, value in first.headers.items()}["api-key"] == "azure-key"
    assert "Authorization" not in first.headers
    assert second.path == "/openai/deployments/gpt-4o/chat/completions"
    assert dict(second.query) == {"api-version": "2030-01-01-preview"}


async def test_a_prompt_of_some_megabytes(up: Upstream):
    up.script(Say("Hello"))
    message = {"role": "user", "content": "x" * 3_000_000}
    async with At(up.url) as there:
        await there.pieces(ChatRequest(model="gpt-4o", messages=[message]))
    assert up.bodies[0]["messages"] == [message]


# ---------------------------------------------------------------- what comes back


async def test_a_streamed_answer(up: Upstream):
    up.script(Say(*words("Hello big world"), usage=(7, 3)))
    async with At(up.url + "/") as there:
        pieces = await there.pieces()
    expected = [Text("Hello "), Text("big "), Text("world"), Finish("stop"), Used(Usage(7, 3, 10))]
    assert pieces == expected


async def test_pieces_are_handed_on_as_they_come(up: Upstream):
    gate = Gate()
    up.script(Say("first", gate, "second"))
    async with At(up.url) as there:
        stream = there.provider.stream(ChatRequest(model="gpt-4o", messages=HI))
        assert await anext(stream) == [Text("first")]
        gate.open()
        rest = [piece async for pieces in stream for piece in pieces]
    assert rest[0] == Text("second")


async def test_calls_in_pieces(up: Upstream):
    up.script(Say("Let me see.", Call("weather", '{"city"', ':"Paris"}', id="a"), Call("now", "{}", id="b")))
    async with At(up.url) as there:
        pieces = await there.pieces()
    assert text_of(pieces) == "Let me see."
    assert calls_of(pieces) == [("a", "weather", '{"city":"Paris"}'), ("b", "now", "{}")]
    assert Finish("tool_calls") in pieces


@pytest.mark.promise("providers.departures")
async def test_an_upstream_that_does_not_stream(up: Upstream):
    up.script(Whole("Hello", Call("f", "{}", id="a"), usage=(1, 2)))
    async with At(up.url) as there:
        pieces = await there.pieces()
    assert (text_of(pieces), calls_of(pieces)) == ("Hello", [("a", "f", "{}")])
    assert pieces[-2:] == [Finish("tool_calls"), Used(Usage(1, 2, 3))]


@pytest.mark.promise("providers.departures")
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
async def test_an_upstream_with_other_line_ends(up: Upstream, line_end):
    lines = [
        b": ping",
        b"",
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        b"",
        b"",
    ]
    up.script(Bytes(line_end.join(lines)))
    async with At(up.url) as there:
        assert await there.pieces() == [Text("a"), Finish("stop")]


async def test_an_empty_answer_is_an_answer(up: Upstream):
    up.script(Say(usage=(5, 0)))
    async with At(up.url) as there:
        assert await there.pieces() == [Finish("stop"), Used(Usage(5, 0, 5))]


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_why_it_stopped(up: Upstream, finish):
    up.script(Say("Hel", finish=finish, usage=None))
    async with At(up.url) as there:
        assert await there.pieces() == [Text("Hel"), Finish(finish)]


async def test_a_refusal(up: Upstream):
    up.script(Say(Refusal("I won't.")))
    async with At(up.url) as there:
        assert refusal_of(await there.pieces()) == "I won't."


# ---------------------------------------------------------------- connections


async def test_turns_share_a_connection(up: Upstream):
    up.script(Say("a"), Whole("b"), Error(500), Say("c"))
    async with At(up.url) as there:
        for text in ("a", "b", "c"):
            assert text_of(await there.pieces()) == text
            await asyncio.gather(*there.provider._ending)
    assert len({asked.peer for asked in up.requests}) == 1


async def test_as_many_turns_at_once_as_are_asked_for(up: Upstream):
    gate = Gate()
    up.always(lambda asked: Say("a", before=gate))
    async with At(up.url) as there:
        turns = [asyncio.ensure_future(there.pieces()) for _ in range(150)]
        await asyncio.to_thread(up.wait_for, 150)
        gate.open()
        assert [text_of(pieces) for pieces in await asyncio.gather(*turns)] == ["a"] * 150


async def test_closing_the_stream_ends_the_request(up: Upstream):
    gate = Gate()
    up.script(Say("first", gate, "second"))
    async with At(up.url) as there:
        stream = there.provider.stream(ChatRequest(model="gpt-4o", messages=HI))
        await anext(stream)
        await stream.aclose()
        assert await asyncio.to_thread(up.requests[0].hung_up.wait, 10)


async def test_a_cancelled_turn_ends_the_request(up: Upstream):
    gate = Gate()
    up.script(Say("a", before=gate))
    async with At(up.url) as there:
        turn = asyncio.ensure_future(there.pieces())
        await asyncio.to_thread(gate.wait)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert await asyncio.to_thread(up.requests[0].hung_up.wait, 10)


async def test_cookies_are_not_kept(up: Upstream):
    up.script(Error(500, headers={"set-cookie": "who=me"}), Say("a"))
    async with At(up.url) as there:
        await there.pieces()
    assert "Cookie" not in up.requests[-1].headers


# ---------------------------------------------------------------- models


async def test_the_models_that_it_says_it_has(up: Upstream):
    up.models = ["b", "a"]
    async with At(up.url, api_key="sk-x") as there:
        listed = await there.provider.models()
    created, owner = 1_700_000_000, "upstream"
    assert listed == [
        {"id": id, "object": "model", "created": created, "owned_by": owner} for id in ("b", "a")
    ]
    assert up.listings[0].headers["Authorization"] == "Bearer sk-x"


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'[{"id":"a"},{"id":"b","object":"model"}]', ["a", "b"]),
        (b'{"data":[{"id":"a","created":1.5,"owned_by":null}]}', ["a"]),
        (b'{"object":"list","data":[]}', []),
        (b'{"object":"list","data":null}', []),
    ],
)
async def test_lists_of_models_in_other_forms(up: Upstream, body, ids):
    up.models = Bytes(body, content_type="application/json")
    async with At(up.url) as there:
        assert [model["id"] for model in await there.provider.models()] == ids


@pytest.mark.parametrize("listing", [Error(404), Bytes(b"<html>"), Bytes(b'{"models":[]}')])
async def test_a_list_that_cannot_be_had(up: Upstream, listing):
    up.models = listing
    async with At(up.url) as there:
        with pytest.raises(ModelFailure, match="'there'"):
            await there.provider.models()


async def test_a_list_that_does_not_come(up: Upstream, monkeypatch):
    monkeypatch.setattr("threadkeep.providers.chat.SECONDS_TO_LIST", 0.05)
    up.models = Say("a", before=Gate())
    async with At(up.url) as there:
        with pytest.raises(ModelFailure, match="sent nothing for"):
            await there.provider.models()
    async with At(closed_port()) as there:
        with pytest.raises(ModelFailure, match="cannot be reached"):
            await there.provider.models()


# ---------------------------------------------------------------- secrets and settings


@pytest.mark.promise("providers.secrets")
async def test_a_key_is_neither_logged_nor_told(up: Upstream, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "tk-0123456789abcdef"
    turns = [
        Error(429, f"Slow down, {secret}"),
        Error(500, body=f"{secret} failed"),
        Error(401, f"Incorrect API key provided: {secret}"),
        Error(403, f"{secret} may not"),
        Error(404, f"not with {secret}"),
        Error(400, f"Bearer {secret} and sk-proj-abcdefghijkl too"),
    ]
    up.script(*turns)
    messages = []
    async with At(up.url, api_key=secret, headers={"x-other": "other-secret"}, max_retries=2) as there:
        for _ in turns[2:]:
            messages.append((await there.failure())[1].message)
        assert secret not in repr(there.provider) + str(vars(there.provider).get("_place"))
    told = "\n".join([*messages, caplog.text])
    for one in (secret, "other-secret", "sk-proj-abcdefghijkl"):
        assert one not in told
    assert "***" in told


@pytest.mark.parametrize(
    "base_url",
    [
        "", "x", "ftp://host/v1", "http://", "http:///v1", "https://host/v1?key=1", "https://host/v1#x",
        "https://me:secret@host/v1", "http://host:port/v1", "http://host:99999/v1",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_at_the_start(base_url):
    with pytest.raises(BadSettings, match="The provider 'there' needs a base_url such as https://host/v1"):
        At(base_url)


@pytest.mark.parametrize("key", ["two words", "new\nline", "schlüssel"])
def test_a_key_that_no_header_can_hold_is_refused_at_the_start(key):
    with pytest.raises(BadSettings) as refused:
        At("http://host/v1", api_key=key)
    assert key not in str(refused.value)
