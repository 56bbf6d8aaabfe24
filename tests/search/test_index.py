"""The index of chunks, on both databases."""

import asyncio

import pytest

from tests.search.shelf import Shelf
from threadkeep.search.base import Hit
from threadkeep.storage.postgres import chunks as postgres_chunks

pytestmark = pytest.mark.anyio
FOX, DOG = "The quick brown fox", "jumps over the lazy dog"


@pytest.mark.promise("v2.search.words")
async def test_a_chunk_is_found_by_its_words(shelf: Shelf):
    await shelf.put("file-1", FOX, DOG, colour="red")
    assert await shelf.search("a FOX?") == [Hit("file-1", "file-1.txt", 1.0, {"colour": "red"}, [FOX])]
    assert await shelf.search("nothing such") == []
    assert await shelf.search("!?") == []


@pytest.mark.promise("v2.search.words")
async def test_rare_words_count_for_more_than_common_ones(shelf: Shelf):
    await shelf.put("file-1", *[f"about the thing number {n}" for n in range(20)], "about zebras")
    assert (await shelf.found("the thing about zebras", limit=3))[0] == "about zebras"


@pytest.mark.promise("v2.search.vectors")
async def test_a_chunk_is_found_by_its_vector(shelf: Shelf):
    await shelf.put("file-1", FOX, DOG, vectors=[[1.0, 0.0], [0.0, 1.0]])
    assert await shelf.found("?", vectors=[[0.1, 2.0]]) == [DOG, FOX]
    hits = await shelf.search("?", vectors=[[0.0, 2.0]], ranker="none")
    assert [(hit.texts[0], round(hit.score, 3)) for hit in hits] == [(DOG, 1.0), (FOX, 0.0)]


@pytest.mark.promise("v2.search.vectors")
async def test_each_chunk_has_its_own_vector_where_some_have_none(shelf: Shelf):
    await shelf.put(
        "file-1", "without", FOX, "without too", DOG, vectors=[None, [1.0, 0.0], None, [0.0, 1.0]]
    )
    assert await shelf.count() == (4, 2)
    hits = await shelf.search("?", vectors=[[0.0, 2.0]], ranker="none")
    assert [(hit.texts[0], round(hit.score, 3)) for hit in hits] == [(DOG, 1.0), (FOX, 0.0)]
    assert await shelf.found("without too", limit=1) == ["without too"]


@pytest.mark.promise("v2.search.fused")
async def test_what_words_and_vectors_agree_on_comes_first(shelf: Shelf):
    both, words, vector, other = "fox and dog", "fox fox fox", "unlike", "neither"
    vectors = [[1.0, 0.1], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    await shelf.put("file-1", both, words, vector, other, vectors=vectors)
    hits = await shelf.search("fox", vectors=[[1.0, 0.0]])
    assert hits[0].texts == [both]
    assert all(0 < hit.score <= 1 for hit in hits)
    above = await shelf.search("fox", vectors=[[1.0, 0.0]], threshold=0.6)
    assert [hit.texts[0] for hit in above] == [both, words]


@pytest.mark.promise("v2.search.vectors")
async def test_vectors_of_another_model_or_length_are_not_compared(shelf: Shelf):
    await shelf.put("file-1", FOX, vectors=[[1.0, 0.0]], model="another")
    await shelf.put("file-2", DOG, vectors=[[1.0, 0.0, 0.0]])
    await shelf.put("file-3", "without direction", vectors=[[0.0, 0.0]])
    assert await shelf.found("?", vectors=[[1.0, 0.0]]) == ["without direction"]


@pytest.mark.promise("v2.search.vectors")
@pytest.mark.parametrize("dimensions", [3, 256])
async def test_where_there_are_very_many_vectors_the_nearest_are_found_too(
    shelf: Shelf, dimensions, monkeypatch
):
    """One of the lengths has an index of its own."""
    monkeypatch.setattr(postgres_chunks, "LARGEST_EXACT", 30)
    texts = [f"number {n}" for n in range(60)]
    vectors = [[1.0, n / 60, *([0.0] * (dimensions - 2))] for n in range(60)]
    await shelf.put("file-1", *texts, vectors=vectors)
    await shelf.put("file-2", *texts, vectors=vectors, store="vs_2")
    asked = [1.0, *([0.0] * (dimensions - 1))]
    assert await shelf.found("?", vectors=[asked], limit=5) == texts[:5]
    assert len(await shelf.search("?", vectors=[asked], limit=50)) == 50


@pytest.mark.promise("v2.search.stores")
async def test_a_store_shows_nothing_of_another(shelf: Shelf):
    await shelf.put("file-1", FOX, vectors=[[1.0, 0.0]])
    await shelf.put("file-2", FOX, vectors=[[1.0, 0.0]], store="vs_2")
    await shelf.put("file-3", FOX, vectors=[[1.0, 0.0]], store="VS_1")
    ids = {hit.file_id for hit in await shelf.search("fox", vectors=[[1.0, 0.0]])}
    assert ids == {"file-1"}
    both = await shelf.search("fox", vectors=[[1.0, 0.0]], stores=("vs_1", "vs_2"))
    assert {hit.file_id for hit in both} == {"file-1", "file-2"}
    assert await shelf.search("fox", stores=()) == []


@pytest.mark.promise("v2.search.once")
@pytest.mark.parametrize("ranker", ["auto", "none"])
@pytest.mark.parametrize("vectors", [None, [[1.0, 0.0]]])
async def test_a_passage_of_a_file_in_several_stores_is_found_once(shelf: Shelf, ranker, vectors):
    near = [[1.0, n / 4] for n in range(4)]
    texts = [f"{'fox ' * (4 - n)}number {n}" for n in range(4)]
    await shelf.put("file-2", "a fox of another file", vectors=[[1.0, 9.0]])
    await shelf.put("file-1", *texts, vectors=near, colour="red")
    alone = [await shelf.search("fox", vectors=vectors, ranker=ranker, limit=n) for n in (2, 10)]
    assert [len(hits) for hits in alone] == [2, 5]
    await shelf.put("file-1", *texts, store="vs_2", vectors=near, colour="blue")
    await shelf.put("file-1", *texts, store="vs_3", vectors=[None] * 4)
    for stores in (("vs_1", "vs_2"), ("vs_3", "vs_2", "vs_1")):
        both = [
            await shelf.search("fox", vectors=vectors, ranker=ranker, limit=n, stores=stores) for n in (2, 10)
        ]
        assert both == alone


@pytest.mark.promise("v2.search.once")
async def test_files_that_say_the_same_are_each_found(shelf: Shelf):
    await shelf.put("file-1", FOX, "fox and dog")
    await shelf.put("file-2", FOX, store="vs_2")
    await shelf.put("file-1", FOX, "fox, cut otherwise", store="vs_2")
    hits = await shelf.search("fox", stores=("vs_1", "vs_2"))
    assert sorted((hit.file_id, hit.texts[0]) for hit in hits) == [
        ("file-1", FOX),
        ("file-1", "fox and dog"),
        ("file-1", "fox, cut otherwise"),
        ("file-2", FOX),
    ]


@pytest.mark.promise("v2.search.stores")
async def test_only_completed_files_are_found(shelf: Shelf):
    await shelf.put("file-1", FOX, status="in_progress", vectors=[[1.0, 0.0]])
    assert await shelf.search("fox", vectors=[[1.0, 0.0]]) == []


async def test_a_file_that_is_put_again_has_only_its_new_chunks(shelf: Shelf):
    await shelf.put("file-1", FOX, DOG, vectors=[[1.0], [1.0]])
    await shelf.put("file-1", "only zebras", vectors=[[1.0]])
    assert await shelf.count() == (1, 1)
    assert await shelf.search("fox dog") == []
    assert await shelf.found("zebras") == ["only zebras"]


async def test_what_is_removed_is_not_found_and_leaves_nothing(shelf: Shelf):
    await shelf.put("file-1", FOX, DOG, vectors=[[1.0], [1.0]])
    await shelf.put("file-2", FOX, store="vs_2")
    await shelf.remove("file-1")
    assert await shelf.search("fox", vectors=[[1.0]]) == []
    assert await shelf.count() == (1, 0)
    assert await shelf.found("fox", stores=("vs_2",)) == [FOX]


async def test_a_store_is_emptied_in_steps(shelf: Shelf):
    await shelf.put("file-1", *[f"number {n}" for n in range(5)], vectors=[[1.0]] * 5)
    await shelf.put("file-2", FOX, store="vs_2")
    assert [await shelf.empty(2) for _ in range(3)] == [True, True, False]
    assert await shelf.count() == (1, 0)


async def test_search_goes_on_while_files_come_and_go(shelf: Shelf):
    await shelf.put("file-0", "fox that stays", vectors=[[1.0, 0.0]])

    async def come_and_go(number: int) -> None:
        for _ in range(10):
            await shelf.put(f"file-{number}", FOX, DOG, vectors=[[0.0, 1.0], [0.0, 1.0]])
            await shelf.remove(f"file-{number}")

    async def look() -> None:
        for _ in range(20):
            hits = await shelf.search("fox that stays", vectors=[[1.0, 0.0]], limit=50)
            assert hits[0].file_id == "file-0"
            assert {hit.texts[0] for hit in hits[1:]} <= {FOX, DOG}

    await asyncio.gather(look(), look(), *map(come_and_go, range(1, 5)))
    assert await shelf.count() == (1, 1)


async def test_several_queries_are_asked_at_once(shelf: Shelf):
    await shelf.put("file-1", FOX, DOG, "zebra")
    assert set(await shelf.found("fox", "lazy dog")) == {FOX, DOG}


async def test_text_that_databases_find_hard_is_kept_and_found(shelf: Shelf):
    texts = ["nul \0 here", "quote ' \" \\ \u2028 end", "a" * 5000, "猫は可愛い", "नमस्ते दुनिया", "x " * 20_000]
    await shelf.put("file-1", *texts)
    assert await shelf.count() == (6, 0)
    for asked, place in (("quote", 1), ("可愛い", 3), ("नमस्ते", 4), ("a" * 5000, 2)):
        assert await shelf.found(asked) == [texts[place]]
