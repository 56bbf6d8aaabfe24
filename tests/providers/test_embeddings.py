"""Embeddings: texts in batches, vectors in the order of the texts, and what is said when there are none."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.providers.conftest import At
from tests.support.child import Child
from tests.support.clock import SetClock
from tests.support.upstream import (
    Asked,
    Bytes,
    Cut,
    Error,
    Gate,
    Hangup,
    Turn,
    Upstream,
    Vectors,
    closed_port,
    vector_of,
)
from tests.support.waiting import until
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.ids import id_maker
from threadkeep.providers.base import ModelFailure
from threadkeep.providers.embeddings import MOST_BYTES, Embeddings, batches
from threadkeep.providers.registry import Registry
from threadkeep.settings import BadSettings, ProviderSettings, Settings

pytestmark = [pytest.mark.anyio, pytest.mark.promise("embeddings.vectors")]

FAILURES = pytest.mark.promise("embeddings.failures")
SETTINGS = pytest.mark.promise("embeddings.settings")
TEXTS = ["the cat sat", "a dog ran", "über den Fluß", "cat and dog", "nothing of all this"]
LIST = json.dumps({"object": "list", "data": []}).encode()


class Here(At):
    """An embedder of the test's own."""

    def __init__(
        self, base_url: str, *, dimensions: int | None = None, batch: int = 100, **settings: Any
    ) -> None:
        super().__init__(base_url, **settings)
        self.embedder = Embeddings(self.server, "small", dimensions, batch)

    async def __aenter__(self) -> "Here":
        return self

    async def refusal(self, *texts: str) -> ModelFailure:
        with pytest.raises(ModelFailure) as failure:
            await self.embedder.embed(texts or TEXTS)
        return failure.value


def backwards(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return data[::-1]


def without_index(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"embedding": one["embedding"]} for one in data]


# ---------------------------------------------------------------- what is asked, and what comes


@pytest.mark.parametrize(
    "answer",
    [Vectors(), Vectors(base64=True), Vectors(change=backwards), Vectors(change=without_index)],
    ids=["numbers", "base64", "in any order", "without index"],
)
async def test_each_text_gets_its_vector(up: Upstream, answer: Turn):
    up.script(answer)
    async with Here(up.url, api_key="the-key") as here:
        assert await here.embedder.embed(TEXTS) == [vector_of(text, 8) for text in TEXTS]
    [asked] = up.requests
    assert (asked.method, asked.path, asked.json) == (
        "POST",
        "/v1/embeddings",
        {"model": "small", "input": TEXTS},
    )
    assert asked.headers["Authorization"] == "Bearer the-key"


async def test_nothing_is_asked_for_no_texts(up: Upstream):
    async with Here(up.url) as here:
        assert await here.embedder.embed([]) == []
    assert up.requests == []


async def test_dimensions_are_asked_for(up: Upstream):
    up.script(Vectors())
    async with Here(up.url, dimensions=3) as here:
        assert await here.embedder.embed(["a cat"]) == [vector_of("a cat", 3)]
    assert up.bodies[0]["dimensions"] == 3


async def test_azure_has_an_address_for_each_deployment(up: Upstream):
    up.script(Vectors())
    async with Here(up.origin, kind="azure", api_key="the-key") as here:
        await here.embedder.embed(["a cat"])
    [asked] = up.requests
    assert asked.path == "/openai/deployments/small/embeddings"
    assert asked.query == {"api-version": "2024-10-21"}
    assert asked.headers["api-key"] == "the-key"


@pytest.mark.promise("embeddings.batches")
async def test_many_texts_go_in_batches_and_keep_their_order(up: Upstream):
    texts = [f"text number {number}" for number in range(23)]
    up.always(Vectors())
    async with Here(up.url, batch=5) as here:
        assert await here.embedder.embed(texts) == [vector_of(text, 8) for text in texts]
    sent = sorted(up.bodies, key=lambda body: texts.index(body["input"][0]))
    assert [body["input"] for body in sent] == [texts[at : at + 5] for at in range(0, 23, 5)]


@pytest.mark.promise("embeddings.batches")
def test_a_batch_has_no_more_bytes_than_it_may():
    assert list(batches(["aa", "ä", "b", "cccccc", "d", "e", "f"], 2, 4)) == [
        ["aa", "ä"],
        ["b"],
        ["cccccc"],
        ["d", "e"],
        ["f"],
    ]
    half = "x" * (MOST_BYTES // 2)
    assert [len(some) for some in batches([half] * 5, 100)] == [2, 2, 1]


@pytest.mark.promise("embeddings.batches")
async def test_four_requests_are_under_way_at_a_time(up: Upstream):
    gate = Gate()
    up.always(Vectors(before=gate))
    async with Here(up.url, batch=1) as here:
        task = asyncio.ensure_future(here.embedder.embed(TEXTS + TEXTS))
        await asyncio.to_thread(until, lambda: len(up.requests) == 4)
        gate.open()
        assert await task == [vector_of(text, 8) for text in TEXTS + TEXTS]
    assert len({asked.peer for asked in up.requests}) <= 4


async def test_connections_are_used_again(up: Upstream):
    up.script(Vectors(), Vectors(), Vectors())
    async with Here(up.url) as here:
        for _ in range(3):
            await here.embedder.embed(TEXTS)
    assert len({asked.peer for asked in up.requests}) == 1


# ---------------------------------------------------------------- what goes wrong


@FAILURES
@pytest.mark.parametrize(
    "bad", [Error(429), Error(500), Error(503), Hangup(), Bytes(b""), Bytes(b'{"da', Cut())]
)
async def test_what_may_pass_is_asked_again(up: Upstream, bad: Turn):
    up.script(bad, bad, Vectors())
    async with Here(up.url) as here:
        assert await here.embedder.embed(TEXTS) == [vector_of(text, 8) for text in TEXTS]
    assert up.bodies == [up.bodies[0]] * 3
    assert here.pauses == [0.5, 1.0]


@FAILURES
@pytest.mark.parametrize("bad", [Error(408), Error(429), Error(503), Hangup(), Bytes(b"")])
async def test_what_may_pass_is_told_from_what_will_not(up: Upstream, bad: Turn):
    up.script(bad)
    async with Here(up.url, max_retries=0) as here:
        assert (await here.refusal()).passes


@FAILURES
@pytest.mark.parametrize(
    "bad", [Error(429, code="insufficient_quota"), Error(500, "maximum context length"), Bytes(b"<html>")]
)
async def test_what_no_waiting_lifts_does_not_pass(up: Upstream, bad: Turn):
    up.script(bad)
    async with Here(up.url, max_retries=0) as here:
        assert not (await here.refusal()).passes


@FAILURES
async def test_a_batch_is_sent_again_by_itself(up: Upstream):
    failed: list[Asked] = []

    def answer(asked: Asked) -> Turn:
        if asked.json["input"] == TEXTS[2:4] and not failed:
            failed.append(asked)
            return Error(429, headers={"retry-after": "7"})
        return Vectors()

    up.always(answer)
    async with Here(up.url, batch=2) as here:
        assert await here.embedder.embed(TEXTS) == [vector_of(text, 8) for text in TEXTS]
    assert (len(up.requests), here.pauses) == (4, [7.0])


@FAILURES
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_will_not_pass_is_asked_once(up: Upstream, status: int):
    up.script(Error(status, "No."))
    async with Here(up.url) as here:
        failure = await here.refusal()
    assert "The provider 'there'" in failure.message or failure.message == "No."
    assert not failure.passes
    assert len(up.requests) == 1


@FAILURES
async def test_one_batch_that_fails_ends_the_others(up: Upstream):
    gate = Gate()
    up.always(lambda asked: Error(400) if TEXTS[1] in asked.json["input"] else Vectors(before=gate))
    async with Here(up.url, batch=1) as here:
        await here.refusal()
        held = [asked for asked in up.requests if TEXTS[1] not in asked.json["input"]]
        await asyncio.to_thread(until, lambda: all(asked.hung_up.is_set() for asked in held))


@FAILURES
async def test_an_upstream_that_is_not_there():
    async with Here(closed_port(), max_retries=1) as here:
        failure = await here.refusal()
    assert failure.code == "server_error"
    assert "cannot be reached" in failure.message
    assert failure.passes
    assert here.pauses == [0.5]


@FAILURES
async def test_silence(up: Upstream):
    gate = Gate()
    up.script(Vectors(before=gate))
    async with Here(up.url, read_timeout=0.05) as here:
        failure = await here.refusal()
    assert failure.message.startswith("The provider 'there' sent nothing for 0.05 seconds.")
    assert failure.passes


def changed(**changes: Any) -> Any:
    return lambda data: [{**data[0], **changes}, *data[1:]]


@FAILURES
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Bytes(b"<html>"), "JSON is malformed"),
        (Bytes(b"{}"), "missing required field `data`"),
        (Bytes(LIST), "0 vectors for 5 texts"),
        (Vectors(change=lambda data: data[1:]), "4 vectors for 5 texts"),
        (Vectors(change=changed(index=1)), "their indexes do not say which text is whose"),
        (Vectors(change=changed(index=-1)), "their indexes do not say which text is whose"),
        (Vectors(change=changed(embedding=[1.0])), "vectors of 1, 8 numbers"),
        (Vectors(change=changed(embedding=[])), "vectors of 0, 8 numbers"),
        (Vectors(change=changed(embedding="!")), "base64"),
        (Vectors(change=changed(embedding="AACAfw==")), "something in it that is no number"),
        (Vectors(change=changed(embedding=[None] * 8)), "Expected `float`, got `null` - at `$.data[0]."),
    ],
)
async def test_what_is_no_list_of_vectors_is_refused(up: Upstream, answer: Turn, said: str):
    up.script(answer)
    async with Here(up.url) as here:
        failure = await here.refusal()
    assert failure.code == "server_error"
    assert failure.message.startswith(
        "The provider 'there' sent something that is not a list of embeddings: "
    )
    assert said in failure.message
    assert len(up.requests) == 1


@FAILURES
async def test_vectors_of_another_length_than_the_settings_say_are_refused(up: Upstream):
    up.script(Vectors(change=lambda data: [{**one, "embedding": [1.0, 0.0]} for one in data]))
    async with Here(up.url, dimensions=3) as here:
        failure = await here.refusal("a cat")
    assert "vectors of 2 numbers, where embedding_dimensions is 3" in failure.message


@FAILURES
async def test_no_key_is_ever_told(up: Upstream):
    up.script(Error(400, "The key sk-very-secret is not good for this"))
    async with Here(up.url, api_key="sk-very-secret") as here:
        assert "secret" not in (await here.refusal()).message


# ---------------------------------------------------------------- settings


def registry(up: Upstream, **settings: Any) -> tuple[Registry, Settings]:
    there = {"there": ProviderSettings(base_url=up.url), "other": ProviderSettings(base_url=closed_port())}
    given = Settings(providers=there, **settings)
    return Registry(given, SetClock(), environment={}), given


@SETTINGS
@pytest.mark.parametrize(
    ("models", "there"),
    [
        ({"text-embedding-*": "there", "*": "other"}, "text-embedding-3-small"),
        ({"text-embedding-3-small": "there:nomic-embed-text", "*": "other"}, "nomic-embed-text"),
    ],
)
async def test_the_model_leads_to_a_provider(up: Upstream, models: dict[str, str], there: str):
    up.script(Vectors())
    providers, settings = registry(up, models=models, embedding_model="text-embedding-3-small")
    embedder = providers.embedder(settings)
    assert embedder
    assert (embedder.model, embedder.dimensions) == (there, None)
    await embedder.embed(["a cat"])
    await providers.close()
    assert up.bodies[0]["model"] == there


@SETTINGS
async def test_what_nothing_matches_goes_to_the_upstream(up: Upstream):
    up.script(Vectors())
    settings = Settings(
        upstream_base_url=up.url, embedding_model="e", embedding_dimensions=2, embedding_batch=3
    )
    providers = Registry(settings, SetClock(), environment={})
    embedder = providers.embedder(settings)
    assert embedder
    assert await embedder.embed(["a cat"]) == [vector_of("a cat", 2)]
    await providers.close()


@SETTINGS
def test_without_a_model_there_is_no_embedder(up: Upstream):
    providers, settings = registry(up)
    assert providers.embedder(settings) is None


@SETTINGS
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"embedding_model": "e"}, "embedding_model is 'e', but no provider of this server has it."),
        ({"embedding_model": "echo"}, "'echo'; it has no embeddings"),
        ({"embedding_model": "e", "models": {"e": "echo"}}, "'echo'; it has no embeddings"),
    ],
)
def test_a_model_that_leads_nowhere_stops_the_start(up: Upstream, settings: Any, said: str):
    providers, given = registry(up, **settings)
    with pytest.raises(BadSettings, match=said):
        providers.embedder(given)


def local(directory: Path, **settings: Any) -> Settings:
    return Settings(
        database_url=f"sqlite:///{directory}/x.db", files_url=f"file:///{directory}/files", **settings
    )


@SETTINGS
async def test_the_context_has_the_embedder(up: Upstream, tmp_path: Path):
    settings = local(tmp_path, upstream_base_url=up.url, embedding_model="e")
    async with open_context(settings, system_clock, id_maker(system_clock)) as context:
        assert context.embedder
        assert context.embedder.model == "e"


@SETTINGS
@pytest.mark.parametrize(("model", "told"), [("", True), ("e", False)])
def test_a_server_without_embeddings_says_so_at_the_start(
    up: Upstream, tmp_path: Path, model: str, told: bool
):
    variables = {"THREADKEEP_UPSTREAM_BASE_URL": up.url, "THREADKEEP_EMBEDDING_MODEL": model}
    with Child(tmp_path, **variables) as child:
        child.stop()
    assert ("search is lexical alone" in child.log) == told
