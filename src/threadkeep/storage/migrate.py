"""Migrations: numbered SQL files, applied forward only, each in one transaction. A file may have
companions for one engine (`storage.companions`).

`schema.sql` is always the whole truth; a test proves that it equals the sum of the migrations.
"""

import logging
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from msgspec import Struct

from threadkeep.errors import ThreadkeepError
from threadkeep.storage.companions import companion_of
from threadkeep.storage.database import Database, Transaction

log = logging.getLogger(__name__)

LEDGER = "schema_migrations"
CREATE_LEDGER = f"""
    CREATE TABLE IF NOT EXISTS {LEDGER} (
        version BIGINT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL
    )
"""
APPLIED = f"SELECT version, name FROM {LEDGER} ORDER BY version"
RECORD = f"INSERT INTO {LEDGER} (version, name) VALUES (:version, :name)"
# Its column came with 0003, so it is filled once all are applied.
RECORD_COMPATIBLE = f"UPDATE {LEDGER} SET compatible_from = :compatible_from WHERE version = :version"
COMPATIBLE = f"""
    SELECT version, compatible_from FROM {LEDGER} WHERE version > :known ORDER BY version
"""
COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table)",
    "postgres": """
        SELECT attname FROM pg_attribute
        WHERE attrelid = to_regclass(CAST(:table AS TEXT)) AND attnum > 0 AND NOT attisdropped
    """,
}
"""The names of a table's columns, as each engine tells them."""
NAMES = {
    "sqlite": "SELECT lower(name) FROM sqlite_master",
    "postgres": "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(current_schema())",
}
"""The names that no new table can have, as each engine tells them."""


NAMED = 3
"""How many tables of another program's are named."""


class Migration(Struct, frozen=True):
    """One file: its number, its name, its statements in order.

    `compatible_from` is the oldest version whose release works on a schema with this migration.
    """

    version: int
    name: str
    statements: tuple[str, ...]
    compatible_from: int

    @property
    def file(self) -> str:
        return f"migrations/{self.version:04}_{self.name}.sql"


class SchemaTooNew(ThreadkeepError):
    """The database was migrated by a later release, and not so that this one works on it."""


class ForeignSchema(ThreadkeepError):
    """The database has tables that stand where ours would, and no record of ours that we have made them."""

    def __init__(self, tables: Iterable[str]) -> None:
        first, more = sorted(tables)[:NAMED], sorted(tables)[NAMED:]
        named = ", ".join([*first, "..."] if more else first)
        super().__init__(
            f"The database holds tables that are not known to be Threadkeep's ({named}): use an empty "
            "database, or restore a backup."
        )


def statements_of(sql: str) -> tuple[str, ...]:
    """The statements of a file, without comments. No statement holds a semicolon of its own."""
    plain = re.sub(r"--[^\n]*", "", sql)
    return tuple(part.strip() for part in plain.split(";") if part.strip())


def migration_of(name: str, sql: str) -> Migration | None:
    """The migration in a file, by its name and text; None for a file of another kind."""
    match = re.fullmatch(r"(\d{4})_(\w+)\.sql", name)
    if match is None:
        return None
    compatible = re.match(r"-- Compatible from: (\d+)\n", sql)
    assert compatible, f"{name} does not begin with what it is compatible from"
    return Migration(int(match[1]), match[2], statements_of(sql), int(compatible[1]))


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration that this release knows, in order."""
    folder = resources.files("threadkeep.storage") / "migrations"
    found = [migration_of(path.name, path.read_text(encoding="utf-8")) for path in folder.iterdir()]
    return tuple(sorted(filter(None, found), key=lambda migration: migration.version))


async def pending(database: Database) -> list[Migration]:
    """The migrations that `database` still lacks; nothing is changed. Raises `SchemaTooNew` and
    `ForeignSchema`."""
    async with database.read() as transaction:
        return await lacking(transaction)


async def lacking(transaction: Transaction) -> list[Migration]:
    """As `pending`, in a transaction."""
    if await is_new(transaction):
        return [*migrations()]
    known = migrations()[-1].version
    applied = await applied_by_us(transaction)
    if max(applied) > known:
        await require_compatible(transaction, known)
    return [migration for migration in migrations() if migration.version not in applied]


async def is_new(transaction: Transaction) -> bool:
    """Whether nothing was applied yet. Raises `ForeignSchema` where not everything could be."""
    if await transaction.has_table(LEDGER):
        return False
    there = {row[0] for row in await transaction.all(NAMES[transaction.engine], {})}
    taken = tables(transaction.engine) & there
    if taken and not await transaction.has_table(LEDGER):  # else another process has just migrated
        raise ForeignSchema(taken)
    return not taken


def tables(engine: str) -> set[str]:
    """Every table that migrations make."""
    statements = [
        statement for one in migrations() for statement in (*one.statements, *companion_of(one.file, engine))
    ]
    return set(re.findall(r"CREATE (?:VIRTUAL )?TABLE (\w+)", "\n".join(statements)))


async def applied_by_us(transaction: Transaction) -> set[int]:
    """The versions in the ledger. Raises `ForeignSchema` for one of another program's, which may have the
    same name."""
    columns = {row[0] for row in await transaction.all(COLUMNS[transaction.engine], {"table": LEDGER})}
    rows = await transaction.all(APPLIED, {}) if {"version", "name"} <= columns else []
    named = {row[0]: row[1] for row in rows}
    if not any(named.get(one.version) == one.name for one in migrations()):
        raise ForeignSchema([LEDGER])
    return {*named}


async def require_compatible(transaction: Transaction, known: int) -> None:
    """A release that knows `known` works on what later ones have added. Raises `SchemaTooNew`."""
    later = await transaction.all(COMPATIBLE, {"known": known})
    newest = later[-1][0]
    for _, compatible_from in later:
        if compatible_from is None or compatible_from > known:
            needed = compatible_from or newest
            raise SchemaTooNew(
                f"The database has schema version {newest}, which takes a release of Threadkeep that knows "
                f"version {needed} at least; this one knows {known}: start the newer release, or restore an "
                "older backup."
            )


async def migrate(database: Database) -> list[Migration]:
    """Bring the schema up to date; return what was applied. Safe to run from many processes at once.

    Where nothing is missing nothing is written either, nor waited for: a database that takes no writes can
    still be read. Else a process that is already at it is waited for, however long it takes.
    """
    applied = await database.write(apply_missing) if await pending(database) else []
    async with database.read() as transaction:
        version = (await transaction.all(APPLIED, {}))[-1][0]
    if version > migrations()[-1].version:
        log.warning("event=schema_newer version=%d known=%d", version, migrations()[-1].version)
    return applied


async def apply_missing(transaction: Transaction) -> list[Migration]:
    """Apply what is missing by the time that this transaction is alone."""
    await transaction.unhurried()
    missing = await lacking(transaction)
    await transaction.define(CREATE_LEDGER)
    for migration in missing:
        for statement in (*migration.statements, *companion_of(migration.file, transaction.engine)):
            await transaction.define(statement)
        await transaction.run(RECORD, {"version": migration.version, "name": migration.name})
    for migration in migrations() if missing else ():
        params = {"version": migration.version, "compatible_from": migration.compatible_from}
        await transaction.run(RECORD_COMPATIBLE, params)
    return missing
