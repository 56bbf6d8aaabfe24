"""Several hosts in the address of PostgreSQL: each has its time, and only one that takes writes will do."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from tests.storage.test_trouble import OVER
from tests.support.child import Child
from tests.support.house import House
from tests.support.postgres import Postgres
from tests.support.waiting import until
from threadkeep import app
from threadkeep.cli import main
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.postgres import connection as connections
from threadkeep.storage.postgres import listener as listeners
from threadkeep.storage.postgres.hosts import one_host_each, reached, understood

pytestmark = pytest.mark.promise("postgres.hosts")
MESSAGE = {"role": "user", "content": "x"}
WRITES = "&target_session_attrs=read-write"
SENTENCE = (
    "threadkeep: The database that database_url names cannot be used (read only): "
    "no host is as target_session_attrs wants it.\n"
)


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://me:p%2Cw@one/db", ["postgresql://me:p%2Cw@one/db"]),
        (
            "postgresql://me@one:1,[::1]:2,three/db?sslmode=require",
            [f"postgresql://me@{host}/db?sslmode=require" for host in ("one:1", "[::1]:2", "three")],
        ),
        (
            "postgresql://me@/db?host=/run/a,two&port=1,2",
            [f"postgresql://me@/db?host={host}" for host in ("%2Frun%2Fa&port=1", "two&port=2")],
        ),
        (
            "postgresql://me@/db?host=one,two&port=1",
            [f"postgresql://me@/db?host={host}&port=1" for host in ("one", "two")],
        ),
        ("postgresql://me@/db?host=one,two&port=1,2,3", ["postgresql://me@/db?host=one,two&port=1,2,3"]),
        ("postgresql:///db", ["postgresql:///db"]),
    ],
)
def test_each_host_has_a_url_of_its_own(url, each):
    assert one_host_each(url) == each


OF_LIBPQ = (
    "connect_timeout=10&channel_binding=prefer&client_encoding=auto&fallback_application_name=x&gssencmode=disable"
    "&gssdelegation=0&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"
    "&load_balance_hosts=disable&max_protocol_version=latest&requiressl=0&sslcertmode=allow&sslcompression=0"
    "&sslsni=1&tcp_user_timeout=1000"
)


@pytest.mark.promise("postgres.address")
@pytest.mark.parametrize(
    ("url", "taken"),
    [
        (f"postgresql://me@one/db?{OF_LIBPQ}", ("postgresql://me@one/db", 10)),
        (
            "postgresql://me:p%2Fw@one,two/db?sslmode=require&connect_timeout=3",
            ("postgresql://me:p%2Fw@one,two/db?sslmode=require", 3),
        ),
        ("postgresql://me@one/db?ssl=true", ("postgresql://me@one/db?sslmode=require", 0)),
        ("postgresql://me@one/db?connect_timeout=-1", ("postgresql://me@one/db", 0)),
        ("postgresql:///db?options=-c%20a%3Db", ("postgresql:///db?options=-c%20a%3Db", 0)),
    ],
)
def test_parameters_that_change_nothing_are_taken_out(url, taken):
    assert understood(url) == taken


@pytest.mark.promise("postgres.address")
@pytest.mark.parametrize(
    "parameter",
    [
        "channel_binding=require",
        "gssencmode=require",
        "requiressl=1",
        "sslcertmode=require",
        "hostaddr=10.0.0.1",
        "require_auth=scram-sha-256",
        "requirepeer=postgres",
        "sslcrldir=/etc/crl",
        "connect_timeout=soon",
    ],
)
def test_parameters_that_would_be_unsafe_to_pass_over_are_named(parameter):
    with pytest.raises(ValueError, match=f"{parameter.partition('=')[0]}.* (not supported|no number)"):
        understood(f"postgresql://me@one/db?{parameter}")


@pytest.mark.promise("postgres.address")
@pytest.mark.anyio
async def test_an_address_for_postgresqls_own_tools_will_do(postgres, tmp_path):
    database = PostgresDatabase(
        PostgresOptions(f"{await asyncio.to_thread(postgres.of, tmp_path)}&{OF_LIBPQ}", 1)
    )
    await database.check()
    await database.close()


@pytest.mark.promise("postgres.address")
@pytest.mark.anyio
async def test_an_address_may_say_how_long_a_host_has_to_answer(monkeypatch):
    given: list[float] = []

    async def connect(url: str, **how: float) -> None:
        given.append(how["timeout"])

    monkeypatch.setattr(asyncpg, "connect", connect)
    for parameter in ("connect_timeout=7", "connect_timeout=0", ""):
        await reached(f"postgresql://me@one/db?{parameter}", None, 5.0)
    assert given == [7, 5.0, 5.0]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port on which nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        yield nobody.getsockname()[1]


def behind(url: str, port: int) -> str:
    """A URL whose first host is a port of loopback, and the second that of `url`."""
    parts = urlsplit(url)
    directory = parse_qs(parts.query)["host"][0]
    return f"postgresql://{parts.username}@{parts.path}?host=127.0.0.1,{directory}&port={port},5432"


@pytest.mark.anyio
@pytest.mark.parametrize("prepared", [True, False])
async def test_the_next_host_is_tried_where_one_says_nothing(
    postgres, tmp_path, monkeypatch, silent, prepared
):
    monkeypatch.setattr(connections, "SECONDS_FOR_A_CONNECTION", 0.5)
    monkeypatch.setattr(listeners, "SECONDS_FOR_A_CONNECTION", 0.5)
    url = behind(await asyncio.to_thread(postgres.of, tmp_path), silent)
    database = PostgresDatabase(PostgresOptions(url, 1, prepared=prepared))
    await database.check()
    if prepared:
        heard = asyncio.Event()
        database.listen("a_channel", heard.set)
        async with asyncio.timeout(20):
            await heard.wait()
    await database.close()


@pytest.mark.anyio
async def test_the_next_host_is_tried_where_one_does_not_exist(postgres, tmp_path):
    database = PostgresDatabase(PostgresOptions(behind(await asyncio.to_thread(postgres.of, tmp_path), 1), 1))
    await database.check()
    await database.close()


class NoWrites:
    """The only host is a copy."""

    def __init__(self, postgres: Postgres, place: str) -> None:
        self.postgres, self.place = postgres, place
        postgres.execute(f'ALTER DATABASE "{place}" SET default_transaction_read_only = on')
        postgres.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{place}'"
        )

    def end(self) -> None:
        self.postgres.execute(f'ALTER DATABASE "{self.place}" RESET default_transaction_read_only')


@pytest.fixture
def house(tmp_path, postgres) -> Iterator[House]:
    with House(tmp_path, database_url=postgres.of(tmp_path) + WRITES) as running:
        yield running


def test_without_a_host_that_takes_writes_requests_are_answered_503(postgres, place, house, http):
    messages = f"/v1/threads/{http.post('/v1/threads').json()['id']}/messages"
    cause = NoWrites(postgres, place)
    until(lambda: not_ready(http) == "read_only")
    for refused in (http.post(messages, json=MESSAGE), http.post("/v1/threads"), http.get("/v1/threads")):
        assert (refused.status_code, refused.headers["retry-after"], refused.json()) == (503, "1", OVER)
    cause.end()
    until(lambda: http.get("/readyz").status_code == 200)
    assert http.post(messages, json=MESSAGE).status_code == 200
    assert len(http.get(messages).json()["data"]) == 1


def not_ready(http: httpx.Client) -> str | None:
    return http.get("/readyz").json().get("reason")


@pytest.mark.parametrize("arguments", [["serve"], ["migrate"], ["migrate", "--check"], ["keys", "list"]])
def test_a_command_says_so_in_one_sentence(postgres, tmp_path, place, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "SECONDS_TO_WAIT", 0.0)
    NoWrites(postgres, place)
    assert main([*arguments, "--database", postgres.of(tmp_path) + WRITES]) == 1
    assert capsys.readouterr() == ("", SENTENCE)


@pytest.mark.promise("postgres.start")
def test_a_server_that_starts_waits_for_a_host_that_takes_writes(postgres, tmp_path, place):
    cause = NoWrites(postgres, place)
    child = Child(tmp_path, "--database", postgres.of(tmp_path) + WRITES)
    later = threading.Thread(target=child.__enter__)
    later.start()
    until(lambda: (tmp_path / "log.txt").exists() and "event=database_awaited" in child.log)
    cause.end()
    later.join()
    assert child.key
    child.stop()
    child.__exit__()
