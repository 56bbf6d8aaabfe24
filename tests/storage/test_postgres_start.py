"""A server whose PostgreSQL is not there when it starts."""

import threading

import pytest

from tests.support.child import Child
from tests.support.waiting import until
from threadkeep import app
from threadkeep.cli import main

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
