"""A server whose PostgreSQL is not there when it starts."""

import asyncio
import signal
import threading

import asyncpg
import httpx
import pytest

from tests.storage.test_postgres_trouble import ReadOnly
from tests.support.child import Child, command
from tests.support.waiting import until
from threadkeep import app
from threadkeep.cli import main
from threadkeep.storage.migrate import migrations
from threadkeep.storage.postgres import OUR_LOCK

pytestmark = pytest.mark.promise("postgres.start")
NOWHERE = "postgresql://me:secret@127.0.0.1:1/here"
SENTENCE = (
    "threadkeep: The database that database_url names cannot be used (unreachable): Connection refused."
)


@pytest.mark.parametrize("arguments", [["serve"], ["migrate"], ["migrate", "--check"], ["keys", "list"]])
def test_a_database_that_is_not_there_is_told_in_one_sentence(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "SECONDS_TO_WAIT", 0.0)
    assert main([*arguments, "--database", NOWHERE]) == 1
    assert capsys.readouterr() == ("", SENTENCE + "\n")


def test_a_url_that_cannot_be_read_is_told_without_the_password(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--database", "postgresql://me:sec/ret@127.0.0.1/here"]) == 1
    output, error = capsys.readouterr()
    assert (output, error.count("\n")) == ("", 1)
    assert error.startswith("threadkeep: The database that database_url names cannot be used (refused): ")
    assert "sec" not in error
    assert "ret" not in error.replace("refused", "")


def test_a_database_that_takes_no_connections_is_told_in_one_sentence(
    postgres, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--database", postgres.url("template0")]) == 1
    sentence = (
        "threadkeep: The database that database_url names cannot be used (refused): "
        "database is not currently accepting connections.\n"
    )
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.promise("postgres.address")
def test_what_an_address_asks_for_in_vain_is_told_in_one_sentence(postgres, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--database", postgres.of(tmp_path) + "&channel_binding=require"]) == 1
    sentence = (
        "threadkeep: The database that database_url names cannot be used (refused): "
        "its address asks for channel_binding, which is not supported.\n"
    )
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.promise("postgres.encoding")
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("prepared", ["true", "false"])
def test_a_database_in_another_encoding_is_refused_in_one_sentence(
    postgres, tmp_path, monkeypatch, capsys, encoding, prepared
):
    name = f"{encoding} {prepared}"
    postgres.execute(
        f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREADKEEP_DATABASE_PREPARED", prepared)
    assert main(["serve", "--database", postgres.url(name)]) == 1
    sentence = (
        "threadkeep: The database that database_url names cannot be used (refused): "
        f"its encoding is {encoding}, and must be UTF8.\n"
    )
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_waits_for_a_database_that_comes_later(tmp_path, postgres, workers):
    url = postgres.of(tmp_path)
    postgres.stop()
    child = Child(tmp_path, "--database", url, "--workers", workers)
    later = threading.Thread(target=child.__enter__)
    later.start()
    until(lambda: (tmp_path / "log.txt").exists() and "event=database_awaited" in child.log)
    postgres.start()
    later.join()
    assert child.key
    child.stop()
    child.__exit__()


def test_a_server_waits_for_a_connection_that_becomes_free(tmp_path, postgres):
    postgres.execute("CREATE ROLE guest LOGIN IN ROLE postgres CONNECTION LIMIT 0")
    url = postgres.of(tmp_path).replace("//postgres:@", "//guest:@")
    child = Child(tmp_path, "--database", url)
    later = threading.Thread(target=child.__enter__)
    later.start()
    until(lambda: (tmp_path / "log.txt").exists() and "too many connections" in child.log)
    postgres.execute("ALTER ROLE guest CONNECTION LIMIT -1")
    later.join()
    assert child.key
    child.stop()
    child.__exit__()


@pytest.mark.promise("server.migrate.long")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_waits_for_another_process_to_migrate_can_be_ended(tmp_path, postgres, workers, by):
    url = postgres.empty(f"{tmp_path.name} waits")
    loop = asyncio.new_event_loop()
    other = loop.run_until_complete(asyncpg.connect(url))
    loop.run_until_complete(other.execute(f"BEGIN; SELECT pg_advisory_xact_lock({OUR_LOCK})"))
    child = Child(tmp_path, "--database", url, "--workers", workers)

    def start() -> None:
        with pytest.raises(AssertionError, match="did not start"):
            child.__enter__()

    starting = threading.Thread(target=start)
    starting.start()
    until(lambda: (tmp_path / "log.txt").exists() and "event=migration_awaited" in child.log)
    assert child.stop(by) != 0
    starting.join()
    child.__exit__()
    loop.run_until_complete(other.close())
    loop.close()


@pytest.mark.promise("postgres.start.read-only")
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_starts_and_serves_reads_while_its_database_takes_no_writes(
    tmp_path, postgres, place, workers, fixed
):
    """As one that is started again in the middle of a failover."""
    settings = {"THREADKEEP_DATABASE_URL": postgres.of(tmp_path)}
    key = "sk-fixed"
    if fixed:
        settings["THREADKEEP_API_KEY"] = key
    with Child(tmp_path, **settings) as before:
        key = before.key or key
        before.stop()
    cause = ReadOnly(postgres, place)
    with Child(tmp_path, "--workers", workers, **settings) as child:
        bearer = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=child.address, headers=bearer) as http:
            assert http.get("/v1/threads").json()["data"] == []
            assert http.post("/v1/threads").status_code == 503
            assert http.get("/readyz").json()["reason"] == "read_only"
            cause.end()
            until(lambda: http.post("/v1/threads").status_code == 200)
        assert "level=ERROR" not in child.log


@pytest.mark.promise("postgres.start.read-only")
def test_a_database_that_takes_no_writes_and_lacks_a_migration_is_told_in_one_sentence(
    tmp_path, postgres, place
):
    url = postgres.of(tmp_path)
    postgres.execute(f"DELETE FROM schema_migrations WHERE version = {len(migrations())}", place)
    cause = ReadOnly(postgres, place)
    for arguments in (["serve", "--port", "0"], ["migrate"], ["keys", "list"]):
        done = command(tmp_path, *arguments, "--database", url)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == (
            "threadkeep: The database that database_url names cannot be used (read only): "
            "cannot execute CREATE TABLE in a read-only transaction."
        )
    cause.end()
    assert command(tmp_path, "migrate", "--check", "--database", url).returncode == 1
