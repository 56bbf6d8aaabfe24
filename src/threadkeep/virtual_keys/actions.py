"""Making and deleting virtual keys; telling which one a request means; and opening one for a run."""

import asyncio
import logging

from threadkeep.clock import Clock
from threadkeep.errors import UnknownVirtualKey
from threadkeep.ids import IdMaker
from threadkeep.providers.base import ModelFailure
from threadkeep.settings import BadSettings, Settings
from threadkeep.storage.database import Database, Transaction
from threadkeep.virtual_keys import store
from threadkeep.virtual_keys.model import (
    NAME,
    SHORTEST_KEY,
    CannotOpen,
    SealedKey,
    VirtualKey,
    opened,
    seal,
)

log = logging.getLogger(__name__)
SETTING = "THREADKEEP_ENCRYPTION_KEY"


class Ring:
    """Which virtual keys there are, remembered for as long as the keyring remembers keys."""

    SECONDS = 0.02

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._asked: asyncio.Task[dict[str, str]] | None = None
        self._since = 0.0

    async def id_of(self, name: str) -> str | None:
        """The id of the virtual key of that name; None where the server has none at all, so that the name is
        of no concern to it. Raises `UnknownVirtualKey`."""
        ids = await self._ids()
        if ids and name not in ids:
            self._asked = None  # it may have been made a moment ago
            ids = await self._ids()
        if ids and name not in ids:
            raise UnknownVirtualKey(name)
        return ids.get(name)

    async def _ids(self) -> dict[str, str]:
        now = self._clock()
        failed = self._asked and self._asked.done() and self._asked.exception()
        if self._asked is None or failed or not 0 <= now - self._since <= self.SECONDS:
            self._asked, self._since = asyncio.create_task(self._look_up()), now
        # Whoever comes while the answer is on its way waits for the same one.
        return self._asked.result() if self._asked.done() else await asyncio.shield(self._asked)

    async def _look_up(self) -> dict[str, str]:
        async with self._database.read() as transaction:
            return await store.ids(transaction)


class VirtualKeys:
    """What the operator does with virtual keys."""

    def __init__(self, database: Database, clock: Clock, new_id: IdMaker, settings: Settings) -> None:
        self._database, self._clock, self._new_id = database, clock, new_id
        self._settings = settings

    async def create(self, name: str, place: str, secret: str) -> VirtualKey:
        """A virtual key for a provider of the settings, or for a base URL. Raises `BadSettings`."""
        require_name(name)
        require_place(self._settings, place)
        if not secret:
            raise BadSettings("The secret is empty.")
        encryption_key = require_encryption_key(self._settings)
        key = VirtualKey(self._new_id("vkey_"), name, place, int(self._clock()))
        sealed = SealedKey(key, seal(secret, key, encryption_key))

        async def work(transaction: Transaction) -> None:
            for other in await store.all_of_them(transaction):
                require_same(other, encryption_key)
            if not await store.insert(transaction, sealed):
                raise BadSettings(f"There is a virtual key '{name}' already; delete it first.")

        await self._database.write(work)
        return key

    async def list(self) -> list[VirtualKey]:
        async with self._database.read() as transaction:
            return [one.key for one in await store.all_of_them(transaction)]

    async def delete(self, name: str) -> bool:
        """Whether there was one of that name."""

        async def work(transaction: Transaction) -> bool:
            return await store.delete(transaction, name)

        return await self._database.write(work)


def require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadSettings(
            "A virtual key's name has 1 to 100 letters, digits, dots, underscores and hyphens, and begins "
            "with a letter or a digit."
        )


def require_place(settings: Settings, place: str) -> None:
    """A provider that the settings name, or an address."""
    known = sorted(settings.providers) + (["upstream"] if settings.upstream_base_url else [])
    if place not in known and not place.startswith(("http://", "https://")):
        named = ", ".join(known) or "none"
        raise BadSettings(f"The settings have no provider '{place}' (they have: {named}).")


def require_encryption_key(settings: Settings) -> str:
    """The setting. Raises `BadSettings` where it is missing or could be guessed."""
    key = settings.encryption_key
    how = "`openssl rand -base64 32` makes one. The server needs the same."
    if key is None:
        raise BadSettings(f"Virtual keys need {SETTING}, which encrypts their secrets: {how}")
    if len(key) < SHORTEST_KEY:
        raise BadSettings(f"{SETTING} must have at least {SHORTEST_KEY} characters: {how}")
    return key


def require_same(other: SealedKey, encryption_key: str) -> None:
    """One encryption key for all of them, or some could never be used."""
    try:
        opened(other, encryption_key)
    except CannotOpen:
        raise BadSettings(
            f"{SETTING} is not the one with which the virtual key '{other.key.name}' was made. Set that one, "
            "or delete every virtual key that was made with it."
        ) from None


class Opener:
    """Opens virtual keys for the runs that were created with them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    async def __call__(self, id: str) -> tuple[str, str]:
        """A virtual key's provider (or base URL) and its secret. Raises `ModelFailure`."""
        async with self._database.read() as transaction:
            sealed = await store.get(transaction, id)
        if sealed is None:
            raise ModelFailure(
                "server_error", "The virtual key that this run was created with has been deleted."
            )
        try:
            return sealed.key.place, opened(sealed, require_encryption_key(self._settings))
        except (CannotOpen, BadSettings) as problem:
            log.error("event=virtual_key_not_opened name=%s problem=%r", sealed.key.name, str(problem))
            state = "not the one it was made with" if self._settings.encryption_key else "not set"
            raise ModelFailure(
                "server_error",
                f"The virtual key '{sealed.key.name}' cannot be opened: the server's {SETTING} is {state}.",
            ) from problem
