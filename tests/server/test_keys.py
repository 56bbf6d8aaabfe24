"""Keys from the operator's side: made, listed, revoked, and fixed by the environment."""

import re

import httpx
import pytest

from tests.server.conftest import Visit
from tests.support.child import Child, command
from tests.support.house import House
from threadkeep.cli import main

KEY = re.compile(r"sk-[A-Za-z0-9_-]{43}\n")


def status(house: House, key: str) -> int:
    """What a server answers to a key."""
    return httpx.get(house.base_url + "/threads", headers={"Authorization": f"Bearer {key}"}).status_code


@pytest.fixture
def flags(house: House) -> list[str]:
    """The flag that names the database of the running server."""
    return ["--database", house.settings.database_url]


def created(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The key that `keys create` prints."""
    assert main(["keys", "create", *arguments]) == 0
    output, error = capsys.readouterr()
    assert KEY.fullmatch(output)
    assert error == ""
    return output.strip()


@pytest.mark.promise("server.keys.create")
def test_create_prints_the_key_and_nothing_else(flags, capsys):
    assert created(capsys, *flags) != created(capsys, *flags)


@pytest.mark.promise("server.keys.create")
def test_a_new_key_opens_its_project_on_the_running_server(house, flags, capsys):
    one = created(capsys, *flags, "--project", "of one")
    same = created(capsys, *flags, "--project", "of one")
    other = created(capsys, *flags, "--project", "of another")
    thread = httpx.post(house.base_url + "/threads", headers={"Authorization": f"Bearer {one}"}).json()
    seen = [
        httpx.get(f"{house.base_url}/threads/{thread['id']}", headers={"Authorization": f"Bearer {key}"})
        for key in (one, same, other)
    ]
    assert [answer.status_code for answer in seen] == [200, 200, 404]


@pytest.mark.promise("server.keys.list")
def test_list_shows_every_key_and_no_secret(tmp_path, capsys):
    database = ["--database", f"sqlite:///{tmp_path / 'x.db'}"]
    key = created(capsys, *database, "--project", "support", "--name", "for the shop")
    assert main(["keys", "list", *database]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "PROJECT", "KEY", "NAME", "CREATED", "STATE"]
    shown = rf"key_\w{{24}}  support  sk-\.\.\.{re.escape(key[-4:])}  for the shop  \d{{4}}-\d\d-\d\d  live"
    assert re.fullmatch(shown, line)
    assert key not in line


@pytest.mark.promise("server.keys.revoke")
def test_revoke_ends_a_key_at_once_on_the_running_server(house, tmp_path, flags, capsys):
    key = created(capsys, *flags, "--project", "to be revoked")
    assert status(house, key) == 200
    assert main(["keys", "list", *flags]) == 0
    (id,) = re.findall(r"(key_\w{24}) +to be revoked", capsys.readouterr().out)
    done = command(tmp_path, "keys", "revoke", id, *flags)  # a process of its own, as an operator's is
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{id} is revoked.\n", "")
    assert status(house, key) == 401
    assert main(["keys", "list", *flags]) == 0
    assert re.search(rf"{id} .* revoked\n", capsys.readouterr().out)


@pytest.mark.promise("server.keys.revoke")
def test_revoking_what_is_no_live_key_says_so(flags, capsys):
    assert main(["keys", "revoke", "key_nowhere", *flags]) == 1
    sentence = "threadkeep: no live key has the id key_nowhere (see `threadkeep keys list`).\n"
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.promise("server.keys.hashed")
def test_no_secret_is_in_the_database_file_or_the_log(visit: Visit):
    kept = b"".join(path.read_bytes() for path in visit.child.directory.rglob("*") if path.is_file())
    assert b"some bytes" in kept  # of the uploaded file: everything was looked through
    assert visit.key.encode() not in kept
    assert visit.key.removeprefix("sk-").encode() not in kept


# ------------------------------------------------------------------ THREADKEEP_API_KEY


@pytest.mark.promise("server.keys.fixed")
def test_the_environment_fixes_the_first_projects_key(tmp_path):
    with House(tmp_path, api_key="sk-of-the-operator") as house:
        thread = httpx.post(
            house.base_url + "/threads", headers={"Authorization": "Bearer sk-of-the-operator"}
        )
        assert thread.status_code == 200
    with House(tmp_path, api_key="sk-of-the-operator") as again:
        assert status(again, "sk-of-the-operator") == 200
        assert len(stored_keys(again)) == 1


@pytest.mark.promise("server.keys.fixed")
def test_another_fixed_key_takes_the_place_of_the_old_one(tmp_path):
    with House(tmp_path, api_key="sk-the-old-one") as house:
        made = house.new_key("default")
        headers = {"Authorization": "Bearer sk-the-old-one"}
        thread = httpx.post(house.base_url + "/threads", headers=headers).json()["id"]
    with House(tmp_path, api_key="sk-the-new-one") as house:
        assert [status(house, key) for key in ("sk-the-old-one", "sk-the-new-one", made)] == [401, 200, 200]
        headers = {"Authorization": "Bearer sk-the-new-one"}
        assert httpx.get(f"{house.base_url}/threads/{thread}", headers=headers).status_code == 200


@pytest.mark.promise("server.keys.fixed")
def test_a_fixed_key_that_was_revoked_is_refused_in_one_sentence(tmp_path, capsys):
    database = ["--database", f"sqlite:///{tmp_path / 'threadkeep.db'}"]
    with House(tmp_path, api_key="sk-one-that-leaked") as house:
        (key,) = stored_keys(house)
    assert main(["keys", "revoke", key, *database]) == 0
    refused = command(tmp_path, "serve", "--port", "0", *database, THREADKEEP_API_KEY="sk-one-that-leaked")
    sentence = "threadkeep: THREADKEEP_API_KEY holds a key that was revoked (sk-...aked): set another.\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", sentence)
    with House(tmp_path, api_key="sk-another-one") as house:
        assert [status(house, one) for one in ("sk-one-that-leaked", "sk-another-one")] == [401, 200]


def stored_keys(house: House) -> list[str]:
    """The ids of a server's keys."""

    async def work(transaction):
        return [row[0] for row in await transaction.all("SELECT id FROM api_keys ORDER BY id", {})]

    return house.call(lambda: house.context.database.scan(work))


@pytest.mark.promise("server.keys.fixed")
def test_a_fixed_key_is_not_printed(tmp_path):
    with Child(tmp_path, THREADKEEP_API_KEY="sk-of-the-operator") as child:
        assert "sk-of-the-operator" not in child.output
        assert child.key is None
