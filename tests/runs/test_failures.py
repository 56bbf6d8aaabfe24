"""Whatever may go wrong at an upstream: the run says what it was, keeps what there was, and ends."""

import time
from collections.abc import Sequence

import pytest
from msgspec import Struct

from tests.runs.conftest import Setting
from tests.runs.scene import SECRET, SILENCE, Scene
from tests.support.upstream import Bytes, Call, Cut, Error, Gate, Hangup, Raw, Say, Turn

OVERLOADED = b'data: {"error":{"message":"overloaded","code":503}}\n\n'
PLAIN = "CQImpcidksK."
AT_ONCE = "CQIF."
IN_A_MESSAGE = "CQImpcidnfF."
IN_A_CALL = "CQItpDfF."
AFTER_A_MESSAGE = "CQImpcidkstpDfF."


# ---------------------------------------------------------------- what passes


@pytest.mark.promise("runs.weather.retries")
@pytest.mark.parametrize(
    "bad",
    [
        Error(429, "Slow down", code="rate_limit_exceeded", headers={"retry-after-ms": "10"}),
        Error(500),
        Hangup(),
        Say(Cut()),
        Bytes(OVERLOADED),
    ],
    ids=["429", "500", "hangup", "cut before a word", "error before a word"],
)
def test_what_passes_is_not_seen(scene: Scene, bad: Turn):
    scene.says(bad, Say("Good ", "morning."))
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.messages) == (PLAIN, "completed", [("Good morning.", None)])
    assert left.tokens == (20, 10)
    assert scene.asked == [scene.asked[0]] * 2


@pytest.mark.promise("runs.weather.retries")
def test_retry_after_is_honoured(scene: Scene):
    scene.says(Error(429, headers={"retry-after": "1"}), Say("Good morning."))
    begun = time.monotonic()
    run, order = scene.whole()
    assert time.monotonic() - begun >= 1
    assert (order, scene.left(run).status) == (PLAIN, "completed")


# ---------------------------------------------------------------- what does not


class Weather(Struct, frozen=True):
    """What an upstream does, and what becomes of the run."""

    turns: list[Turn]
    order: str
    message: str
    said: Sequence[tuple[str, str | None]] = []
    steps: Sequence[tuple[str, str]] = []
    code: str = "server_error"
    kind: str = "sky"


NAME = "The provider 'sky' "
BROKE_OFF = NAME + "broke off before its answer was complete."
MALFORMED = NAME + "sent something that is not a chat completion: {oops"
WHAT_TO_RAISE = "If it needs longer, raise its read_timeout."
SILENT = f"The provider 'impatient' sent nothing for {SILENCE} seconds. {WHAT_TO_RAISE}"
FAILED_MESSAGE = [("message_creation", "failed")]
FAILED_CALLS = [("tool_calls", "failed")]
HALF = [("Half an ans", "run_failed")]
WEATHERS = {
    "429 for ever": Weather(
        [Error(429, "Slow down", code="rate_limit_exceeded")] * 2,
        AT_ONCE, "Slow down", code="rate_limit_exceeded",
    ),
    "a quota that is used up": Weather(
        [Error(429, "You exceeded your current quota.", code="insufficient_quota")],
        AT_ONCE, "You exceeded your current quota.", code="rate_limit_exceeded",
    ),
    "500 for ever": Weather([Error(500, "down")] * 2, AT_ONCE, NAME + "failed (500): down"),
    "400": Weather(
        [Error(400, "Unknown field: top_k")],
        AT_ONCE, NAME + "refused the request (400): Unknown field: top_k",
    ),
    "a prompt that is too long": Weather(
        [Error(400, "Too long.", code="context_length_exceeded")],
        AT_ONCE, "Too long.", code="invalid_prompt",
    ),
    "401": Weather(
        [Error(401, f"Incorrect API key provided: {SECRET}.", code="invalid_api_key")],
        AT_ONCE, NAME + "does not take this server's key (401). Check api_key in [providers.sky].",
    ),
    "a key in the message": Weather(
        [Error(400, f"You sent {SECRET} twice")],
        AT_ONCE, NAME + "refused the request (400): You sent *** twice",
    ),
    "hanging up for ever": Weather([Hangup()] * 2, AT_ONCE, BROKE_OFF),
    "no answer at all": Weather([Bytes()] * 2, AT_ONCE, NAME + "sent an empty answer."),
    "silence before the first word": Weather(
        [Say("Hello", before=Gate())], AT_ONCE, SILENT, kind="impatient",
    ),
    "silence in a message": Weather(
        [Say("Half an ans", Gate(), "wer")],
        IN_A_MESSAGE, SILENT, HALF, FAILED_MESSAGE, kind="impatient",
    ),
    "hanging up in a message": Weather(
        [Say("Half ", "an ans", Cut())], IN_A_MESSAGE, BROKE_OFF, HALF, FAILED_MESSAGE,
    ),
    "hanging up in a call": Weather(
        [Say(Call("weather", '{"in":'), Cut())], IN_A_CALL, BROKE_OFF, [], FAILED_CALLS,
    ),
    "hanging up in a call after a message": Weather(
        [Say("One moment.", Call("weather", '{"in":'), Cut())],
        AFTER_A_MESSAGE, BROKE_OFF, [("One moment.", None)],
        [("message_creation", "completed"), *FAILED_CALLS],
    ),
    "a malformed chunk": Weather([Bytes(b"data: {oops\n\n")], AT_ONCE, MALFORMED),
    "a malformed chunk in a message": Weather(
        [Say("Half an ans", Raw(b"data: {oops\n\n"))], IN_A_MESSAGE, MALFORMED, HALF, FAILED_MESSAGE,
    ),
    "an error in a message": Weather(
        [Say("Half an ans", Raw(OVERLOADED))],
        IN_A_MESSAGE, NAME + "failed (503): overloaded", HALF, FAILED_MESSAGE,
    ),
    "a limit in a message": Weather(
        [Say("Half an ans", Raw(b'data: {"error":{"message":"Slow down","code":"429"}}\n\n'))],
        IN_A_MESSAGE, "Slow down", HALF, FAILED_MESSAGE, code="rate_limit_exceeded",
    ),
}  # fmt: skip


@pytest.mark.promise("runs.weather.failures")
@pytest.mark.parametrize("name", WEATHERS)
def test_a_failure_ends_the_run_and_loses_nothing(on_sqlite: Setting, name: str):
    weather = WEATHERS[name]
    scene = on_sqlite(weather.kind)
    scene.says(*weather.turns)
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status) == (weather.order, "failed")
    assert left.run["last_error"] == {"code": weather.code, "message": weather.message}
    assert (left.messages, left.steps) == (weather.said, weather.steps)
    assert left.tokens == (0, 0)
    assert len(scene.asked) == len(weather.turns)
    assert SECRET not in str(left.run)


@pytest.mark.promise("runs.weather.failures")
def test_a_failure_after_outputs_keeps_what_came_before(each: Scene):
    each.says(Say(Call("weather", "{}")), Say("Half an ans", Cut()))
    run, _ = each.whole()
    with each.answered(run, "sunny") as stream:
        assert stream.rest() == "sQImpcidnfF."
    left = each.left(run)
    assert (left.status, left.run["last_error"]["message"]) == ("failed", BROKE_OFF)
    assert left.steps == [("tool_calls", "completed"), *FAILED_MESSAGE]
    assert (left.messages, left.tokens) == (HALF, (20, 10))


@pytest.mark.promise("runs.weather.failures")
def test_a_failed_run_does_not_harm_the_next_one(scene: Scene):
    scene.says(Say("Half an ans", Cut()), Say("Good morning."))
    scene.left(scene.whole()[0])
    run, order = scene.whole()
    assert (order, scene.left(run).messages) == (PLAIN, [("Good morning.", None)])
    told = [(one["role"], one["content"]) for one in scene.asked[1]["messages"]]
    assert told[1:] == [("assistant", "Half an ans"), ("user", "The thread is free.")]


@pytest.mark.promise("runs.weather.failures")
def test_an_upstream_at_which_nobody_listens(on_sqlite: Setting):
    scene = on_sqlite("gone")
    run, order = scene.whole()
    left = scene.left(run)
    there = scene.house.settings.providers["gone"].base_url.removeprefix("http://").removesuffix("/v1")
    assert (order, left.status, left.steps) == (AT_ONCE, "failed", [])
    assert left.run["last_error"] == {
        "code": "server_error",
        "message": f"The provider 'gone' cannot be reached at {there}: connection refused. Check base_url in "
        "[providers.gone], and that it runs.",
    }


@pytest.mark.promise("runs.weather.unknown-model")
def test_a_model_that_no_provider_has(on_sqlite: Setting):
    scene = on_sqlite("unheard-of")
    run, order = scene.whole()
    left = scene.left(run)
    assert (order, left.status, left.steps, left.messages) == (AT_ONCE, "failed", [], [])
    assert left.run["last_error"] == {
        "code": "server_error",
        "message": f"No provider of this server has the model '{scene.model}'. Set "
        "THREADKEEP_UPSTREAM_BASE_URL, or give the model a provider in threadkeep.toml under [models]; the "
        "model 'echo' needs neither.",
    }
    assert left.tokens == (0, 0)
