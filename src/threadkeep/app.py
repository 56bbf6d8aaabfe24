"""The composition root: from Settings to an ASGI application. Alone knows every concrete class."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from threadkeep.clock import Clock, system_clock
from threadkeep.context import Context
from threadkeep.engine.worker import Engine
from threadkeep.http.middleware import Application, Running
from threadkeep.ids import IdMaker, id_maker
from threadkeep.projects.actions import Keyring, Keys
from threadkeep.providers.registry import Registry
from threadkeep.settings import BadSettings, Settings
from threadkeep.storage.blobs import Blobs, Directory
from threadkeep.storage.database import Database
from threadkeep.storage.migrate import migrate
from threadkeep.storage.sqlite import SQLiteDatabase
from threadkeep.storage.sweeps import Sweeper
from threadkeep.sweeping import handlers, routines
from threadkeep.virtual_keys.actions import Opener, Ring

POSTGRES = ("postgresql://", "postgres://")


@asynccontextmanager
async def open_database(settings: Settings, *, migrated: bool = True) -> AsyncIterator[Database]:
    """The database that the settings name, with its schema up to date."""
    database = connected(settings)
    try:
        if migrated:
            await migrate(database)
        yield database
    finally:
        await database.close()


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
            yield Context(database, blobs, clock, new_id, settings, runner, providers)
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
            sweeper.start()
            engine.start(context)
            if announce:
                await announce(key)
            try:
                yield Running(context, Keyring(context.database, clock), Ring(context.database, clock))
            finally:
                await engine.stop()
                await sweeper.stop()

    return Application(lifespan, settings.access_log)


async def first_key(keys: Keys, settings: Settings) -> str | None:
    """Make sure that some key opens the server; return one that was made just now."""
    if settings.api_key is None:
        return await keys.first()
    await keys.fix(settings.api_key)
    return None
