"""PostgreSQL over TLS: what the address asks for is what happens, and never less."""

import asyncio

import httpx
import pytest

from tests.support.doorman import Doorman
from tests.support.house import House
from tests.support.tls_door import Authority, TlsDoor
from threadkeep.errors import Unavailable
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions

pytestmark = pytest.mark.promise("postgres.tls")
LOOPBACK, ELSEWHERE = "127.0.0.1", "192.0.2.1"


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def url(postgres, tmp_path) -> str:
    return postgres.of(tmp_path)


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_a_server_speaks_tls_on_all_its_connections(url, authority, tmp_path, mode):
    certificate = authority.certificate("database", LOOPBACK)
    root = f"&sslrootcert={authority.path}" * mode.startswith("verify")
    with (
        TlsDoor(url, certificate) as door,
        House(tmp_path, database_url=f"{door.url}?sslmode={mode}{root}") as house,
    ):
        a_message_is_kept_by(house)
        assert {*door.let_in} == {"TLSv1.3"}
        assert len(door.let_in) >= 2  # one listens


def test_a_client_shows_its_certificate(url, authority, tmp_path):
    certificate = authority.certificate("database", LOOPBACK)
    client = authority.certificate("threadkeep", LOOPBACK)
    wanted = f"?sslmode=verify-full&sslrootcert={authority.path}"
    with TlsDoor(url, certificate, clients=authority) as door:
        shown = f"{wanted}&sslcert={client.path}&sslkey={client.key_path}"
        with House(tmp_path, database_url=door.url + shown) as house:
            a_message_is_kept_by(house)
        before = len(door.let_in)
        refusal_of(door.url + wanted)
        assert len(door.let_in) == before > 0


def a_message_is_kept_by(house: House) -> None:
    """A large one is written and read."""
    headers = {"Authorization": f"Bearer {house.new_key('default')}", "OpenAI-Beta": "assistants=v2"}
    with httpx.Client(base_url=house.base_url, headers=headers, verify=False) as http:
        messages = f"/threads/{http.post('/threads').json()['id']}/messages"
        created = http.post(messages, json={"role": "user", "content": "x" * 100_000}).json()
        assert http.get(messages).json()["data"] == [created]


# ---------------------------------------------------------------- never less than was asked for


@pytest.mark.parametrize(
    ("mode", "known", "address", "said"),
    [
        ("verify-ca", False, LOOPBACK, "certificate verify failed"),
        ("verify-full", False, LOOPBACK, "certificate verify failed"),
        ("verify-full", True, ELSEWHERE, "IP address mismatch"),
        ("disable", True, LOOPBACK, "no encryption"),
    ],
)
def test_a_server_that_is_not_who_it_should_be_is_refused(
    url, authority, tmp_path, mode, known, address, said
):
    other = Authority(tmp_path / "other")
    root = (authority if known else other).path
    with TlsDoor(url, authority.certificate("database", address)) as door:
        assert said in refusal_of(f"{door.url}?sslmode={mode}&sslrootcert={root}")
        assert door.let_in == []


def test_the_name_counts_only_where_all_is_to_be_verified(url, authority):
    with TlsDoor(url, authority.certificate("database", ELSEWHERE)) as door:
        reached(f"{door.url}?sslmode=verify-ca&sslrootcert={authority.path}")
        assert door.let_in == ["TLSv1.3"]


def test_a_server_without_tls_is_refused_where_it_is_required(url):
    with Doorman(url) as door:
        reached(f"{door.url}?sslmode=prefer")
        assert "rejected SSL upgrade" in refusal_of(f"{door.url}?sslmode=require")


def reached(url: str) -> None:
    """Go there, with one connection."""

    async def check() -> None:
        database = PostgresDatabase(PostgresOptions(url, 1))
        try:
            await database.check()
        finally:
            await database.close()

    asyncio.run(check())


def refusal_of(url: str) -> str:
    """Why a server cannot be reached."""
    with pytest.raises(Unavailable) as refusal:
        reached(url)
    return str(refusal.value)
