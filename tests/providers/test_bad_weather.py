"""What can go wrong at an upstream: when it is asked again, and what a run's `last_error` will say."""

import socket

import pytest

from tests.providers.conftest import HI, At, text_of
from tests.support.upstream import (
    Bytes,
    Call,
    Cut,
    Error,
    Gate,
    Hangup,
    Raw,
    Say,
    Turn,
    Upstream,
    closed_port,
)
from threadkeep.providers.base import ChatRequest, ModelFailure, Text
from threadkeep.providers.patience import Patience

pytestmark = [pytest.mark.anyio, pytest.mark.promise("providers.failures")]

RETRIES = pytest.mark.promise("providers.retries")


# ---------------------------------------------------------------- what is asked again


@RETRIES
@pytest.mark.parametrize(
    "bad",
    [
        Error(429, code="rate_limit_exceeded"),
        Error(500),
        Error(502, body="<html>Bad Gateway</html>"),
        Error(503),
        Error(529),
        Error(408),
        Hangup(),
        Bytes(),
        Bytes(b"data: [DONE]\n\n"),
        Bytes(b": ping\n\n"),
        Say(Cut()),
        Bytes(b'data: {"error":{"message":"overloaded","code":503}}\n\n'),
        Bytes(b'data: {"error":{"message":"slow down","type":"rate_limit_error"}}\n\n'),
    ],
    ids=lambda turn: type(turn).__name__ + str(getattr(turn, "status", "")),
)
async def test_what_may_pass_is_asked_again(up: Upstream, bad: Turn):
    up.script(bad, bad, Say("Hello"))
    async with At(up.url) as there:
        assert text_of(await there.pieces()) == "Hello"
    assert up.bodies == [up.bodies[0]] * 3
    assert there.pauses == [0.5, 1.0]


@RETRIES
@pytest.mark.parametrize(
    "bad",
    [
        Error(400),
        Error(401),
        Error(403),
        Error(404),
        Error(422),
        Error(429, "You exceeded your current quota.", code="insufficient_quota"),
        Error(500, "Too long for the context window.", code="context_length_exceeded"),
        Bytes(b'data: {"error":{"message":"No.","code":400}}\n\n'),
        Bytes(b"data: {oops\n\n"),
    ],
)
async def test_what_will_not_pass_is_asked_once(up: Upstream, bad: Turn):
    up.script(bad)
    async with At(up.url) as there:
        await there.failure()
    assert len(up.requests) == 1


@RETRIES
async def test_retries_end(up: Upstream):
    up.always(Error(503, "down"))
    async with At(up.url, max_retries=7) as there:
        pieces, failure = await there.failure()
    assert pieces == []
    assert failure.message == "The provider 'there' failed (503): down"
    assert there.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0]


@RETRIES
async def test_no_retries(up: Upstream):
    up.script(Error(500))
    async with At(up.url, max_retries=0) as there:
        await there.failure()


@RETRIES
def test_pauses_are_a_random_part_of_what_they_may_be():
    parts = iter([0.0, 0.25, 0.999])
    patience = Patience(chance=lambda: next(parts))
    assert [patience.delay(3, None) for _ in range(3)] == [0.0, 1.0, 3.996]


@RETRIES
@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7.5 "}, 7.5),
        ({"retry-after": "0"}, 0.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "90"}, 1.5),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.5),
        ({"retry-after": "soon"}, 0.5),
        ({"retry-after": "-3"}, 0.5),
        ({}, 0.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(up: Upstream, status, headers, pause):
    up.script(Error(status, headers=headers), Say("Hello"))
    async with At(up.url) as there:
        there.clock.now = 1_800_000_000  # 2027-01-15 08:00:00
        await there.pieces()
    assert there.pauses == [pause]


@RETRIES
async def test_nobody_waits_longer_than_a_run_may_take(up: Upstream):
    up.script(Error(429, "Try again in an hour.", headers={"retry-after": "3600"}))
    async with At(up.url, most_seconds=600) as there:
        _, failure = await there.failure()
    assert (failure.code, failure.message) == ("rate_limit_exceeded", "Try again in an hour.")
    assert there.pauses == []


@RETRIES
async def test_nothing_is_asked_again_once_a_piece_was_handed_on(up: Upstream):
    for bad in (Cut(), Raw(b"data: {oops\n\n"), Raw(b'data: {"error":{"message":"down","code":503}}\n\n')):
        up.script(Say("Hel", bad))
        async with At(up.url) as there:
            pieces, _ = await there.failure()
            assert pieces == [Text("Hel")]
    assert len(up.requests) == 3


@RETRIES
async def test_a_connection_that_was_closed_while_it_waited(up: Upstream):
    """The usual end of a kept connection: the next request finds it closed."""
    up.script(Say("a"), Hangup(), Say("b"))
    async with At(up.url) as there:
        assert [text_of(await there.pieces()) for _ in range(2)] == ["a", "b"]


# ---------------------------------------------------------------- connections


async def test_nobody_listens():
    address = closed_port()
    async with At(address, max_retries=2) as there:
        _, failure = await there.failure()
    host = address.removeprefix("http://").removesuffix("/v1")
    assert failure.code == "server_error"
    assert failure.message == (
        f"The provider 'there' cannot be reached at {host}: connection refused. Check its base_url, and that "
        "it runs."
    )
    assert there.pauses == [0.5, 1.0]


async def test_no_such_host():
    async with At("http://nowhere.invalid/v1", max_retries=0) as there:
        _, failure = await there.failure()
    assert failure.message.startswith("The provider 'there' cannot be reached at nowhere.invalid: ")


async def test_a_host_that_does_not_speak_tls(up: Upstream):
    async with At(up.url.replace("http:", "https:")) as there:
        _, failure = await there.failure()
    assert "TLS failed" in failure.message
    assert there.pauses == []


async def test_no_connection_in_time():
    """A listener that accepts nobody: TLS never begins."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with At(address, connect_timeout=0.05, max_retries=1) as there:
            _, failure = await there.failure()
    assert "cannot be reached" in failure.message
    assert "no connection within 0.05 seconds" in failure.message
    assert there.pauses == [0.5]


async def test_silence_before_the_answer(up: Upstream):
    up.script(Say("a", before=Gate()))
    async with At(up.url, read_timeout=0.05) as there:
        pieces, failure = await there.failure()
    assert pieces == []
    assert failure.message == (
        "The provider 'there' sent nothing for 0.05 seconds. If it needs longer, raise its read_timeout."
    )
    assert len(up.requests) == 1


async def test_silence_between_pieces(up: Upstream):
    up.script(Say("Hel", Gate(), "lo"))
    async with At(up.url, read_timeout=0.05) as there:
        pieces, failure = await there.failure()
    assert pieces == [Text("Hel")]
    assert (failure.code, "sent nothing for 0.05 seconds" in failure.message) == ("server_error", True)


async def test_silence_after_a_complete_answer_does_no_harm(up: Upstream):
    stop = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    up.script(Bytes(stop, Gate()), Bytes(stop, Cut()))
    async with At(up.url, read_timeout=0.05) as there:
        assert text_of(await there.pieces()) == "a"
        assert text_of(await there.pieces()) == "a"


async def test_an_answer_is_over_with_done_even_if_the_connection_is_not(up: Upstream):
    gate = Gate()
    stop = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    up.script(Bytes(stop, gate))
    async with At(up.url) as there:
        assert text_of(await there.pieces()) == "a"


async def test_hanging_up_in_the_middle(up: Upstream):
    up.script(Say("Hel", "lo", Cut()))
    async with At(up.url) as there:
        pieces, failure = await there.failure()
    assert text_of(pieces) == "Hello"
    assert failure.code == "server_error"
    assert failure.message == "The provider 'there' broke off before its answer was complete."


async def test_an_end_in_the_middle_that_looks_like_one(up: Upstream):
    up.script(Bytes(b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'))
    async with At(up.url) as there:
        pieces, failure = await there.failure()
    assert pieces == [Text("Hel")]
    assert "broke off" in failure.message


async def test_hanging_up_in_the_middle_of_a_call(up: Upstream):
    up.script(Say(Call("f", '{"a":'), Cut()))
    async with At(up.url) as there:
        pieces, failure = await there.failure()
    assert len(pieces) == 2
    assert "broke off" in failure.message


# ---------------------------------------------------------------- what is said


async def said(up: Upstream, turn: Turn) -> ModelFailure:
    up.script(turn)
    async with At(up.url, max_retries=0) as there:
        return (await there.failure())[1]


QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (Error(429, QUOTA, code="insufficient_quota"), QUOTA),
        (Error(429, "Rate limit reached for gpt-4o."), "Rate limit reached for gpt-4o."),
        (Error(429, body=""), "The provider 'there' takes no more requests for now (429)."),
        (Bytes(b'data: {"error":{"message":"Slow down","code":"429"}}\n\n'), "Slow down"),
        (Bytes(b'data: {"error":{"message":"Slow","code":"rate_limit_exceeded"}}\n\n'), "Slow"),
    ],
)
async def test_limits_of_the_rate(up: Upstream, turn, message):
    failure = await said(up, turn)
    assert (failure.code, failure.message) == ("rate_limit_exceeded", message)


TOO_LONG = "This model's maximum context length is 128000 tokens. However, your messages are longer."
FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (Error(400, TOO_LONG, code="context_length_exceeded"), TOO_LONG),
        (Error(400, TOO_LONG), TOO_LONG),
        (Error(400, body={"object": "error", "message": TOO_LONG, "code": 400}), TOO_LONG),
        (
            Error(500, "the request exceeds the available context size"),
            "the request exceeds the available context size",
        ),
        (Error(400, "No.", code="invalid_prompt"), "No."),
        (Error(400, FILTERED, code="content_filter"), FILTERED),
        (
            Error(400, "Your request was rejected.", code="content_policy_violation"),
            "Your request was rejected.",
        ),
        (Error(400, "Invalid image.", param="messages.[0].content"), "Invalid image."),
        (Error(422, "Prompt is too long"), "Prompt is too long"),
        (Error(413, "Payload too large"), "Payload too large"),
        (Error(413, body="<html>"), "The prompt is too large for the provider 'there' (413)."),
        (Bytes(b'{"error":{"message":"prompt is too long","code":400}}'), "prompt is too long"),
    ],
)
async def test_what_is_wrong_with_the_prompt(up: Upstream, turn, message):
    failure = await said(up, turn)
    assert (failure.code, failure.message) == ("invalid_prompt", message)


NAME = "The provider 'there' "


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (
            Error(401, "Incorrect API key provided: sk-1234567."),
            NAME + "does not take this server's key (401). Check its api_key.",
        ),
        (
            Error(403, "Country not supported"),
            NAME + "does not allow this with this server's key (403). Check its api_key and what the key may "
            "use: Country not supported",
        ),
        (
            Error(404, "The model 'x' does not exist"),
            NAME + "has no such model or no such address (404). Check the model's name and its base_url: "
            "The model 'x' does not exist",
        ),
        (
            Error(404, body="404 page not found"),
            NAME + "has no such model or no such address (404). Check the model's name and its base_url: "
            "404 page not found",
        ),
        (
            Error(308, headers={"location": "https://elsewhere/v1"}),
            NAME + "sends elsewhere (308). Check its base_url: its scheme, host and path must be the final "
            "ones.",
        ),
        (Error(400, "Unknown field: top_k"), NAME + "refused the request (400): Unknown field: top_k"),
        (Error(422, body={"detail": [{"loc": [], "msg": "bad"}]}), NAME + "refused the request (422): bad"),
        (Error(422, body={"detail": "bad"}), NAME + "refused the request (422): bad"),
        (Error(400, body={"error": "no model"}), NAME + "refused the request (400): no model"),
        (Error(400, body={"error": {"message": {"a": 1}}}), NAME + 'refused the request (400): {"a":1}'),
        (Error(400, body=[1]), NAME + "refused the request (400): [1]"),
        (Error(500, "down"), NAME + "failed (500): down"),
        (Error(502, body="<html><h1>Bad Gateway</h1></html>"), NAME + "failed (502)."),
        (Error(503, body="no healthy upstream"), NAME + "failed (503): no healthy upstream"),
        (Error(418, body=""), NAME + "refused the request (418)."),
        (Bytes(), NAME + "sent an empty answer."),
        (Bytes(b"<html>Welcome to nginx!</html>"), NAME + "sent an empty answer."),
        (
            Bytes(b"data: {oops\n\n"),
            NAME + "sent something that is not a chat completion: {oops",
        ),
        (Bytes(b'data: {"error":{"message":"boom"}}\n\n'), NAME + "failed (500): boom"),
        (Bytes(b'data: {"error":"boom"}\n\n'), NAME + "failed (500): boom"),
        (Bytes(b'data: {"error":{"message":"boom","code":404}}\n\n'), NAME + "has no such model or no such "
        "address (404). Check the model's name and its base_url: boom"),
    ],
)  # fmt: skip
async def test_everything_else(up: Upstream, turn, message):
    failure = await said(up, turn)
    assert (failure.code, failure.message) == ("server_error", message)


async def test_messages_are_not_endless(up: Upstream):
    failure = await said(up, Error(500, "x" * 100_000))
    assert len(failure.message) == 1000
    assert failure.message.endswith("...")


async def test_an_error_page_without_an_end(up: Upstream):
    class Endless(Bytes):
        def all_parts(self, asked):
            while True:
                yield b"x" * 65536

    up.script(Endless(content_type="text/plain"))
    async with At(up.url, max_retries=0) as there:
        _, failure = await there.failure()
    assert "not a chat completion" in failure.message


async def test_a_failure_leaves_the_provider_as_it_was(up: Upstream):
    up.script(Say("Hel", Cut()), Error(400), Say("a"))
    async with At(up.url) as there:
        await there.failure()
        await there.failure()
        assert text_of(await there.pieces(ChatRequest(model="m", messages=HI))) == "a"
