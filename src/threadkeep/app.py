"""The composition root: from Settings to an ASGI application. Alone knows every concrete class."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from threadkeep.clock import Clock, system_clock
from threadkeep.context import Context
from threadkeep.engine.worker import Engine
from threadkeep.errors import Unavailable
from threadkeep.http.middleware import Application, Running
from threadkeep.ids import IdMaker, id_maker
from threadkeep.ingestion.reembedding import Reembedder
from threadkeep.ingestion.worker import Ingester
from threadkeep.projects.actions import Keyring, Keys
from threadkeep.providers.registry import Registry
from threadkeep.settings import BadSettings, Settings
from threadkeep.storage.blobs import Blobs, Directory
from threadkeep.storage.database import Database
from threadkeep.storage.health import BUSY, READ_ONLY, UNREACHABLE
from threadkeep.storage.migrate import Migration, migrate, migrations, pending
from threadkeep.storage.sqlite import SQLiteDatabase
from threadkeep.storage.sweeps import Sweeper
from threadkeep.sweeping import handlers, routines
from threadkeep.virtual_keys.actions import Opener, Ring

POSTGRES = ("postgresql://", "postgres://")
SECONDS_TO_WAIT = 30.0
"""How long a server that starts waits for a PostgreSQL that does not answer yet."""
SECONDS_BETWEEN_ATTEMPTS = 0.5
PASSING = (UNREACHABLE, READ_ONLY, BUSY)
"""Reasons why a connection cannot be had that often pass by themselves."""
log = logging.getLogger(__name__)


@asynccontextmanager
async def open_database(settings: Settings, *, migrated: bool = True) -> AsyncIterator[Database]:
    """The database that the settings name, with its schema up to date."""
    database = connected(settings)
    try:
        if migrated:
            with naming_the_setting():
                await migrate(database)
        yield database
    finally:
        await database.close()


@contextmanager
def naming_the_setting() -> Iterator[None]:
    """Make a sentence for a person of what keeps the database from being used."""
    try:
        yield
    except Unavailable as problem:
        reason = problem.reason.replace("_", " ")
        raise Unavailable(
            f"The database that database_url names cannot be used ({reason}): {problem}.", problem.reason
        ) from problem


async def wait_for_database(settings: Settings) -> None:
    """Return once PostgreSQL answers and has our schema. Both are waited for here, where a signal still ends
    the process at once: later the server would see to it after its start. Raises `Unavailable`."""
    if settings.database_url.startswith(POSTGRES):
        await wait_for_answer(settings)
        if await pending_migrations(settings):
            await apply_migrations(settings)


async def wait_for_answer(settings: Settings) -> None:
    """Return once PostgreSQL answers: started together, it may take longer, and so may the choice of the
    host that takes writes, or others that hold all its connections. Raises `Unavailable`."""
    latest = time.monotonic() + SECONDS_TO_WAIT
    while True:
        try:
            async with open_database(settings, migrated=False) as database:
                with naming_the_setting():
                    async with database.read() as transaction:
                        await transaction.one("SELECT 1", {})
                return
        except Unavailable as problem:
            if problem.reason not in PASSING or time.monotonic() > latest:
                raise
            log.warning("event=database_awaited problem=%r", problem)
        await asyncio.sleep(SECONDS_BETWEEN_ATTEMPTS)


async def apply_migrations(settings: Settings) -> list[Migration]:
    """Bring the schema up to date; what was applied."""
    async with open_database(settings, migrated=False) as database:
        with naming_the_setting():
            return await migrate(database)


async def pending_migrations(settings: Settings) -> list[Migration]:
    """What `apply_migrations` would apply. Nothing is changed, not even an SQLite database made."""
    if not settings.database_url.startswith(POSTGRES) and not settings.database_path.exists():
        return [*migrations()]
    async with open_database(settings, migrated=False) as database:
        with naming_the_setting():
            return await pending(database)


def connected(settings: Settings) -> Database:
    """The engine that `database_url` asks for."""
    if settings.database_url.startswith(POSTGRES):
        from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions  # not loaded without need

        options = PostgresOptions(
            settings.database_url, settings.database_connections, prepared=settings.database_prepared
        )
        return PostgresDatabase(options)
    path = settings.database_path
    make_directory("database_url", path.parent)
    return SQLiteDatabase(path)


@asynccontextmanager
async def open_context(
    settings: Settings, clock: Clock, new_id: IdMaker, engine: Engine | None = None
) -> AsyncIterator[Context]:
    """Everything that rooms work with. Whoever hands an engine in starts and stops it within."""
    blobs = await asyncio.to_thread(opened_blobs, settings)
    async with open_database(settings) as database:
        providers = Registry(settings, clock, Opener(database, settings))
        try:
            runner = engine or Engine(settings, clock)
            embedder = providers.embedder(settings)
            yield Context(database, blobs, clock, new_id, settings, runner, providers, embedder)
        finally:
            await providers.close()


def opened_blobs(settings: Settings) -> Blobs:
    """The place that `files_url` asks for."""
    if not settings.files_url.startswith("file:"):
        from threadkeep.storage.bucket import Bucket  # not loaded without need

        return Bucket(settings.files_url)
    make_directory("files_url", settings.files_path)
    return Directory(settings.files_path)


def make_directory(setting: str, path: Path) -> None:
    """See to it that a directory is there. Raises `BadSettings`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or problem
        raise BadSettings(f"{setting}: the directory {path} cannot be made: {reason}.") from problem


Announce = Callable[[str | None], Awaitable[None]]
"""Called once the server can work, with the key if one was just made."""


def create_app(
    settings: Settings, announce: Announce | None = None, clock: Clock = system_clock
) -> Application:
    """The server for these settings."""
    new_id = id_maker(clock)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Running]:
        engine = Engine(settings, clock)
        async with open_context(settings, clock, new_id, engine) as context:
            key = await first_key(Keys(context.database, clock, new_id), settings)
            sweeper = Sweeper(context.database, clock, handlers(context), routines(context))
            if context.embedder is None:
                log.info("event=no_embeddings problem='embedding_model is not set: search is lexical alone'")
            sweeper.start()
            engine.start(context)
            ingester, reembedder = Ingester(settings, clock), Reembedder(settings, clock)
            ingester.start(context)
            reembedder.start(context)
            if announce:
                await announce(key)
            try:
                yield Running(context, Keyring(context.database, clock), Ring(context.database, clock))
            finally:
                await asyncio.gather(engine.stop(), ingester.stop(), reembedder.stop())
                await sweeper.stop()

    return Application(lifespan, settings.access_log)


async def first_key(keys: Keys, settings: Settings) -> str | None:
    """Make sure that some key opens the server; return one that was made just now."""
    if settings.api_key is None:
        return await keys.first()
    await keys.fix(settings.api_key)
    return None
