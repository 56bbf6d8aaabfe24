"""Which provider has a model, and what there is to ask for."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.providers.conftest import all_pieces, text_of
from tests.support.clock import SetClock
from tests.support.upstream import Error, Say, Upstream, closed_port
from threadkeep.providers.base import ModelFailure
from threadkeep.providers.chat import ChatProvider
from threadkeep.providers.echo import Echo
from threadkeep.providers.patience import Patience
from threadkeep.providers.registry import Registry, VirtualKeyOpener
from threadkeep.settings import BadSettings, ProviderSettings, Settings

pytestmark = [pytest.mark.anyio, pytest.mark.promise("providers.routes")]

Make = Callable[..., Registry]


@pytest.fixture
async def registry() -> AsyncIterator[Make]:
    """Makes registries from settings, and closes them."""
    made = []

    def make(
        open_key: VirtualKeyOpener | None = None, clock: SetClock | None = None, **settings: Any
    ) -> Registry:
        environment = {"ONE_KEY": " sk-one\n", "EMPTY": ""}
        made.append(
            Registry(
                Settings(**settings),
                clock or SetClock(),
                open_key,
                patience=Patience(base=0.0),
                environment=environment,
            )
        )
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def other() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def at(url: str, **settings: Any) -> ProviderSettings:
    return ProviderSettings(base_url=url, **settings)


async def asked(registry: Registry, model: str, virtual_key: str | None = None) -> str:
    """What a model answers."""
    target = await registry.target(model, virtual_key)
    return text_of(await all_pieces(target.provider))


async def where(registry: Registry, model: str) -> tuple[str, str]:
    target = await registry.target(model, None)
    return target.provider.name, target.model


# ---------------------------------------------------------------- where a model is


@pytest.mark.promise("providers.echo")
async def test_echo_is_always_there(registry):
    for settings in ({}, {"upstream_base_url": "http://x/v1"}):
        target = await registry(**settings).target("echo", None)
        assert isinstance(target.provider, Echo)
        assert (target.model, target.context_tokens) == ("echo", 128_000)


async def test_without_a_provider_a_sentence_says_what_to_set(registry):
    with pytest.raises(ModelFailure) as failure:
        await registry().target("gpt-4o", None)
    assert failure.value.code == "server_error"
    assert failure.value.message == (
        "No provider of this server has the model 'gpt-4o'. Set THREADKEEP_UPSTREAM_BASE_URL, or give the "
        "model a provider in threadkeep.toml under [models]; the model 'echo' needs neither."
    )


async def test_the_upstream_has_every_model(registry, up: Upstream):
    up.script(Say("Hello"))
    one = registry(upstream_base_url=up.url, upstream_api_key="sk-up")
    assert await asked(one, "whatever/model") == "Hello"
    assert up.requests[0].headers["Authorization"] == "Bearer sk-up"


async def test_names_then_long_patterns_then_short_ones(registry):
    one = registry(
        upstream_base_url="http://x/v1",
        providers={name: at("http://x/v1", context_tokens=1000 + n) for n, name in enumerate("abc")},
        models={
            "*": "a",
            "gpt-*": "b",
            "gpt-4o*": "c",
            "gpt-4o": "b:openai/gpt-4o:latest",
            "demo-*": "echo",
            "up-?": "upstream",
        },
    )
    assert await where(one, "llama") == ("a", "llama")
    assert await where(one, "gpt-4") == ("b", "gpt-4")
    assert await where(one, "gpt-4o-mini") == ("c", "gpt-4o-mini")
    assert await where(one, "gpt-4o") == ("b", "openai/gpt-4o:latest")
    assert await where(one, "GPT-4o") == ("a", "GPT-4o")
    assert await where(one, "demo-1") == ("echo", "echo")
    assert await where(one, "up-1") == ("upstream", "up-1")
    assert (await one.target("gpt-4o-mini", None)).context_tokens == 1002


async def test_what_no_pattern_matches_goes_to_the_upstream_or_nowhere(registry):
    providers, models = {"a": at("http://x/v1")}, {"gpt-*": "a"}
    one = registry(providers=providers, models=models, upstream_base_url="http://y/v1")
    assert await where(one, "llama") == ("upstream", "llama")
    with pytest.raises(ModelFailure, match="llama"):
        await registry(providers=providers, models=models).target("llama", None)


async def test_a_provider_is_one_for_all_its_turns(registry):
    one = registry(upstream_base_url="http://x/v1")
    assert (await one.target("a", None)).provider is (await one.target("b", None)).provider


async def test_a_key_in_the_environment(registry, up: Upstream):
    up.script(Say("Hello"))
    one = registry(providers={"a": at(up.url, api_key_env="ONE_KEY")}, models={"*": "a"})
    await asked(one, "gpt-4o")
    assert up.requests[0].headers["Authorization"] == "Bearer sk-one"


@pytest.mark.parametrize(
    ("settings", "to_check"),
    [
        (
            lambda url: {"upstream_base_url": url},
            ["THREADKEEP_UPSTREAM_API_KEY", "THREADKEEP_UPSTREAM_BASE_URL"],
        ),
        (
            lambda url: {"providers": {"a": at(url, api_key_env="ONE_KEY")}, "models": {"*": "a"}},
            ["ONE_KEY", "base_url in [providers.a]"],
        ),
        (
            lambda url: {"providers": {"a": at(url)}, "models": {"*": "a"}},
            ["api_key in [providers.a]", "base_url in [providers.a]"],
        ),
    ],
)  # fmt: skip
async def test_failures_name_the_setting_to_check(registry, up: Upstream, settings, to_check):
    up.script(Error(401), Error(404))
    one = registry(**settings(up.url))
    for setting in to_check:
        with pytest.raises(ModelFailure) as failure:
            await asked(one, "gpt-4o")
        assert setting in failure.value.message


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"models": {"gpt-*": "openai"}},
            "models: 'gpt-*' leads to 'openai', but no provider has that name.",
        ),
        (
            {"models": {"gpt-*": "upstream"}},
            "models: 'gpt-*' leads to 'upstream', but no provider has that name.",
        ),
        (
            {"providers": {"a": at("http://x", api_key_env="NOT_SET")}},
            "providers.a: the environment variable NOT_SET is not set.",
        ),
        (
            {"providers": {"a": at("http://x", api_key_env="EMPTY")}},
            "providers.a: the environment variable EMPTY is not set.",
        ),
        (
            {"providers": {"a": at("http://x", api_key="x", api_key_env="ONE_KEY")}},
            "providers.a: api_key and api_key_env are both set; one is enough.",
        ),
        (
            {"providers": {"echo": at("http://x")}},
            "providers.echo: this name is the server's own; give the provider another.",
        ),
        (
            {"upstream_base_url": "http://x", "providers": {"upstream": at("http://x")}},
            "providers.upstream: this name is the server's own; give the provider another.",
        ),
        ({"upstream_api_key": "x"}, "upstream_api_key is set, but upstream_base_url is not."),
        (
            {"upstream_base_url": "localhost:8080"},
            "The provider 'upstream' needs a base_url such as https://host/v1: http or https, and no user "
            "name, query or fragment.",
        ),
    ],
)
async def test_settings_that_cannot_be_used_stop_the_start(registry, settings, complaint):
    with pytest.raises(BadSettings) as refused:
        registry(**settings)
    assert str(refused.value) == complaint


# ---------------------------------------------------------------- virtual keys


def keys(**opened: tuple[str, str]) -> VirtualKeyOpener:
    async def open_key(id: str) -> tuple[str, str]:
        return opened[id]

    return open_key


@pytest.mark.promise("providers.virtual-keys")
async def test_a_virtual_key_leads_to_its_provider_with_its_secret(registry, up: Upstream):
    up.script(Say("Hello"), Say("Hello"))
    one = registry(
        keys(k1=("a", "sk-of-key"), k2=(up.url, "sk-direct")),
        providers={"a": at(up.url, api_key="sk-own", context_tokens=5000), "b": at("http://x/v1")},
        models={"gpt-*": "b", "mine": "a:theirs"},
    )
    assert await asked(one, "gpt-4o", "k1") == "Hello"
    assert await asked(one, "gpt-4o", "k2") == "Hello"
    keys_sent = [asked.headers["Authorization"] for asked in up.requests]
    assert keys_sent == ["Bearer sk-of-key", "Bearer sk-direct"]
    assert (await one.target("mine", "k1")).model == "theirs"
    assert (await one.target("gpt-4o", "k1")).context_tokens == 5000
    assert (await one.target("mine", "k2")).model == "mine"


@pytest.mark.promise("providers.virtual-keys")
async def test_a_virtual_key_has_connections_of_its_own_and_keeps_them(registry):
    opened = {"k1": ("a", "one")}
    one = registry(keys_of(opened), providers={"a": at("http://x/v1")}, models={"*": "a"})
    first = (await one.target("m", "k1")).provider
    assert (await one.target("m", "k1")).provider is first
    assert (await one.target("m", None)).provider is not first
    opened["k1"] = ("a", "two")
    assert (await one.target("m", "k1")).provider is not first


def keys_of(opened: dict[str, tuple[str, str]]) -> VirtualKeyOpener:
    async def open_key(id: str) -> tuple[str, str]:
        return opened[id]

    return open_key


@pytest.mark.promise("providers.virtual-keys")
async def test_a_virtual_key_leaves_echo_alone(registry):
    one = registry(keys(k1=("a", "sk-x")), providers={"a": at("http://x/v1")})
    assert isinstance((await one.target("echo", "k1")).provider, Echo)


@pytest.mark.promise("providers.virtual-keys")
@pytest.mark.parametrize(
    ("place", "secret", "complaint"),
    [
        ("gone", "x", "The virtual key is for the provider 'gone', which this server does not have. Add "
         "[providers.gone] to threadkeep.toml."),
        ("http://", "x", "needs a base_url"),
        ("http://x/v1", "two words", "has spaces"),
    ],
)  # fmt: skip
async def test_a_virtual_key_that_leads_nowhere(registry, place, secret, complaint):
    with pytest.raises(ModelFailure) as failure:
        await registry(keys(k1=(place, secret))).target("m", "k1")
    assert failure.value.code == "server_error"
    assert complaint in failure.value.message
    assert secret not in failure.value.message or secret == "x"


@pytest.mark.promise("providers.virtual-keys")
async def test_a_server_without_virtual_keys(registry):
    with pytest.raises(ModelFailure, match="no virtual keys"):
        await registry(upstream_base_url="http://x/v1").target("m", "k1")


@pytest.mark.promise("providers.virtual-keys")
async def test_failures_name_the_virtual_key(registry, up: Upstream):
    up.script(Error(401))
    with pytest.raises(ModelFailure, match="Check the secret of the virtual key"):
        await asked(registry(keys(k1=(up.url, "x"))), "m", "k1")


# ---------------------------------------------------------------- what there is

LISTS = pytest.mark.promise("models.list")
ECHO = {"id": "echo", "object": "model", "created": 0, "owned_by": "threadkeep"}


def ids(models: list[dict[str, Any]]) -> list[str]:
    return [model["id"] for model in models]


@LISTS
async def test_without_a_provider_there_is_echo(registry):
    assert await registry().models() == [ECHO]


@LISTS
async def test_names_of_the_settings_and_lists_of_providers(registry, up: Upstream, other: Upstream):
    up.models = ["gpt-4o", "whisper", "echo", "mine"]
    other.models = ["llama", "gpt-4o"]
    one = registry(
        upstream_base_url=up.url,
        providers={"local": at(other.url), "unused": at(closed_port())},
        models={"mine": "local:llama", "llama*": "local", "renamed-*": "unused:x", "demo": "echo"},
    )
    listed = await one.models()
    assert ids(listed) == ["echo", "demo", "mine", "llama", "gpt-4o", "whisper"]
    assert listed[0] == ECHO
    assert listed[2] == {"id": "mine", "object": "model", "created": 0, "owned_by": "local"}


@LISTS
async def test_lists_are_kept_for_a_minute(registry, up: Upstream):
    clock = SetClock()
    one = registry(clock=clock, upstream_base_url=up.url)
    for _ in range(3):
        assert ids(await one.models()) == ["echo", "gpt-4o", "gpt-4o-mini"]
    clock.advance(59)
    await one.models()
    assert len(up.listings) == 1
    clock.advance(1)
    up.models = ["new"]
    assert ids(await one.models()) == ["echo", "new"]


@LISTS
async def test_a_list_that_cannot_be_had_is_left_out(registry, up: Upstream):
    one = registry(
        upstream_base_url=up.url,
        providers={"a": at(closed_port()), "b": at(up.url)},
        models={"a-*": "a", "b-*": "b"},
    )
    up.models = Error(500)
    assert await one.models() == [ECHO]
    assert len(up.listings) == 2


async def test_closing_without_having_asked_anybody(registry):
    provider = (await registry(upstream_base_url="http://x/v1").target("m", None)).provider
    assert isinstance(provider, ChatProvider)
