"""docs/providers.md: every snippet is read by the server's own loader, and a turn is run with it."""

import re
from pathlib import Path

import msgspec
import pytest

from tests.providers.conftest import HI, all_pieces, text_of
from tests.support.clock import SetClock
from tests.support.upstream import Say, Upstream
from threadkeep.providers.base import ChatRequest
from threadkeep.providers.echo import Echo
from threadkeep.providers.registry import Registry
from threadkeep.settings import ProviderSettings, Settings, load

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text("utf-8")
SNIPPETS = re.findall(r"^#+ ([^\n]+)\n(?:(?!^#+ ).)*?^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KINDS = {
    "OpenAI",
    "Azure OpenAI",
    "vLLM",
    "Ollama",
    "LM Studio",
    "llama.cpp",
    "Groq",
    "Portkey's gateway",
    "LiteLLM",
}

pytestmark = [pytest.mark.anyio, pytest.mark.promise("providers.kinds")]


def test_there_is_a_snippet_for_every_kind():
    assert {heading for heading, _ in SNIPPETS} == KINDS | {"Several providers"}
    assert len(SNIPPETS) == PAGE.count("```toml")


def redirected(settings: Settings, up: Upstream) -> Settings:
    """The same settings with every provider at the scripted upstream."""
    providers = {
        name: msgspec.structs.replace(one, base_url=up.origin if one.kind == "azure" else up.url)
        for name, one in settings.providers.items()
    }
    return msgspec.structs.replace(settings, providers=providers)


@pytest.mark.parametrize(("heading", "snippet"), SNIPPETS, ids=[heading for heading, _ in SNIPPETS])
async def test_a_snippet_leads_to_an_answer(up: Upstream, tmp_path: Path, heading: str, snippet: str):
    (tmp_path / "threadkeep.toml").write_text(snippet)
    settings = load({"config": str(tmp_path / "threadkeep.toml")}, {})
    environment = {one.api_key_env: "the-key" for one in settings.providers.values() if one.api_key_env}
    Registry(settings, SetClock(), environment=environment)  # takes the snippet's own addresses
    registry = Registry(redirected(settings, up), SetClock(), environment=environment)
    for pattern, value in settings.models.items():
        name, _, there = value.partition(":")
        model = pattern.replace("*", "x").replace("[0-9]", "3")
        up.script(Say("Hello"))
        target = await registry.target(model, None)
        asked = ChatRequest(model=target.model, messages=HI, max_completion_tokens=9)
        assert text_of(await all_pieces(target.provider, asked)) == "Hello"
        check(up, settings.providers[name], there or model)
    await registry.close()


def check(up: Upstream, settings: ProviderSettings, model: str) -> None:
    """The last request is what such a server takes."""
    asked = up.requests[-1]
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert asked.json["model"] == model
    assert asked.json[settings.max_tokens_field] == 9
    if settings.kind == "azure":
        assert asked.path == f"/openai/deployments/{model}/chat/completions"
        assert headers["api-key"] == "the-key"
    else:
        assert asked.path == "/v1/chat/completions"
        assert headers.get("authorization") == ("Bearer the-key" if settings.api_key_env else None)
    assert headers.items() >= settings.headers.items()


def test_the_table_of_settings_is_the_whole():
    table = re.search(r"^\| setting of a provider .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert table
    named = re.findall(r"^\| `(\w+)`", table[0], re.MULTILINE)
    assert sorted(named) == sorted(ProviderSettings.__struct_fields__)


async def test_echo_may_have_other_names():
    [line] = re.findall(r"`(\"demo-\*\" = \"echo\")`", PAGE)
    models = msgspec.toml.decode(line)
    target = await Registry(Settings(models=models), SetClock()).target("demo-1", None)
    assert isinstance(target.provider, Echo)
