"""Making, fixing and revoking keys; and telling whose a secret is."""

import asyncio

from threadkeep.clock import Clock
from threadkeep.errors import BadKey
from threadkeep.ids import IdMaker
from threadkeep.projects import store
from threadkeep.projects.model import ApiKey, Project, hashed, hint_of, new_secret
from threadkeep.settings import BadSettings
from threadkeep.storage.database import Database, Transaction

DEFAULT_PROJECT = "default"
FIXED_KEY = "THREADKEEP_API_KEY"
"""The name of the key that the environment sets."""


class Keyring:
    """Whose a secret is, remembered for a moment.

    A memory of 20 ms takes the look-up out of a loaded server's way and still ends a revoked key
    at once, whichever process revoked it.
    """

    SECONDS = 0.02

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._asked: dict[str, asyncio.Task[str | None]] = {}
        self._since = 0.0

    async def project_of(self, secret: str) -> str:
        """The id of the project that `secret` opens. Raises `BadKey`."""
        now = self._clock()
        if not 0 <= now - self._since <= self.SECONDS:
            self._asked.clear()
            self._since = now
        asked = self._asked.get(secret)
        if asked is None:
            asked = self._asked[secret] = self._look_up(secret)
        # Whoever comes while the answer is on its way waits for the same one.
        project_id = asked.result() if asked.done() else await asyncio.shield(asked)
        if project_id is None:
            raise BadKey(hint_of(secret))
        return project_id

    def _look_up(self, secret: str) -> "asyncio.Task[str | None]":
        asked = self._asked

        async def look_up() -> str | None:
            async with self._database.read() as transaction:
                return await store.project_of_secret(transaction, hashed(secret))

        def keep_good_news_only(task: "asyncio.Task[str | None]") -> None:
            refused = task.cancelled() or task.exception() is not None or task.result() is None
            if refused and asked.get(secret) is task:
                del asked[secret]

        task = asyncio.create_task(look_up())
        task.add_done_callback(keep_good_news_only)
        return task


class Keys:
    """What the operator does with keys."""

    def __init__(self, database: Database, clock: Clock, new_id: IdMaker) -> None:
        self._database, self._clock, self._new_id = database, clock, new_id

    async def create(self, project_name: str, name: str) -> str:
        """A new secret for a project, which is made where it does not exist. Shown here and never again."""
        secret = new_secret()

        async def work(transaction: Transaction) -> None:
            await transaction.alone()  # or two of them might make the same project
            await self._add(transaction, project_name, name, secret)

        await self._database.write(work)
        return secret

    async def first(self) -> str | None:
        """A secret for the default project, on a server that has no key at all."""
        secret = new_secret()

        async def work(transaction: Transaction) -> str | None:
            await transaction.alone()
            if await store.keys(transaction):
                return None
            await self._add(transaction, DEFAULT_PROJECT, "first", secret)
            return secret

        return await self._database.write(work)

    async def fix(self, secret: str) -> None:
        """Make `secret` open the default project, in place of an earlier one set the same way."""

        async def work(transaction: Transaction) -> None:
            await transaction.alone()
            secret_hash = hashed(secret)
            await store.delete_others_named(transaction, FIXED_KEY, secret_hash)
            known = await store.key_of_secret(transaction, secret_hash)
            if known is None:
                await self._add(transaction, DEFAULT_PROJECT, FIXED_KEY, secret)
            elif known.revoked_at is not None:
                raise BadSettings(f"{FIXED_KEY} holds a key that was revoked ({known.hint}): set another.")

        await self._database.write(work)

    async def revoke(self, id: str) -> bool:
        """Whether a live key of that id was there to be revoked."""

        async def work(transaction: Transaction) -> bool:
            return await store.revoke(transaction, id, int(self._clock()))

        return await self._database.write(work)

    async def list(self) -> list[ApiKey]:
        async with self._database.read() as transaction:
            return await store.keys(transaction)

    async def _add(self, transaction: Transaction, project_name: str, name: str, secret: str) -> None:
        now = int(self._clock())
        project = await store.project_by_name(transaction, project_name)
        if project is None:
            project = Project(self._new_id("proj_"), project_name, now)
            await store.insert_project(transaction, project)
        key = ApiKey(self._new_id("key_"), project_name, name, hint_of(secret), now, None)
        await store.insert_key(transaction, project, key, hashed(secret))
