"""Every provider that is configured, and which of them has a model."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.providers.base import Embedder, ModelFailure, Provider, Target
from threadkeep.providers.echo import CONTEXT_TOKENS, MODEL, Echo
from threadkeep.providers.local.embeddings import LOCAL, LocalEmbeddings
from threadkeep.providers.patience import Patience
from threadkeep.settings import BadSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from threadkeep.providers.chat import ChatProvider

log = logging.getLogger(__name__)

VirtualKeyOpener = Callable[[str], Awaitable[tuple[str, str]]]
"""From a virtual key's id to a provider's name (or the base URL of one that is not configured) and the
secret to use there. Raises `ModelFailure` for a key that is gone or cannot be read."""

UPSTREAM = "upstream"
"""What the provider of `upstream_base_url` is called."""
SECONDS_LISTS_ARE_KEPT = 60
WHAT_TO_SET = (
    "Set THREADKEEP_UPSTREAM_BASE_URL, or give the model a provider in threadkeep.toml under [models]; "
    "the model 'echo' needs neither."
)


class Route(Struct, frozen=True):
    """Where a model is: a provider by its name, and what the model is called there (None: the same)."""

    provider: str
    model: str | None = None


class Registry:
    """The `Providers` of a server. `open_key` opens virtual keys. Raises `BadSettings`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        open_key: VirtualKeyOpener | None = None,
        *,
        patience: Patience | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._clock, self._open_key = clock, open_key
        self._patience = patience or Patience(seconds=settings.run_expires_after)
        self._configured = {
            name: with_key(name, one, environment) for name, one in every_provider(settings).items()
        }
        self._routes = routes_of(settings.models, {MODEL, *self._configured})
        self._fallback = Route(UPSTREAM) if settings.upstream_base_url else None
        self._echo = Echo()
        self._providers = {name: self._made(name, one) for name, one in self._configured.items()}
        self._of_keys: dict[tuple[str, str, str], ChatProvider] = {}
        self._lists = Lists(clock)
        self._local: LocalEmbeddings | None = None

    def _made(
        self, name: str, settings: ProviderSettings, to_check: Mapping[str, str] | None = None
    ) -> "ChatProvider":
        from threadkeep.providers.chat import ChatProvider  # aiohttp is not loaded without need
        from threadkeep.providers.upstream import Upstream

        to_check = to_check or settings_to_check(name, settings)
        return ChatProvider(Upstream(name, settings, self._clock, self._patience, **to_check))

    async def target(self, model: str, virtual_key: str | None) -> Target:
        """Where a model is, with the virtual key of that id or without. Raises `ModelFailure`."""
        route = self._route(model)
        if route and route.provider == MODEL:
            return Target(self._echo, MODEL, CONTEXT_TOKENS)
        if virtual_key is not None:
            return await self._through_key(model, route, virtual_key)
        if route is None:
            raise ModelFailure(
                "server_error", f"No provider of this server has the model '{model}'. {WHAT_TO_SET}"
            )
        there = self._configured[route.provider]
        return Target(self._providers[route.provider], route.model or model, there.context_tokens)

    def embedder(self, settings: Settings) -> Embedder | None:
        """Where texts are embedded; None where the settings name no model for it. Raises `BadSettings` where
        no provider has the model, and for a directory that holds none."""
        model = settings.embedding_model
        if not model:
            return None
        if model.startswith(LOCAL):
            self._local = LocalEmbeddings(model.removeprefix(LOCAL), settings.embedding_dimensions)
            return self._local
        route = self._route(model)
        if route is None:
            raise BadSettings(
                f"embedding_model is '{model}', but no provider of this server has it. "
                "Set THREADKEEP_UPSTREAM_BASE_URL, or give it a provider in threadkeep.toml under [models]."
            )
        if route.provider == MODEL:
            raise BadSettings(f"embedding_model is '{model}', which leads to 'echo'; it has no embeddings.")
        from threadkeep.providers.embeddings import Embeddings  # not loaded without need

        return Embeddings(
            self._providers[route.provider].upstream,
            route.model or model,
            settings.embedding_dimensions,
            settings.embedding_batch,
        )

    def _route(self, model: str) -> Route | None:
        if model == MODEL:
            return Route(MODEL)
        for pattern, route in self._routes:
            if pattern == model or fnmatchcase(model, pattern):
                return route
        return self._fallback

    async def _through_key(self, model: str, route: Route | None, id: str) -> Target:
        """The same model at the virtual key's provider; another name holds where it is that provider's."""
        if self._open_key is None:
            raise ModelFailure("server_error", "This server has no virtual keys.")
        place, secret = await self._open_key(id)
        settings = self._configured.get(place)
        if settings is None:
            if not place.startswith(("http://", "https://")):
                raise ModelFailure(
                    "server_error",
                    f"The virtual key is for the provider '{place}', which this server does not have. "
                    f"Add [providers.{place}] to threadkeep.toml.",
                )
            settings = ProviderSettings(base_url=place)
        provider = self._of_key(id, place, secret, settings)
        renamed = route.model if route and route.provider == place else None
        return Target(provider, renamed or model, settings.context_tokens)

    def _of_key(self, id: str, place: str, secret: str, settings: ProviderSettings) -> "ChatProvider":
        """The provider with a virtual key's secret: one, with its connections, as long as the key says the
        same. Raises `ModelFailure` for a base URL that is none."""
        known = self._of_keys.get((id, place, secret))
        if known is None:
            own = msgspec.structs.replace(settings, api_key=secret.strip(), api_key_env=None)
            try:
                known = self._made(place, own, OF_VIRTUAL_KEYS)
            except BadSettings as problem:
                raise ModelFailure("server_error", str(problem)) from problem
            self._of_keys[id, place, secret] = known
        return known

    async def models(self) -> list[dict[str, Any]]:
        """Every model that can be asked for: `echo`, those named in the settings, and what the providers
        say they have, as far as the settings lead there."""
        named = [
            model_object(pattern, route.provider)
            for pattern, route in self._routes
            if not is_pattern(pattern)
        ]
        found = [*await self._echo.models(), *named]
        used = {route.provider for _, route in self._routes if route.model is None} - {MODEL}
        if self._fallback:
            used.add(UPSTREAM)
        asked = [self._providers[name] for name in sorted(used)]
        for provider, listed in zip(asked, await self._lists.of(asked), strict=True):
            found += [one for one in listed if self._leads_to(one["id"], provider.name)]
        return list({one["id"]: one for one in reversed(found)}.values())[::-1]

    def _leads_to(self, model: str, provider: str) -> bool:
        route = self._route(model)
        return route is not None and route.provider == provider

    async def close(self) -> None:
        """Let go of every connection, and of a model in a directory."""
        if self._local:
            await asyncio.to_thread(self._local.close)
        for provider in [*self._providers.values(), *self._of_keys.values()]:
            await provider.close()


class Lists:
    """What providers say they have: asked at once, and at most once a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._listed: dict[str, asyncio.Future[list[dict[str, Any]]]] = {}

    async def of(self, providers: Iterable[Provider]) -> list[list[dict[str, Any]]]:
        """One list for each provider, empty where it does not say."""
        return list(await asyncio.gather(*(asyncio.shield(self._list(one)) for one in providers)))

    def _list(self, provider: Provider) -> asyncio.Future[list[dict[str, Any]]]:
        now = self._clock()
        if provider.name not in self._listed or now >= self._until[provider.name]:
            self._until[provider.name] = now + SECONDS_LISTS_ARE_KEPT
            self._listed[provider.name] = asyncio.ensure_future(listed_by(provider))
        return self._listed[provider.name]


async def listed_by(provider: Provider) -> list[dict[str, Any]]:
    try:
        return await provider.models()
    except ModelFailure as problem:
        log.info("event=models_not_listed provider=%s problem=%r", provider.name, problem.message)
        return []


# ---------------------------------------------------------------- settings


def every_provider(settings: Settings) -> dict[str, ProviderSettings]:
    """The providers by name, the one of `upstream_base_url` among them. Raises `BadSettings`."""
    taken = {MODEL} | ({UPSTREAM} if settings.upstream_base_url else set())
    for name in sorted(taken & settings.providers.keys()):
        raise BadSettings(f"providers.{name}: this name is the server's own; give the provider another.")
    if settings.upstream_base_url is None:
        if settings.upstream_api_key:
            raise BadSettings("upstream_api_key is set, but upstream_base_url is not.")
        return settings.providers
    upstream = ProviderSettings(base_url=settings.upstream_base_url, api_key=settings.upstream_api_key)
    return {**settings.providers, UPSTREAM: upstream}


def with_key(name: str, settings: ProviderSettings, environment: Mapping[str, str]) -> ProviderSettings:
    """The settings with the key that the environment holds. Raises `BadSettings`."""
    key, variable = settings.api_key, settings.api_key_env
    if key and variable:
        raise BadSettings(f"providers.{name}: api_key and api_key_env are both set; one is enough.")
    if variable:
        key = environment.get(variable, "").strip()
        if not key:
            raise BadSettings(f"providers.{name}: the environment variable {variable} is not set.")
    return msgspec.structs.replace(settings, api_key=key.strip() if key else None)


OF_VIRTUAL_KEYS = {
    "address_setting": "the virtual key's base URL",
    "key_setting": "the secret of the virtual key",
}


def settings_to_check(name: str, settings: ProviderSettings) -> dict[str, str]:
    """What messages tell people to look at: the settings that a provider has its address and key from."""
    if name == UPSTREAM:
        return {
            "address_setting": "THREADKEEP_UPSTREAM_BASE_URL",
            "key_setting": "THREADKEEP_UPSTREAM_API_KEY",
        }
    key = settings.api_key_env or f"api_key in [providers.{name}]"
    return {"address_setting": f"base_url in [providers.{name}]", "key_setting": key}


def routes_of(models: Mapping[str, str], providers: set[str]) -> list[tuple[str, Route]]:
    """Patterns in the order in which they are tried: names, then longer before shorter ones. Raises
    `BadSettings` for a provider that is not there."""
    routes = []
    for pattern, value in models.items():
        provider, _, model = value.partition(":")
        if provider not in providers:
            raise BadSettings(f"models: '{pattern}' leads to '{provider}', but no provider has that name.")
        routes.append((pattern, Route(provider, model or None)))
    return sorted(routes, key=lambda one: (is_pattern(one[0]), -len(one[0]), one[0]))


def is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def model_object(id: str, owner: str) -> dict[str, Any]:
    """A model as the API shows one. When it was made is not known."""
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}
