"""A model that is configured anew gives what is stored its vectors, and is searched by meanwhile."""

import logging

import pytest

from tests.reembedding.scene import (
    TEXT,
    Model,
    change,
    found,
    half_way,
    is_wanted,
    lines,
    said,
)
from threadkeep.storage.postgres import chunks as postgres_chunks
from threadkeep.vector_stores import reembedding as rows

pytestmark = pytest.mark.anyio


@pytest.mark.promise("reembedding.change")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Model("one", 3), Model("two", 3)),
        (Model("one", 3), Model("two", 5, 5)),
        (None, Model("two", 3)),
        (Model("one", 4), Model("one", 3, 3)),
        (Model("one", 3, 3), Model("one", 4)),
    ],
    ids=["model", "model and length", "none before", "length", "own length"],
)
async def test_what_is_stored_gets_vectors_of_the_model_that_is_configured(server, before, after, caplog):
    caplog.set_level(logging.INFO, "threadkeep")
    vs = await server.filled(before, TEXT, "Short.", "Also short.")
    chunks = await server.chunks_of(vs)
    after.texts.clear()
    server.begin(after)
    await server.embedded(after)
    assert set(await server.vectors()) == {(after.model, len(after.vector("")))}
    assert len(after.texts) == chunks + (after.dimensions is None)
    assert (await server.look(vs)).file_counts.completed == 3
    assert await server.text_of(vs, (await server.files_of(vs))[0].id) == TEXT
    assert await server.usage_is_right(vs)
    await server.wait(lambda: said(caplog, "event=reembedding_completed"))
    (started,) = lines(caplog, "event=reembedding_started")
    (completed,) = lines(caplog, "event=reembedding_completed")
    assert "files=3" in started
    assert f"files=3 chunks={chunks} refused=0" in completed


@pytest.mark.promise("reembedding.change")
async def test_what_has_its_vectors_is_not_embedded_again(server):
    model = Model("one", 3)
    await server.filled(model, TEXT)
    texts = len(model.texts)
    server.begin(model)
    await server.wait(lambda: is_wanted(server, "one"))
    async with server.context.database.read() as transaction:
        assert await rows.due(transaction, "one", 2**62, 1) == []
    assert len(model.texts) == texts


@pytest.mark.promise("reembedding.change")
async def test_files_of_a_release_that_noted_no_model_are_looked_at_and_kept(server):
    model = Model("one", 3, 3)
    await server.filled(model, TEXT)
    await change(server, "UPDATE vector_store_files SET embedded_by = ''")
    model.texts.clear()
    server.begin(model)
    await server.embedded(model)
    assert model.texts == []


@pytest.mark.promise("reembedding.search")
async def test_search_goes_on_meanwhile(server):
    old, new = Model("one", 3), Model("two", 3, 3)
    vs = await server.filled(old, TEXT)
    go_on = await half_way(server, new)
    done = {model for model, _ in await server.vectors()}
    assert done == {"one", "two"}
    assert (await server.look(vs)).status == "completed"
    last = (await found(server, vs, "Line 480"))[0]
    assert "Line 480 " in last
    near = await found(server, vs, "?", new.vector("x" * 400), ranker="none")
    many = sum(model == "two" for model, _ in await server.vectors())
    assert 0 < len(near) == many  # those of the old model are not compared
    both = await found(server, vs, "Line 480", new.vector("x" * 400), threshold=0.9)
    assert both[0] == last  # as if its vector were as near as its words are
    assert await server.usage_is_right(vs)
    go_on.set()
    await server.embedded(new)
    assert len(await found(server, vs, "?", new.vector("x" * 400), ranker="none")) == 50


@pytest.mark.promise("reembedding.search")
async def test_an_index_of_the_new_length_is_used(server, monkeypatch):
    monkeypatch.setattr(postgres_chunks, "LARGEST_EXACT", 0)
    old, new = Model("one", 256), Model("two", 384)
    vs = await server.filled(old, TEXT)
    server.begin(new)
    await server.embedded(new)
    texts = set(new.texts[1:])
    near = await found(server, vs, "?", new.vector(max(texts, key=len)), ranker="none")
    assert near
    assert set(near) <= texts
    assert await server.usage_is_right(vs)
