"""The text of a file that was taken in, read a few pieces at a time, on both databases."""

import asyncio

import pytest

from tests.search.shelf import Shelf
from threadkeep.search import base
from threadkeep.search.base import PIECES_AT_ONCE, Text, TextGone
from threadkeep.storage.database import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.promise("vector-stores.files.content.large")]
TEXTS = [f"piece {number}" for number in range(3 * PIECES_AT_ONCE + 1)]


async def text_of(shelf: Shelf, id: str = "file-1") -> Text:
    async with shelf.database.read() as transaction:
        return await base.text_of(transaction, "vs_1", id)


async def run(shelf: Shelf, sql: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.run(sql, {})

    await shelf.database.write(work)


async def test_a_text_is_read_a_few_pieces_at_a_time(shelf: Shelf):
    await shelf.put("file-1", *TEXTS)
    await shelf.put("file-2", "another")
    read = [some async for some in base.pieces(shelf.database, await text_of(shelf))]
    assert [len(some) for some in read] == [*[PIECES_AT_ONCE] * 3, 1]
    assert [text for some in read for text in some] == TEXTS


async def test_others_have_their_turn_meanwhile(shelf: Shelf):
    await shelf.put("file-1", *TEXTS)
    text, turns = await text_of(shelf), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = [turns async for _ in base.pieces(shelf.database, text)]
    task.cancel()
    assert len(set(seen)) == len(seen)


async def test_there_is_nothing_to_read_before_a_file_is_completed(shelf: Shelf):
    await shelf.put("file-1", *TEXTS, status="in_progress")
    for text in (await text_of(shelf), await text_of(shelf, "file-unknown")):
        assert [some async for some in base.pieces(shelf.database, text)] == []


OF_FILE = "WHERE store_id = 'vs_1' AND file_id = 'file-1'"
CHANGES = [
    f"DELETE FROM vector_store_files {OF_FILE}",
    f"UPDATE vector_store_files SET status = 'in_progress' {OF_FILE}",
    f"UPDATE vector_store_files SET attempt = attempt + 1 {OF_FILE}",
    f"UPDATE vector_store_files SET position = position + 1 {OF_FILE}",
    f"DELETE FROM chunks {OF_FILE}",
    f"DELETE FROM chunks {OF_FILE} AND number < {PIECES_AT_ONCE + 1}",
]
"""It left, is to be read anew, was, left and came back; its store expired, and is emptied."""


@pytest.mark.parametrize("change", CHANGES)
async def test_a_text_that_goes_meanwhile_does_not_end_as_if_it_were_whole(shelf: Shelf, change: str):
    await shelf.put("file-1", *TEXTS)
    reading = base.pieces(shelf.database, await text_of(shelf))
    assert await anext(reading) == TEXTS[:PIECES_AT_ONCE]
    await run(shelf, change)
    with pytest.raises(TextGone):
        await anext(reading)
