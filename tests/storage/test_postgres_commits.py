"""Writes on PostgreSQL that meet others, take too long, or lose their connection while they are committed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import msgspec
import pytest

from tests.support.house import House
from tests.support.postgres import Postgres, server
from tests.support.waiting import until
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Question, Transaction, Work
from threadkeep.storage.postgres import ATTEMPTS, PostgresDatabase, PostgresOptions

pytestmark = pytest.mark.promise("postgres.commits")
CONFLICT = "DO $$ BEGIN RAISE serialization_failure; END $$"
MESSAGE = {"role": "user", "content": "x"}
Post = Callable[[str], httpx.Response]


# ------------------------------------------------------------------ conflicts and limits


@pytest.fixture
def name(tmp_path) -> str:
    """The name of a database with our tables, and one `notes`."""
    server().with_tables(tmp_path.name)
    server().execute("CREATE TABLE notes (text TEXT PRIMARY KEY)", tmp_path.name)
    server().execute("INSERT INTO notes VALUES ('a'), ('b')", tmp_path.name)
    server().execute(f"ALTER DATABASE \"{tmp_path.name}\" SET deadlock_timeout = '10ms'")
    return tmp_path.name


@pytest.fixture
def options(name) -> PostgresOptions:
    return PostgresOptions(server().url(name), 4, statement_timeout=5_000)


@pytest.fixture
async def opened(options) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(options)
    yield database
    await database.close()


async def notes(database: PostgresDatabase) -> list[str]:
    async with database.read() as transaction:
        return [row[0] for row in await transaction.all("SELECT text FROM notes ORDER BY text", {})]


def adding(text: str, conflicts: int) -> tuple[Work[None], list[int]]:
    """A work that adds a note and meets with a few conflicts first; and a list of its runs."""
    runs: list[int] = []

    async def work(transaction: Transaction) -> None:
        runs.append(1)
        await transaction.run("INSERT INTO notes (text) VALUES (:text)", {"text": text})
        if len(runs) <= conflicts:
            await transaction.define(CONFLICT)

    return work, runs


@pytest.mark.anyio
async def test_a_serialization_failure_is_tried_again(opened):
    work, runs = adding("c", conflicts=2)
    await opened.write(work)
    assert (len(runs), await notes(opened)) == (3, ["a", "b", "c"])


@pytest.mark.anyio
async def test_a_write_that_never_gets_through_is_given_up(opened):
    work, runs = adding("c", conflicts=100)
    with pytest.raises(Unavailable):
        await opened.write(work)
    assert (len(runs), await notes(opened)) == (ATTEMPTS, ["a", "b"])


GIVES_WAY = """
    CREATE FUNCTION gives_way() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('met') <= {} THEN
            RAISE serialization_failure USING MESSAGE = 'canceling statement due to conflict with recovery';
        END IF;
        RETURN true;
    END $$
"""
ON_A_STANDBY = "SELECT text FROM notes WHERE text = 'a' AND gives_way()"
ASKED = Question(
    f"SELECT ({ON_A_STANDBY}) FROM unnest(CAST(:texts AS TEXT[])) WITH ORDINALITY AS asked (text, place) "
    "ORDER BY place",
    ("texts",),
)


async def on_a_standby(transaction: Transaction) -> str:
    row = await transaction.one(ON_A_STANDBY, {})
    assert row
    return str(row[0])


async def by_scan(database: PostgresDatabase) -> str:
    return await database.scan(on_a_standby)


async def by_read(database: PostgresDatabase) -> str:
    async with database.read() as transaction:
        return await on_a_standby(transaction)


async def by_asking(database: PostgresDatabase) -> str:
    one, other = await asyncio.gather(*(database.ask(ASKED, ("b",), on_a_standby) for _ in range(2)))
    assert one == other
    return one


@pytest.fixture
async def standby(name, options, prepared, times) -> AsyncIterator[PostgresDatabase]:
    """A database that so many times takes back what a read looks at, as happens to a copy."""
    await asyncio.to_thread(server().execute, "CREATE SEQUENCE met", name)
    await asyncio.to_thread(server().execute, GIVES_WAY.format(times), name)
    database = PostgresDatabase(msgspec.structs.replace(options, prepared=prepared))
    yield database
    await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize("times", [2])
@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("read", [by_scan, by_read, by_asking])
async def test_a_read_that_a_standby_gives_up_is_tried_again(standby, read):
    assert await read(standby) == "a"


@pytest.mark.anyio
@pytest.mark.parametrize("times", [100])
@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("read", [by_scan, by_read, by_asking])
async def test_a_read_that_never_gets_through_is_given_up(standby, read):
    with pytest.raises(Unavailable) as given_up:
        await read(standby)
    assert given_up.value.reason == "busy"


@pytest.mark.anyio
async def test_of_two_in_a_deadlock_both_come_through(opened):
    meeting = asyncio.Barrier(2)
    first_runs: list[str] = []

    def crossing(first: str, second: str) -> Work[None]:
        async def work(transaction: Transaction) -> None:
            await transaction.run("UPDATE notes SET text = text WHERE text = :text", {"text": first})
            if first not in first_runs:
                first_runs.append(first)
                await meeting.wait()
            await transaction.run("UPDATE notes SET text = text WHERE text = :text", {"text": second})
            await transaction.run("INSERT INTO notes (text) VALUES (:text)", {"text": first + second})

        return work

    await asyncio.gather(opened.write(crossing("a", "b")), opened.write(crossing("b", "a")))
    assert await notes(opened) == ["a", "ab", "b", "ba"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limit", "statement"),
    [("statement_timeout", "SELECT pg_sleep(60)"), ("lock_timeout", "LOCK TABLE notes")],
)
async def test_a_statement_that_takes_too_long_ends_and_its_connection_stays(
    opened, options, limit, statement
):
    class Options(PostgresOptions, frozen=True): ...

    hasty = PostgresDatabase(Options(**{"url": options.url, "connections": 1, limit: 20}))

    async def who(transaction: Transaction) -> int:
        row = await transaction.one("SELECT pg_backend_pid()", {})
        assert row
        return int(row[0])

    async def too_long(transaction: Transaction) -> None:
        await transaction.run("INSERT INTO notes (text) VALUES ('c')", {})
        await transaction.run(statement, {})

    before = await hasty.scan(who)

    async def while_locked(transaction: Transaction) -> None:
        await transaction.run("LOCK TABLE notes IN ROW EXCLUSIVE MODE", {})
        with pytest.raises(Unavailable, match="timeout"):
            await hasty.write(too_long)

    await opened.write(while_locked)
    assert await hasty.scan(who) == before
    assert await notes(hasty) == ["a", "b"]
    await hasty.close()


# ------------------------------------------------------------------ lost in the middle of a commit


@pytest.fixture
def prepared() -> bool:
    return True


@pytest.fixture
def house(tmp_path, postgres, prepared) -> Iterator[House]:
    with House(tmp_path, database_url=postgres.of(tmp_path), database_prepared=prepared) as running:
        yield running


@pytest.fixture
def thread(http) -> str:
    return f"/v1/threads/{http.post('/v1/threads').json()['id']}"


@pytest.fixture
def post(writer, http, thread) -> Post:
    """Makes a message: by the statement of many, or, with an idempotency key, by a transaction of its own."""

    def send(key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key} if writer == "write" else {}
        return http.post(f"{thread}/messages", json=MESSAGE, headers=headers, timeout=30)

    return send


class Posting:
    """A request under way on a thread of its own."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._answer = self._post("the one")

    def answer(self) -> httpx.Response:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._answer


class Committed:
    """Commits are durable but not answered: they wait for a copy on a server that does not exist."""

    event = "SyncRep"

    def __init__(self, postgres: Postgres, _: str) -> None:
        self.postgres = postgres
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self.reload()

    def forget(self) -> None:
        """Let the server have no such wish at its next start."""
        self.postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")

    def reload(self) -> None:
        self.postgres.execute("SELECT pg_reload_conf()")
        until(lambda: self.postgres.execute("SHOW synchronous_standby_names") == [(self.wish,)])

    @property
    def wish(self) -> str:
        file = self.postgres.execute(
            "SELECT setting FROM pg_file_settings WHERE name = 'synchronous_standby_names'"
        )
        return str(file[0][0]) if file else ""

    def end(self) -> None:
        self.forget()
        self.reload()


WAIT_IN_COMMIT = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
"""
AT_COMMIT = """
    CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait()
"""


class NotYetCommitted:
    """Commits wait before they are made."""

    event = "PgSleep"

    def __init__(self, postgres: Postgres, place: str) -> None:
        self.postgres, self.place = postgres, place
        postgres.execute(WAIT_IN_COMMIT, place)
        postgres.execute(AT_COMMIT, place)

    def forget(self) -> None:
        """The server may start again as it is."""

    def end(self) -> None:
        self.postgres.execute("DROP TRIGGER waiting ON messages", self.place)


def terminated(postgres: Postgres, state: Committed | NotYetCommitted) -> None:
    postgres.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = '{state.event}'"
    )


def crashed(postgres: Postgres, state: Committed | NotYetCommitted) -> None:
    state.forget()
    postgres.stop("immediate")
    postgres.start()


@pytest.mark.parametrize("end", [terminated, crashed])
@pytest.mark.parametrize("kind", [Committed, NotYetCommitted])
@pytest.mark.parametrize(("writer", "prepared"), [("append", True), ("write", True), ("write", False)])
def test_the_outcome_of_a_commit_that_was_not_answered_is_looked_up(
    postgres, place, http, thread, post, writer, kind, end
):
    assert post("before").status_code == 200
    state = kind(postgres, place)
    posting = Posting(post)
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE wait_event = '{state.event}'"
    until(lambda: postgres.execute(waiting))
    end(postgres, state)
    answer = posting.answer()
    state.end()
    until(lambda: http.get("/readyz").status_code == 200)
    stored = ids_of(http, thread)
    assert len(stored) == (2 if kind is Committed else 1)
    if kind is Committed:
        assert (answer.status_code, answer.json()["id"]) == (200, stored[0])
    else:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert post("the one").status_code == 200
    assert len(ids_of(http, thread)) == 2
    assert post("after").status_code == 200


def ids_of(http: httpx.Client, thread: str) -> list[str]:
    """The messages of a thread, the newest first."""
    return [message["id"] for message in http.get(f"{thread}/messages").json()["data"]]
