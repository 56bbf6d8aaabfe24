"""A provider that fails or refuses, and files that come first."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from tests.ingestion.desk import SECONDS, open_desk
from tests.reembedding.scene import (
    TEXT,
    Model,
    Server,
    found,
    have,
    lines,
)
from threadkeep.ingestion import reembedding
from threadkeep.providers.base import ModelFailure
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import reembedding as rows

pytestmark = pytest.mark.anyio


@pytest.mark.promise("reembedding.patience")
async def test_a_provider_that_is_down_fails_no_file(server, caplog, monkeypatch):
    monkeypatch.setattr(reembedding, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reembedding, "LONGEST_PAUSE", 0.02)
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), TEXT)
    failures = 0

    async def fail() -> None:
        nonlocal failures
        if failures < 3:
            failures += 1
            raise ModelFailure("rate_limit_exceeded", "Too many requests.")

    async def is_embedded_in_time() -> bool:
        assert server.reembedder._leases is not None
        if not server.reembedder._leases.works:
            server.clock.advance(1)
        return await server.is_from(new)

    new.before = fail
    server.begin(new)
    await server.wait(is_embedded_in_time)
    (file,) = await server.files_of(vs)
    assert (failures, file.status, file.last_error) == (3, "completed", None)
    assert set(await server.vectors()) == {("two", 3)}
    put_off = lines(caplog, "event=reembedding_put_off")
    assert [line.partition("seconds=")[2].split()[0] for line in put_off] == ["1", "2", "4"]


@pytest.mark.promise("reembedding.patience")
async def test_a_file_that_fails_holds_no_other_up(server, monkeypatch):
    monkeypatch.setattr(reembedding, "FIRST_PAUSE", 0.01)
    new = Model("two", 3, 3)
    vs = await server.filled(Model("one", 3), *["bad"] * 3, "Short.")
    embed = new.embed

    async def embed_or_not(texts: Sequence[str]) -> list[list[float]]:
        if "bad" in texts:
            raise ModelFailure("server_error", "No.")
        return await embed(texts)

    monkeypatch.setattr(new, "embed", embed_or_not)
    server.begin(new)
    await server.wait(lambda: have(server, ("two", 3)))
    assert (await server.look(vs)).file_counts.completed == 4


@pytest.mark.promise("reembedding.patience")
async def test_what_the_model_refuses_keeps_its_words(server, caplog):
    caplog.set_level(logging.INFO, "threadkeep")
    new = Model("two", 3, 3)
    new.refused = "Line 50 "
    vs = await server.filled(None, TEXT)
    server.begin(new)
    await server.embedded(new)
    assert sorted(set(await server.vectors())) == [("", 0), ("two", 3)]
    assert (await server.vectors()).count(("", 0)) == 1
    assert "Line 50 " in (await found(server, vs, "Line 50"))[0]
    assert len(lines(caplog, "event=chunk_refused")) == 1
    assert await server.usage_is_right(vs)


@pytest.mark.promise("reembedding.gentle")
async def test_files_that_come_in_go_first(server, monkeypatch):
    monkeypatch.setattr(reembedding, "SECONDS_OF_COURTESY", 3600.0)
    asked = asyncio.Event()
    is_asked = rows.files_are_read

    async def note(transaction: Transaction) -> bool:
        asked.set()
        return await is_asked(transaction)

    monkeypatch.setattr(rows, "files_are_read", note)
    new = Model("two", 3, 3)
    await server.filled(Model("one", 3), "Short.")
    await server.store(("new.md", "Comes in."))  # which nobody reads yet
    server.begin(new)
    async with asyncio.timeout(SECONDS):
        await asked.wait()
        await server.end()
    assert new.texts == []


@pytest.mark.promise("reembedding.gentle")
async def test_files_that_come_in_do_not_hold_it_up_for_ever(server, monkeypatch):
    monkeypatch.setattr(reembedding, "SECONDS_OF_COURTESY", 0.01)
    new = Model("two", 3, 3)
    await server.filled(Model("one", 3), TEXT)
    await server.store(("new.md", "Comes in."))
    server.begin(new)
    await server.embedded(new)
    assert set(await server.vectors()) == {("two", 3)}


@pytest.mark.promise("reembedding.gentle")
async def test_a_server_that_reads_no_files_embeds_none_again(tmp_path, url):
    async with open_desk(tmp_path, url, ingestion_workers=0) as desk:
        server = Server(desk.context, desk.clock)
        server.begin(Model("two", 3))
        assert server.reembedder._leases is None
