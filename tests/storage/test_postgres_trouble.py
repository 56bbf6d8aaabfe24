"""A PostgreSQL that cannot be used: told as what it is, nothing stored, and over when the cause is over."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest

from tests.storage.test_trouble import OVER
from tests.support.house import House
from tests.support.postgres import Postgres
from tests.support.waiting import until
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Row, Transaction
from threadkeep.storage.health import said
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions

pytestmark = pytest.mark.promise("postgres.trouble")
MESSAGE = {"role": "user", "content": "x"}
RUBRA_OVER = {"detail": OVER["error"]["message"]}
CONNECTIONS = 3


@pytest.fixture
def house(tmp_path, postgres) -> Iterator[House]:
    with House(tmp_path, database_url=postgres.of(tmp_path), database_connections=CONNECTIONS) as running:
        yield running


class Down:
    """The server is not there."""

    def __init__(self, postgres: Postgres, _: str) -> None:
        self.postgres = postgres
        postgres.stop()

    def end(self) -> None:
        self.postgres.start()


class ReadOnly:
    """The database takes no writes, as after a failover to a copy."""

    def __init__(self, postgres: Postgres, place: str) -> None:
        self.postgres, self.place = postgres, place
        self._set("on")
        disconnect(postgres, place)  # what holds at the start of a connection holds until its end

    def end(self) -> None:
        self._set("off")

    def _set(self, value: str) -> None:
        self.postgres.execute(f'ALTER DATABASE "{self.place}" SET default_transaction_read_only = {value}')


def disconnect(postgres: Postgres, place: str) -> None:
    """Have all connections made anew."""
    postgres.execute(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{place}'"
    )


class Closed:
    """The database takes no connections, as while it is restored."""

    def __init__(self, postgres: Postgres, place: str) -> None:
        self.postgres, self.place = postgres, place
        self._allow("false")
        disconnect(postgres, place)

    def end(self) -> None:
        self._allow("true")

    def _allow(self, value: str) -> None:
        self.postgres.execute(f'ALTER DATABASE "{self.place}" ALLOW_CONNECTIONS {value}')


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full''; END'
"""


class FullDisk:
    """No table may grow."""

    def __init__(self, postgres: Postgres, place: str) -> None:
        self.postgres, self.place = postgres, place
        postgres.execute(FULL, place)
        for table in ("messages", "threads"):
            postgres.execute(
                f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION full_disk()", place
            )

    def end(self) -> None:
        self.postgres.execute("DROP FUNCTION full_disk CASCADE", self.place)


class DeadDisk:
    """The files of two tables cannot be read any more."""

    def __init__(self, postgres: Postgres, place: str) -> None:
        paths = "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname IN ('messages', 'threads')"
        self.files = [postgres.directory / "data" / path for (path,) in postgres.execute(paths, place)]
        self._permit(0o000)
        disconnect(postgres, place)  # an open file stays readable

    def end(self) -> None:
        self._permit(0o600)

    def _permit(self, mode: int) -> None:
        for file in self.files:
            file.chmod(mode)


@pytest.mark.parametrize("trouble", [Down, ReadOnly, FullDisk, DeadDisk, Closed])
def test_a_write_that_cannot_be_made_answers_503_in_the_callers_dialect(
    postgres, place, house, key, http, trouble
):
    thread = http.post("/v1/threads").json()["id"]
    messages = f"/v1/threads/{thread}/messages"
    cause = trouble(postgres, place)
    v1 = {"OpenAI-Beta": "assistants=v1"}
    for path, body in ((messages, MESSAGE), ("/v1/threads", {})):
        for headers in ({}, v1):
            refused = http.post(path, json=body, headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json() == OVER
    refused = http.post(f"/rubra/threads/{thread}/messages", json=MESSAGE)
    assert (refused.status_code, refused.headers["retry-after"], refused.json()) == (503, "1", RUBRA_OVER)
    cause.end()
    until(lambda: http.post(messages, json=MESSAGE).status_code == 200)
    assert len(http.get(messages).json()["data"]) == 1


def test_health_goes_on_and_readiness_says_why_while_the_server_is_down(postgres, place, house, http):
    assert http.get("/readyz").status_code == 200
    cause = Down(postgres, place)
    told = http.get("/readyz")
    assert (told.status_code, told.headers["retry-after"]) == (503, "1")
    assert told.json() == {**OVER, "reason": "unreachable", "detail": "No such file or directory"}
    assert http.get("/v1/threads").json() == OVER
    assert http.get("/healthz").status_code == 200
    cause.end()
    until(lambda: http.get("/readyz").status_code == 200)
    assert http.get("/v1/threads").status_code == 200


@pytest.mark.parametrize("trouble", [ReadOnly, FullDisk])
def test_reads_go_on_while_nothing_can_be_written(postgres, place, house, http, trouble):
    thread = http.post("/v1/threads", json={"messages": [MESSAGE]}).json()["id"]
    cause = trouble(postgres, place)
    until(lambda: http.get("/v1/threads").status_code == 200)
    assert len(http.get(f"/v1/threads/{thread}/messages").json()["data"]) == 1
    cause.end()


def why(http: httpx.Client) -> tuple[int, str, str]:
    told = http.get("/readyz")
    return told.status_code, told.json()["reason"], told.json()["detail"]


@pytest.mark.promise("postgres.reasons")
def test_readyz_says_that_the_database_takes_no_writes(postgres, place, house, http):
    cause = ReadOnly(postgres, place)
    until(lambda: http.get("/v1/threads").status_code == 200)
    assert why(http) in [
        (503, "read_only", "the database takes no writes"),
        (
            503,
            "read_only",
            "cannot execute UPDATE in a read-only transaction",
        ),  # where something was to be done
    ]
    cause.end()
    until(lambda: http.get("/readyz").status_code == 200)


@pytest.mark.promise("postgres.reasons")
@pytest.mark.anyio
async def test_a_server_that_writes_nothing_finds_out_that_it_could_again(postgres, place):
    await asyncio.to_thread(
        postgres.execute, f'ALTER DATABASE "{place}" SET default_transaction_read_only = on'
    )
    database = PostgresDatabase(PostgresOptions(postgres.url(place), 2))
    async with database.read(), database.read():
        pass
    with pytest.raises(Unavailable) as refusal:
        await database.check()
    assert (refusal.value.reason, str(refusal.value)) == ("read_only", "the database takes no writes")
    await asyncio.to_thread(postgres.execute, f'ALTER DATABASE "{place}" RESET default_transaction_read_only')
    await database.check()
    async with database.read() as one, database.read() as other:
        for transaction in (one, other):
            assert await transaction.one("SHOW transaction_read_only", {}) == ("off",)
    await database.close()


@pytest.mark.promise("postgres.reasons")
def test_readyz_says_that_the_disk_is_full_until_something_could_be_written(postgres, place, house, http):
    cause = FullDisk(postgres, place)
    assert http.get("/readyz").status_code == 200  # nobody has tried yet
    assert http.post("/v1/threads").status_code == 503
    assert why(http) == (503, "full", "disk_full")
    cause.end()
    assert http.post("/v1/threads").status_code == 200
    assert http.get("/readyz").status_code == 200


def causes(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [one for one in messages if one.startswith("event=database_unavailable")]


@pytest.mark.promise("postgres.causes")
@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (Down, "reason=unreachable problem="),
        (FullDisk, "reason=full problem='disk_full'"),
        (DeadDisk, "reason=failing problem='could not open file: Permission denied'"),
    ],
)
def test_the_log_says_why_requests_are_refused_once_a_second(
    postgres, place, house, http, caplog, monkeypatch, trouble, cause
):
    monkeypatch.setattr("threadkeep.storage.health.SECONDS_BETWEEN_LINES", 3600.0)
    thread = http.post("/v1/threads").json()["id"]
    began = trouble(postgres, place)
    try:
        until(lambda: http.post("/v1/threads").status_code == 503 and cause in "".join(causes(caplog)))
        for _ in range(3):
            assert http.post(f"/v1/threads/{thread}/messages", json=MESSAGE).status_code == 503
    finally:
        began.end()
    assert len([line for line in causes(caplog) if cause in line]) == 1
    until(lambda: http.post("/v1/threads").status_code == 200)


@pytest.mark.promise("postgres.causes")
@pytest.mark.anyio
async def test_the_log_says_that_there_are_too_many_clients(postgres, place, caplog):
    await asyncio.to_thread(postgres.execute, "CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    database = PostgresDatabase(PostgresOptions(postgres.url(place).replace("//postgres:", "//few:"), 2))
    async with database.read():
        with pytest.raises(Unavailable):
            await database.check()
    await database.close()
    assert causes(caplog) == [
        "event=database_unavailable reason=busy problem='too many connections for role'"
    ]


@pytest.mark.anyio
async def test_a_statement_that_could_not_be_prepared_can_be_later(postgres, place):
    """Its name stays with the server where only what asyncpg asks about its types fails."""

    async def execute(*statements: str) -> None:
        for one in statements:
            await asyncio.to_thread(postgres.execute, one, place)

    async def mood(transaction: Transaction) -> Row | None:
        return await transaction.one("SELECT CAST('glad' AS mood)", {})

    await execute("CREATE ROLE plain LOGIN", "CREATE TYPE mood AS ENUM ('glad')")
    await execute("REVOKE SELECT ON pg_type FROM PUBLIC")
    database = PostgresDatabase(PostgresOptions(postgres.url(place).replace("//postgres:", "//plain:"), 1))
    with pytest.raises(Unavailable, match="permission denied"):
        await database.scan(mood)
    await execute("GRANT SELECT ON pg_type TO PUBLIC")
    assert await database.scan(mood) == ("glad",)
    await database.close()


@pytest.mark.parametrize("trouble", [Down, DeadDisk, Closed])
def test_a_read_that_cannot_be_made_answers_503(postgres, place, house, http, trouble):
    thread = http.post("/v1/threads", json={"messages": [MESSAGE]}).json()["id"]
    cause = trouble(postgres, place)
    for path in (f"/v1/threads/{thread}/messages", f"/v1/threads/{thread}", "/v1/threads"):
        assert http.get(path).json() == OVER
    cause.end()
    until(lambda: http.get(f"/v1/threads/{thread}/messages").status_code == 200)


LATER = "INSERT INTO schema_migrations VALUES (9999, 'of_tomorrow', 9999)"
NO_LONGER = "DELETE FROM schema_migrations WHERE version IN (1, 9999)"


@pytest.mark.promise("postgres.reasons")
def test_readyz_says_that_the_schema_is_of_another_release(postgres, place, house, http):
    postgres.execute(LATER, place)
    assert why(http) == (503, "schema_too_new", "a later release has migrated it")
    postgres.execute(NO_LONGER, place)
    assert why(http) == (503, "schema_too_old", "the migration 0001 is missing")


@pytest.mark.promise("postgres.reasons")
@pytest.mark.parametrize(
    ("one", "other", "detail"),
    [
        ("//postgres:", "//nobody:", "role does not exist"),
        ("/postgres?", "/nowhere?", "database does not exist"),
        ("/postgres?", "/template0?", "database is not currently accepting connections"),
        ("/postgres?", "/postgres?no_such=1&", "unrecognized configuration parameter"),
    ],
)
def test_a_server_that_does_not_let_us_in_says_so(postgres, one, other, detail):
    with pytest.raises(Unavailable) as refusal:
        asyncio.run(checked(postgres.url("postgres").replace(one, other)))
    assert (refusal.value.reason, str(refusal.value)) == ("refused", detail)


async def checked(url: str) -> None:
    database = PostgresDatabase(PostgresOptions(url))
    await database.check()


@pytest.mark.promise("postgres.reasons")
@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 5432)"), "Connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] failed ('::1', 1), [Errno 111] failed ('10.0.0.1', 1)"),
            "Multiple exceptions: [Errno 111] failed, [Errno 111] failed",
        ),
        (
            ValueError('no pg_hba.conf entry for host "10.0.0.1", user "me"\nand more'),
            "no pg_hba.conf entry for host, user",
        ),
        (ValueError("cannot reach 10.0.0.1:5432"), "cannot reach"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_reason_has_one_line_and_no_names(problem, line):
    assert said(problem) == line


class Blocked:
    """Another program holds a table for itself."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.call(self._begin)

    async def _begin(self) -> None:
        self.other = await asyncpg.connect(self.house.settings.database_url)
        await self.other.execute("BEGIN")
        await self.other.execute("LOCK TABLE messages")

    def end(self) -> None:
        self.house.call(self.other.close)


def test_a_pool_without_a_free_connection_answers_503(postgres, place, house, http, monkeypatch):
    messages = f"/v1/threads/{http.post('/v1/threads').json()['id']}/messages"
    cause = Blocked(house)
    blocked = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{place}' AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        of_run = f"{messages}?run_id=run_1"  # which is read by itself, so that each takes a connection
        waiting = [threads.submit(http.get, of_run, timeout=30) for _ in range(CONNECTIONS)]
        until(lambda: len(postgres.execute(blocked)) == CONNECTIONS)
        monkeypatch.setattr("threadkeep.storage.postgres.connection.SECONDS_FOR_A_CONNECTION", 0.02)
        for refused in (http.get("/v1/threads"), http.post("/v1/threads"), http.post(messages, json=MESSAGE)):
            assert (refused.status_code, refused.headers["retry-after"], refused.json()) == (503, "1", OVER)
        assert http.get("/readyz").status_code == 503
        monkeypatch.undo()
        cause.end()
        assert [one.result().status_code for one in waiting] == [200] * CONNECTIONS
    assert http.post(messages, json=MESSAGE).status_code == 200
    assert len(http.get(messages).json()["data"]) == 1


@pytest.mark.anyio
async def test_large_reads_leave_connections_to_others(postgres, place, monkeypatch):
    database = PostgresDatabase(PostgresOptions(postgres.url(place), connections=4))
    begun, end, under_way = asyncio.Event(), asyncio.Event(), 0

    async def large(transaction: Transaction) -> None:
        nonlocal under_way
        under_way += 1
        if under_way == 2:
            begun.set()
        await end.wait()

    async def small(transaction: Transaction) -> Row | None:
        return await transaction.one("SELECT 1", {})

    large_ones = [asyncio.create_task(database.scan(large)) for _ in range(10)]
    await asyncio.wait_for(begun.wait(), 20)
    assert [await database.write(small) for _ in range(10)] == [(1,)] * 10
    assert under_way == 2
    monkeypatch.setattr("threadkeep.storage.postgres.SECONDS_FOR_A_SCAN", 0.0)
    with pytest.raises(Unavailable, match="too many large reads"):
        await database.scan(large)
    end.set()
    await asyncio.gather(*large_ones)
    assert under_way == 10
    await database.close()
