"""A PgBouncer between us and PostgreSQL: one that pools by session needs no setting."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.doorman import Doorman
from tests.support.house import House
from tests.support.postgres import server
from threadkeep.errors import Unavailable
from threadkeep.storage.database import Transaction
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions

pytestmark = pytest.mark.promise("postgres.pgbouncer")


@pytest.fixture(params=[True, False], ids=["prepared", "pooled"])
def prepared(request) -> bool:
    return bool(request.param)


@pytest.fixture
def url(tmp_path) -> str:
    return server().of(tmp_path)


@pytest.fixture
def house(tmp_path, url, prepared) -> Iterator[House]:
    with (
        Doorman(url) as door,
        House(tmp_path, database_url=door.url, database_prepared=prepared) as running,
    ):
        yield running


def test_a_start_brings_nothing_that_pgbouncer_does_not_know(http):
    messages = f"/v1/threads/{http.post('/v1/threads').json()['id']}/messages"
    assert http.post(messages, json={"role": "user", "content": "x"}).status_code == 200
    assert len(http.get(messages).json()["data"]) == 1


@pytest.mark.anyio
async def test_our_limits_hold_all_the_same(url, prepared):
    with Doorman(url) as door:
        options = PostgresOptions(door.url, 1, statement_timeout=12_345, prepared=prepared)
        database = PostgresDatabase(options)

        async def limits(transaction: Transaction) -> dict[str, str]:
            text = "SELECT name, setting FROM pg_settings WHERE name = ANY(CAST(:names AS TEXT[]))"
            return dict(await transaction.all(text, {"names": [*options.session]}))

        for held in (await database.scan(limits), await database.write(limits)):
            wanted = {name: value for name, value in options.session.items() if name in held}
            assert len(held) >= 9
            assert (held, held["statement_timeout"]) == (wanted, "12345")
        await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("unsupported startup parameter: jit", "refused"),
        ('database "nowhere" does not exist', "refused"),
        ("the database system is starting up", "unreachable"),
        ("server login has been failing, try again later (server_login_retry)", "unreachable"),
    ],
)
async def test_what_it_refuses_for_good_is_told_from_what_will_pass(url, refusal, reason):
    with Doorman(url, refusal) as door:
        with pytest.raises(Unavailable) as told:
            await PostgresDatabase(PostgresOptions(door.url, 1)).check()
        assert told.value.reason == reason


@pytest.mark.anyio
@pytest.mark.promise("postgres.trouble")
async def test_a_connection_whose_end_is_announced_is_not_used_any_more(url, prepared):
    async def one(transaction: Transaction) -> bool:
        return await transaction.one("SELECT 1", {}) == (1,)

    with Doorman(url) as door:
        database = PostgresDatabase(PostgresOptions(door.url, 1, prepared=prepared))
        assert await database.scan(one)
        door.announce("terminating connection due to administrator command", "57P01")
        for _ in range(4):  # turns of the loop, in which it is read
            await asyncio.sleep(0)
        with pytest.raises(Unavailable) as told:
            await database.scan(one)
        assert told.value.reason == "unreachable"
        assert await database.scan(one)
        await database.close()
