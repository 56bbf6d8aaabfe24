"""Migrations: numbered SQL files, applied forward only, each in one transaction. A file may have
companions for one engine (`storage.companions`).

`schema.sql` is always the whole truth; a test proves that it equals the sum of the migrations.
"""

import re
from importlib import resources

from msgspec import Struct

from threadkeep.errors import ThreadkeepError
from threadkeep.storage.companions import companion_of
from threadkeep.storage.database import Database, Transaction

CREATE_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version BIGINT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL
    )
"""
APPLIED = "SELECT version FROM schema_migrations ORDER BY version"
RECORD = "INSERT INTO schema_migrations (version, name) VALUES (:version, :name)"


class Migration(Struct, frozen=True):
    """One file: its number, its name, its statements in order."""

    version: int
    name: str
    statements: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"migrations/{self.version:04}_{self.name}.sql"


class SchemaTooNew(ThreadkeepError):
    """The database was migrated by a later release; this one must not touch it."""


def statements_of(sql: str) -> tuple[str, ...]:
    """The statements of a file, without comments. No statement holds a semicolon of its own."""
    plain = re.sub(r"--[^\n]*", "", sql)
    return tuple(part.strip() for part in plain.split(";") if part.strip())


def migrations() -> list[Migration]:
    """Every migration that this release knows, in order."""
    folder = resources.files("threadkeep.storage") / "migrations"
    found = []
    for path in folder.iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", path.name):
            sql = path.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], statements_of(sql)))
    return sorted(found, key=lambda migration: migration.version)


async def pending(database: Database) -> list[Migration]:
    """The migrations that `database` still lacks. Raises `SchemaTooNew`."""

    async def work(transaction: Transaction) -> list[Migration]:
        await transaction.alone()
        await transaction.define(CREATE_LEDGER)
        return await lacking(transaction)

    return await database.write(work)


async def lacking(transaction: Transaction) -> list[Migration]:
    known = migrations()
    applied = {row[0] for row in await transaction.all(APPLIED, {})}
    if unknown := applied - {migration.version for migration in known}:
        raise SchemaTooNew(
            f"The database has schema version {max(unknown)}, this release of Threadkeep knows "
            f"{known[-1].version} at most: start the newer release, or restore an older backup."
        )
    return [migration for migration in known if migration.version not in applied]


async def migrate(database: Database) -> list[Migration]:
    """Bring the schema up to date; return what was applied. Safe to run from many processes at once."""

    async def work(transaction: Transaction) -> list[Migration]:
        await transaction.alone()
        await transaction.define(CREATE_LEDGER)
        applied = await lacking(transaction)
        for migration in applied:
            for statement in (*migration.statements, *companion_of(migration.file, transaction.engine)):
                await transaction.define(statement)
            await transaction.run(RECORD, {"version": migration.version, "name": migration.name})
        return applied

    return await database.write(work)
