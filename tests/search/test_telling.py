"""Which words are looked up where there are very many chunks."""

import pytest

from tests.search.shelf import Shelf
from threadkeep.storage import chunks_sqlite, telling
from threadkeep.storage.postgres import chunks as postgres_chunks
from threadkeep.storage.telling import ENOUGH
from threadkeep.storage.telling import telling as told

pytestmark = pytest.mark.promise("v2.search.words.many")


@pytest.mark.parametrize(
    ("counted", "kept"),
    [
        ([("the", ENOUGH + 1), ("moon", 30), ("orbit", 20)], ["orbit", "moon"]),
        ([("b", ENOUGH // 2), ("a", ENOUGH // 2), ("c", ENOUGH // 2)], ["a", "b"]),
        ([("the", ENOUGH + 1), ("of", ENOUGH + 1)], ["of", "the"]),
        ([("unheard", 0), ("the", ENOUGH + 1)], ["unheard", "the"]),
        ([("the", 2), ("moon", 1)], ["moon", "the"]),
    ],
)
def test_rare_words_are_kept_until_there_are_enough_chunks(counted: list[tuple[str, int]], kept: list[str]):
    assert told(counted) == kept


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen chunks are many."""
    for module in (telling, chunks_sqlite, postgres_chunks):
        monkeypatch.setattr(module, "ENOUGH", 3)
    for engine in (chunks_sqlite, postgres_chunks):
        monkeypatch.setattr(engine, "FEW", 12)


@pytest.mark.anyio
@pytest.mark.usefixtures("large")
async def test_common_words_are_left_out_where_there_are_rare_ones(shelf: Shelf):
    common = [f"about the thing number {n}" for n in range(10)]
    await shelf.put("file-1", *common, "about zebras")
    assert len(await shelf.found("the thing about zebras", limit=20)) == 11, "few chunks: every word counts"
    await shelf.put("file-2", "zebras and the moon", "the moon alone", store="vs_1")
    assert await shelf.found("the thing about zebras", limit=20) == ["about zebras", "zebras and the moon"]
    assert len(await shelf.found("about the thing", limit=20)) == 13, "there is nothing rarer"
    assert len(await shelf.found("the unheard", limit=20)) == 12


@pytest.mark.anyio
@pytest.mark.usefixtures("large")
async def test_words_are_counted_in_the_stores_that_are_searched(shelf: Shelf):
    await shelf.put("file-1", *[f"zebras of the plains {n}" for n in range(20)], store="vs_2")
    await shelf.put("file-2", "zebras here", "the moon", "the sun", "the stars", "the sky")
    assert await shelf.found("the zebras", limit=20) == ["zebras here"]
