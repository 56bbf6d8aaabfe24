"""Files that are removed, expire, or are read anew while they are embedded again."""

import asyncio

import pytest

from tests.ingestion.desk import LEASE, PROJECT, SECONDS, Desk
from tests.reembedding.scene import (
    TEXT,
    Model,
    Server,
    change,
    half_way,
    let_go,
)
from threadkeep.files import actions as files
from threadkeep.search import base as search
from threadkeep.storage.chunks import Kept
from threadkeep.storage.database import Transaction
from threadkeep.storage.sweeps import Sweeper
from threadkeep.sweeping import handlers
from threadkeep.vector_stores import actions
from threadkeep.vector_stores.model import Chunking, ExpiresAfter, NewFile, StoreChange, VectorStore

pytestmark = pytest.mark.anyio
LONG_AGO = 10
"""Days after which a store is gone."""


async def detach(server: Server, vs: VectorStore, file_id: str) -> None:
    await actions.detach(server.context, PROJECT, vs.id, file_id)


async def delete_file(server: Server, _: VectorStore, file_id: str) -> None:
    await files.delete(server.context, PROJECT, file_id)


async def delete_store(server: Server, vs: VectorStore, _: str) -> None:
    await actions.delete(server.context, PROJECT, vs.id)


@pytest.mark.promise("reembedding.races")
@pytest.mark.parametrize("remove", [detach, delete_file, delete_store])
async def test_what_is_removed_meanwhile_leaves_nothing(server, remove):
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    (file,) = await server.files_of(vs)
    go_on = await half_way(server, new)
    await remove(server, vs, file.id)
    await let_go(server, go_on)
    while await Sweeper(server.context.database, server.clock, handlers(server.context)).sweep():
        pass
    assert await server.chunks_of(vs) == 0
    assert await server.vectors() == []
    assert await server.orphans() == 0
    await server.embedded(new)
    if remove is not delete_store:
        assert (await server.look(vs)).usage_bytes == 0


@pytest.mark.promise("reembedding.races")
async def test_a_file_that_is_read_anew_meanwhile_has_its_new_chunks_alone(server):
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    (file,) = await server.files_of(vs)
    go_on = await half_way(server, new)
    new.before = None
    await actions.attach(server.context, PROJECT, vs.id, NewFile(file.id, Chunking(200, 0)))
    async with server.context.database.read() as transaction:  # for a release that would leave it as it is
        assert await transaction.one("SELECT embedded_by FROM vector_store_files", {}) == ("",)
    assert server.reembedder._leases is not None
    (claim,) = [work.claim.name for work in server.reembedder._leases.works]
    again = Desk(server.context, server.clock)
    again.start()
    try:
        await server.done(vs)
    finally:
        await again.ingester.stop()
    # As a release leaves it that knows of no such claims.
    await change(server, f"UPDATE vector_store_files SET embedding_claim = '{claim}'")
    await let_go(server, go_on)
    server.clock.advance(LEASE)
    await server.embedded(new)
    assert set(await server.vectors()) == {("two", 3)}
    for text in await server.texts_of(
        vs, file.id
    ):  # each chunk has its own vector, though numbers are used again
        hits = await search.search(server.context, [vs.id], ["?"], [new.vector(text)], 50, ranker="none")
        assert {hit.texts[0]: hit.score for hit in hits}[text] == pytest.approx(1.0, abs=0.001)
    assert await server.text_of(vs, file.id) == TEXT
    assert await server.usage_is_right(vs)
    assert await server.orphans() == 0


@pytest.mark.promise("reembedding.races")
async def test_a_store_that_has_expired_is_not_embedded_and_not_prolonged(server):
    old, new = Model("one", 3), Model("two", 3, 3)
    vs = await server.filled(old, "Short.")
    lasting = await server.filled(old, "Also short.")
    for one, days in ((vs, 1), (lasting, LONG_AGO + 1)):
        await actions.modify(server.context, PROJECT, one.id, StoreChange(expires_after=days))
    server.clock.advance(LONG_AGO * 24 * 3600)
    before = await server.look(lasting)
    assert (await server.look(vs)).status == "expired"
    assert before.expires_after == ExpiresAfter(days=LONG_AGO + 1)
    server.begin(new)
    await server.embedded(new)
    assert new.texts == ["Also short."]
    after = await server.look(lasting)
    assert (after.expires_at, after.last_active_at) == (before.expires_at, before.last_active_at)


@pytest.mark.promise("reembedding.races")
async def test_an_expired_store_is_emptied_meanwhile(server):
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    await actions.modify(server.context, PROJECT, vs.id, StoreChange(expires_after=1))
    go_on = await half_way(server, new)
    server.clock.advance(25 * 3600)
    while not await actions.sweep_expired(server.context):
        pass
    await let_go(server, go_on)
    server.clock.advance(LEASE)
    await server.embedded(new)
    assert await server.chunks_of(vs) == await server.orphans() == 0


@pytest.mark.promise("reembedding.races")
async def test_chunks_that_somebody_is_removing_are_not_waited_for(server):
    """A lone writer, as SQLite's is, has removed them; others may be about to."""
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    (file,) = await server.files_of(vs)
    async with server.context.database.read() as transaction:
        chunks = await search.unembedded(transaction, vs.id, file.id, "two", 3, -1, 1000)
    removed, go_on = asyncio.Event(), asyncio.Event()

    async def remove(transaction: Transaction) -> None:
        await search.remove_store_some(transaction, vs.id, 10)
        if not server.is_sqlite:
            removed.set()
            await go_on.wait()

    async def embed(transaction: Transaction) -> Kept:
        pairs = [(chunk.id, new.vector(chunk.text)) for chunk in chunks]
        return await search.embed(transaction, vs.id, file.id, pairs, "two")

    task = asyncio.create_task(server.context.database.write(remove))
    async with asyncio.timeout(SECONDS):
        await (task if server.is_sqlite else removed.wait())
        # Those that are left are as long as they were.
        assert await server.context.database.write(embed) == Kept(len(chunks) - 10, 0)
        go_on.set()
        await task
    assert await server.vectors() == [("two", 3)] * (len(chunks) - 10)
    assert await server.orphans() == 0


@pytest.mark.promise("reembedding.races")
async def test_a_file_of_which_a_chunk_was_held_by_another_is_looked_at_again(server, monkeypatch):
    """As by a removal that is taken back in the end."""
    new = Model("two", 3, 3)
    await server.filled(Model("one", 3), TEXT)
    embed, calls = search.embed, []

    async def leave_one_out(transaction, store_id, file_id, vectors, model) -> Kept:
        calls.append(len(vectors))
        return await embed(transaction, store_id, file_id, vectors[len(calls) == 1 :], model)

    monkeypatch.setattr(search, "embed", leave_one_out)
    server.begin(new)

    async def is_embedded_in_time() -> bool:
        assert server.reembedder._leases is not None
        if not server.reembedder._leases.works:
            server.clock.advance(1)
        return await server.is_from(new)

    await server.wait(is_embedded_in_time)
    assert set(await server.vectors()) == {("two", 3)}
    assert calls[-1] == 1
