"""The schema: what `schema.sql` says is what migrating makes, once, however many start together."""

import asyncio
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import apsw
import httpx
import pytest

from tests.support.child import SECONDS, Child, command, environment
from threadkeep.cli import main
from threadkeep.storage.companions import companion_of
from threadkeep.storage.migrate import migrate, migrations, pending, statements_of
from threadkeep.storage.sqlite import SQLiteDatabase, connect

MIGRATE = """
import asyncio, pathlib, sys
from threadkeep.storage.migrate import migrate
from threadkeep.storage.sqlite import SQLiteDatabase

async def main():
    database = SQLiteDatabase(pathlib.Path(sys.argv[1]))
    applied = await migrate(database)
    await database.close()
    return len(applied)

print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(main()))
"""
STARTERS = 10


async def migrated(path: Path) -> list[int]:
    """Migrate the database at `path`; the numbers of what was applied."""
    database = SQLiteDatabase(path)
    applied = await migrate(database)
    await database.close()
    return [one.version for one in applied]


def schema_of(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    """Everything in a schema, without regard to white space."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1, 2")
    return [(kind, name, re.sub(r"\s+", "", sql)) for kind, name, sql in rows]


def test_schema_sql_equals_the_sum_of_the_migrations(tmp_path):
    asyncio.run(migrated(tmp_path / "sum.db"))
    text = resources.files("threadkeep.storage").joinpath("schema.sql").read_text(encoding="utf-8")
    written = apsw.Connection(":memory:")
    for statement in (*statements_of(text), *companion_of("schema.sql", "sqlite")):
        written.execute(statement)
    assert schema_of(written) == schema_of(apsw.Connection(str(tmp_path / "sum.db")))


def test_migrations_are_numbered_without_gaps():
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))


def test_migrating_again_does_nothing(tmp_path):
    every = [one.version for one in migrations()]
    assert asyncio.run(migrated(tmp_path / "a.db")) == every
    assert asyncio.run(migrated(tmp_path / "a.db")) == []


def test_pending_names_what_is_missing(tmp_path):
    async def before_and_after() -> tuple[list[int], list[int]]:
        database = SQLiteDatabase(tmp_path / "a.db")
        before = [one.version for one in await pending(database)]
        await migrate(database)
        after = [one.version for one in await pending(database)]
        await database.close()
        return before, after

    assert asyncio.run(before_and_after()) == ([one.version for one in migrations()], [])


@pytest.mark.promise("server.migrate.concurrent-starts")
def test_ten_processes_that_start_together_migrate_once(tmp_path):
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, str(tmp_path / "shared.db")],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(STARTERS)
    ]
    for one in starters:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in starters:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    said = [one.communicate(timeout=SECONDS) for one in starters]
    assert [errors for _, errors in said if errors] == []
    assert sorted(int(output) for output, _ in said) == [0] * (STARTERS - 1) + [len(migrations())]


def test_connections_that_open_a_new_database_together_do_not_refuse_each_other(tmp_path):
    """Turning a database to WAL knows no waiting of its own; a hundred chances to collide."""

    def open_together(path: Path) -> None:
        barrier.wait(SECONDS)
        connect(path, writable=True).close()

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(barrier.parties) as pool:
        for number in range(100):
            list(pool.map(open_together, [tmp_path / f"{number}.db"] * barrier.parties))


def later(directory: Path, *compatible_from: int | None) -> Path:
    """A directory whose database later releases have migrated; the last version is 9999."""
    (directory / "data").mkdir()
    path = directory / "data" / "threadkeep.db"
    asyncio.run(migrated(path))
    connection = apsw.Connection(str(path))
    for version, oldest in enumerate(compatible_from, 10_000 - len(compatible_from)):
        row = (version, f"of_{version}", oldest)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", row)
    connection.close()
    return directory


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A directory whose database a later release has migrated, one step of it for itself alone."""
    return later(tmp_path, 9998, KNOWN)


KNOWN = len(migrations())
REFUSAL = (
    "threadkeep: The database has schema version 9999, which takes a release of Threadkeep that knows "
    f"version 9998 at least; this one knows {KNOWN}: start the newer release, or restore an older backup.\n"
)


@pytest.mark.promise("server.migrate.schema-too-new")
def test_serve_refuses_a_newer_schema_in_one_sentence(newer):
    done = command(newer, "serve", "--port", "0")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", REFUSAL)


@pytest.mark.promise("server.migrate.schema-too-new")
@pytest.mark.parametrize("arguments", [["migrate", "--check"], ["migrate"], ["keys", "list"]])
def test_other_commands_refuse_a_newer_schema_in_one_sentence(newer, arguments, monkeypatch, capsys):
    monkeypatch.chdir(newer)
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", REFUSAL)


@pytest.mark.promise("server.migrate.schema-newer-but-compatible")
def test_the_release_before_starts_on_a_newer_schema_that_keeps_it_working(tmp_path):
    """It may have to be started again while it is being replaced."""
    with Child(later(tmp_path, 1, KNOWN)) as child:
        bearer = {"Authorization": f"Bearer {child.key}"}
        thread = httpx.post(f"{child.address}/v1/threads", headers=bearer)
        assert (thread.status_code, httpx.get(f"{child.address}/readyz").status_code) == (200, 200)
        assert f"event=schema_newer version=9999 known={KNOWN}" in child.log
    done = command(tmp_path, "migrate", "--check")
    assert (done.returncode, done.stdout) == (0, "the schema is up to date\n")


@pytest.mark.promise("server.migrate.schema-too-new")
def test_a_step_that_does_not_say_what_works_on_it_is_for_later_releases(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(later(tmp_path, KNOWN, None))
    assert main(["migrate"]) == 1
    refusal = f"that knows version 9999 at least; this one knows {KNOWN}: start the newer release"
    assert refusal in capsys.readouterr().err


def test_a_ledger_of_before_learns_what_each_step_is_compatible_from(tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    monkeypatch.setattr("threadkeep.storage.migrate.migrations", lambda: migrations()[:2])
    monkeypatch.setattr("threadkeep.storage.migrate.RECORD_COMPATIBLE", "SELECT :version, :compatible_from")
    asyncio.run(migrated(path))
    monkeypatch.undo()
    assert asyncio.run(migrated(path)) == [one.version for one in migrations()[2:]]
    rows = apsw.Connection(str(path)).execute(
        "SELECT version, compatible_from FROM schema_migrations ORDER BY version"
    )
    assert [*rows] == [(one.version, one.compatible_from) for one in migrations()]


@pytest.mark.promise("server.migrate.long")
def test_a_server_starts_and_serves_reads_while_another_process_writes(tmp_path, monkeypatch, capsys):
    """Where no migration and no key is missing, a start writes nothing that it would have to wait for."""
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "create"]) == 0
    bearer = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
    other = apsw.Connection(str(tmp_path / "data" / "threadkeep.db"))
    other.execute("BEGIN IMMEDIATE")
    with Child(tmp_path) as child, httpx.Client(base_url=child.address, headers=bearer) as http:
        assert http.get("/v1/threads").json()["data"] == []
        other.execute("COMMIT")
        assert http.post("/v1/threads").status_code == 200
    other.close()


def test_every_migration_keeps_the_release_before_it_working():
    """Who cannot promise that splits it in two, for two releases."""
    assert [one.version for one in migrations() if one.compatible_from > max(1, one.version - 1)] == []


def test_migrate_check_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["migrate", "--check"]) == 1
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "threadkeep.db"
    connect(path, writable=True).close()
    before = path.read_bytes()
    assert main(["migrate", "--check"]) == 1
    assert path.read_bytes() == before
    assert schema_of(apsw.Connection(str(path))) == []


def test_migrate_check_tells_what_is_pending_and_migrate_applies_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = [f"{one.version:04} {one.name}" for one in migrations()]
    assert main(["migrate", "--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [f"pending {name}" for name in names]
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"applied {name}" for name in names]
    assert main(["migrate", "--check"]) == 0
    assert capsys.readouterr().out == "the schema is up to date\n"
