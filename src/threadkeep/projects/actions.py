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


class Look:
    """One look-up of a secret: when it began, the answer to come, and the look-up that will follow it."""

    __slots__ = ("ahead", "answer", "since")

    def __init__(self, since: float, answer: "asyncio.Task[str | None]") -> None:
        self.since, self.answer = since, answer
        self.ahead: Look | None = None


class Keyring:
    """Whose a secret is, remembered for a moment.

    A memory of 20 ms takes the look-up out of a loaded server's way and still ends a revoked key
    at once, whichever process revoked it. Halfway through, the secret is looked up anew, so that under
    load nobody waits for that.
    """

    SECONDS = 0.02

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._looks: dict[str, Look] = {}
        self._since = 0.0
        """When what had become too old was forgotten."""

    async def project_of(self, secret: str) -> str:
        """The id of the project that `secret` opens. Raises `BadKey`."""
        now = self._clock()
        look = self._looks.get(secret)
        if look is not None and look.ahead is not None and look.ahead.answer.done():
            look = self._looks[secret] = look.ahead
        if look is None or not self._holds(look, now):
            look = self._anew(secret, look, now)
        elif look.ahead is None and now - look.since > self.SECONDS / 2:
            look.ahead = self._look_up(secret, now)
        # Whoever comes while the answer is on its way waits for the same one.
        answer = look.answer
        project_id = answer.result() if answer.done() else await asyncio.shield(answer)
        if project_id is None:
            raise BadKey(hint_of(secret))
        return project_id

    def _holds(self, look: Look, now: float) -> bool:
        return 0 <= now - look.since <= self.SECONDS

    def _anew(self, secret: str, old: Look | None, now: float) -> Look:
        """A look that holds, in place of one that does not: its successor, where that is under way."""
        if not 0 <= now - self._since <= self.SECONDS:
            self._looks = {one: look for one, look in self._looks.items() if self._holds(look, now)}
            self._since = now
        ahead = old.ahead if old else None
        look = ahead if ahead and self._holds(ahead, now) else self._look_up(secret, now)
        self._looks[secret] = look
        return look

    def _look_up(self, secret: str, now: float) -> Look:
        async def look_up() -> str | None:
            async with self._database.read() as transaction:
                return await store.project_of_secret(transaction, hashed(secret))

        def keep_good_news_only(task: "asyncio.Task[str | None]") -> None:
            answered = not task.cancelled() and task.exception() is None
            known = self._looks.get(secret)
            if known is None or (answered and task.result() is not None):
                return
            if known is look or (answered and known.ahead is look):
                del self._looks[secret]
            elif known.ahead is look:
                known.ahead = None

        look = Look(now, asyncio.create_task(look_up()))
        look.answer.add_done_callback(keep_good_news_only)
        return look


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
        """A secret for the default project, on a server that has no key at all.

        Where there is one, nothing is written: a database that takes no writes can still be read.
        """
        if await self.list():
            return None
        secret = new_secret()

        async def work(transaction: Transaction) -> str | None:
            await transaction.alone()
            if await store.keys(transaction):
                return None
            await self._add(transaction, DEFAULT_PROJECT, "first", secret)
            return secret

        return await self._database.write(work)

    async def fix(self, secret: str) -> None:
        """Make `secret` open the default project, in place of an earlier one set the same way. Where it does
        so already, nothing is written."""
        secret_hash = hashed(secret)
        async with self._database.read() as transaction:
            if await store.is_in_place_of_others(transaction, FIXED_KEY, secret_hash):
                return

        async def work(transaction: Transaction) -> None:
            await transaction.alone()
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
