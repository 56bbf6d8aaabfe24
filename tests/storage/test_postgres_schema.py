"""The schema on PostgreSQL: what `schema.sql` says is what migrating makes, once, whoever starts."""

import asyncio
from importlib import resources

import pytest

from tests.support.postgres import Postgres, migrated, server
from threadkeep.storage.companions import companion_of
from threadkeep.storage.database import Transaction
from threadkeep.storage.migrate import SchemaTooNew, migrate, migrations, pending, statements_of
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions

pytestmark = pytest.mark.anyio
STARTERS = 10
SCHEMA = """
    SELECT 'column', c.relname || '.' || a.attname,
           format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(l.collname, '-')
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', proname, prosrc FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3
"""


@pytest.fixture
def name(tmp_path) -> str:
    """The name of a database without tables."""
    server().empty(tmp_path.name)
    return tmp_path.name


@pytest.fixture
def postgres() -> Postgres:
    """The server that all tests share."""
    return server()


async def define_all(url: str) -> None:
    """Run schema.sql."""
    text = resources.files("threadkeep.storage").joinpath("schema.sql").read_text(encoding="utf-8")

    async def work(transaction: Transaction) -> None:
        for statement in (*statements_of(text), *companion_of("schema.sql", transaction.engine)):
            await transaction.define(statement)

    database = PostgresDatabase(PostgresOptions(url, 1))
    await database.write(work)
    await database.close()


def test_schema_sql_equals_the_sum_of_the_migrations(postgres, name):
    asyncio.run(define_all(postgres.url(name)))
    sum_of_migrations = name + " migrated"
    asyncio.run(migrated(postgres.empty(sum_of_migrations)))
    written = postgres.execute(SCHEMA, name)
    assert ("column", "messages.id", "text true C") in written
    assert ("trigger", "runs_move_legally") in {row[:2] for row in written}
    assert written == postgres.execute(SCHEMA, sum_of_migrations)


@pytest.mark.promise("server.migrate.concurrent-starts")
async def test_ten_that_start_together_migrate_once(postgres, name):
    starters = [PostgresDatabase(PostgresOptions(postgres.url(name), 2)) for _ in range(STARTERS)]
    applied = await asyncio.gather(*(migrate(one) for one in starters))
    assert sorted(len(one) for one in applied) == [0] * (STARTERS - 1) + [len(migrations())]
    assert [await pending(one) for one in starters] == [[]] * STARTERS
    for one in starters:
        await one.close()


LATER = "INSERT INTO schema_migrations VALUES (9998, 'of_tomorrow', {}), (9999, 'of_the_day_after', 1)"


async def test_what_is_pending_can_be_asked_without_a_change(postgres, name):
    database = PostgresDatabase(PostgresOptions(postgres.url(name), 1))
    assert await pending(database) == [*migrations()]
    await database.close()
    assert await asyncio.to_thread(postgres.execute, SCHEMA, name) == []


@pytest.mark.promise("server.migrate.schema-newer-but-compatible")
async def test_a_schema_of_a_later_release_that_keeps_this_one_working_is_taken(postgres, name, caplog):
    database = PostgresDatabase(PostgresOptions(postgres.url(name), 1))
    await migrate(database)
    await asyncio.to_thread(postgres.execute, LATER.format(len(migrations())), name)
    assert await migrate(database) == []
    assert f"event=schema_newer version=9999 known={len(migrations())}" in caplog.text
    await database.close()


@pytest.mark.promise("server.migrate.schema-too-new")
async def test_a_schema_of_a_later_release_is_refused(postgres, name):
    database = PostgresDatabase(PostgresOptions(postgres.url(name), 1))
    await migrate(database)
    await asyncio.to_thread(postgres.execute, LATER.format(9998), name)
    with pytest.raises(SchemaTooNew, match="schema version 9999"):
        await migrate(database)
    await database.close()
