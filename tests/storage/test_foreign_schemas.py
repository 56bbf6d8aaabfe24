"""A database with tables of another program's, or ours without their ledger: refused, and left as it is."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.storage.test_postgres_schema import SCHEMA
from tests.support import postgres
from tests.support.child import command
from tests.support.house import DATABASES
from threadkeep.app import open_database
from threadkeep.cli import main
from threadkeep.settings import Settings
from threadkeep.storage.migrate import LEDGER, is_new, tables

pytestmark = pytest.mark.promise("server.migrate.foreign-schema")
LEDGERS = {
    "golang-migrate": [
        "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
        "INSERT INTO schema_migrations VALUES (20240101, FALSE)",
    ],
    "a version of ours": [
        "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
        "INSERT INTO schema_migrations VALUES (8, FALSE)",
    ],
    "Ecto": [
        "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, inserted_at TIMESTAMP)",
        "INSERT INTO schema_migrations VALUES (20240101000000, NULL)",
    ],
    "Rails": [
        "CREATE TABLE schema_migrations (version VARCHAR NOT NULL PRIMARY KEY)",
        "INSERT INTO schema_migrations VALUES ('20240101000000')",
    ],
    "our columns": [
        "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
        "INSERT INTO schema_migrations VALUES (1, 'create_users')",
    ],
    "nothing in it": [
        "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)"
    ],
}
COMMANDS = [["migrate", "--check"], ["migrate"], ["keys", "list"], ["keys", "create"]]


class Place:
    """A database that somebody else has made."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.path = directory / "theirs.db"
        self.name = directory.name
        self.is_postgres = kind == "postgres"
        self.url = postgres.server().empty(self.name) if self.is_postgres else f"sqlite:///{self.path}"

    def execute(self, *statements: str) -> None:
        if not self.is_postgres:
            connection = apsw.Connection(str(self.path))
            for statement in statements:
                connection.execute(statement)
            connection.close()
        else:
            for statement in statements:
                postgres.server().execute(statement, self.name)

    def state(self) -> Any:
        """All that there is to be left alone."""
        if not self.is_postgres:
            return self.path.read_bytes(), sorted(self.path.parent.glob("theirs*"))
        return postgres.server().execute(SCHEMA, self.name)


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(request.param, tmp_path)


def refusal(*names: str) -> str:
    return (
        f"threadkeep: The database holds tables that are not known to be Threadkeep's ({', '.join(names)}): "
        "use an empty database, or restore a backup.\n"
    )


def assert_refused(place: Place, capsys: pytest.CaptureFixture[str], *names: str) -> None:
    """Every command refuses it in the same sentence, and changes nothing."""
    before = place.state()
    for arguments in COMMANDS:
        assert main([*arguments, "--database", place.url]) == 1
        assert capsys.readouterr() == ("", refusal(*names))
    assert place.state() == before


@pytest.mark.parametrize("ledger", LEDGERS)
def test_another_programs_ledger_is_not_taken_for_ours(
    place: Place, capsys: pytest.CaptureFixture[str], ledger: str
) -> None:
    place.execute(*LEDGERS[ledger])
    assert_refused(place, capsys, "schema_migrations")


def test_another_programs_table_is_not_taken_for_ours(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.execute("CREATE TABLE threads (id BIGINT NOT NULL PRIMARY KEY)", "CREATE TABLE users (id BIGINT)")
    assert_refused(place, capsys, "threads")


def test_tables_of_ours_whose_ledger_is_lost_are_not_made_again(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(make(place))
    place.execute("DROP TABLE schema_migrations")
    assert_refused(place, capsys, "api_keys", "assistant_files", "assistants", "...")


async def make(place: Place) -> None:
    async with open_database(Settings(database_url=place.url)):
        pass


def test_serve_refuses_them_too(place: Place) -> None:
    place.execute(*LEDGERS["Rails"])
    before = place.state()
    done = command(place.path.parent, "serve", "--port", "0", "--database", place.url)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", refusal("schema_migrations"))
    assert place.state() == before


def test_tables_that_are_in_nobodys_way_are_left_beside_ours(place: Place) -> None:
    place.execute("CREATE TABLE users (id BIGINT)")
    assert main(["migrate", "--database", place.url]) == 0
    assert main(["migrate", "--check", "--database", place.url]) == 0


# ---------------------------------------------------------------- how they are told from ours


class Racing:
    """A new database that another process migrates between the first look at it and the second."""

    engine = "postgres"

    def __init__(self) -> None:
        self.ledger = iter([False, True])

    async def has_table(self, name: str) -> bool:
        return next(self.ledger)

    async def all(self, sql: str, params: Any) -> list[Any]:
        return [(name,) for name in tables(self.engine)]


def test_what_another_process_has_just_made_is_not_foreign() -> None:
    database: Any = Racing()
    assert asyncio.run(is_new(database)) is False


TABLES = """
    SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    AND name NOT LIKE 'chunk\\_words\\__%' ESCAPE '\\'
"""


def test_every_table_of_ours_is_looked_for(place: Place) -> None:
    asyncio.run(make(place))
    if place.is_postgres:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        there = {row[0] for row in postgres.server().execute(sql, place.name)}
    else:
        there = {row[0] for row in apsw.Connection(str(place.path)).execute(TABLES)}
    assert there - {LEDGER} <= tables("postgres" if place.is_postgres else "sqlite")
    assert len(there) > 20
