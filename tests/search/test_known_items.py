"""A small library: each question has one passage that answers it."""

import pytest

from tests.search.shelf import Shelf

pytestmark = pytest.mark.anyio
PASSAGES = {
    "How are the locks of a canal filled?": "Sluices let water in until a lock of the canal is filled.",
    "Why do leaves turn red in autumn?": "In autumn chlorophyll goes and red anthocyanins show in leaves.",
    "max_completion_tokens": "Set `max_completion_tokens` to end a run early; it then ends incomplete.",
    "Wie backt man Brot?": "Brot backt man bei 220 Grad, die erste Viertelstunde mit Dampf.",
    "猫の餌": "猫の餌は一日に二回です。",
    "Who wrote the Tale of Genji?": "Murasaki Shikibu wrote the Tale of Genji at the court in Kyoto.",
}
NOISE = [f"In the chapter {n} it is said how the people of the town do what they do." for n in range(50)]


@pytest.mark.promise("v2.search.words")
async def test_each_question_finds_its_passage_first(shelf: Shelf):
    await shelf.put("file-noise", *NOISE)
    await shelf.put("file-answers", *PASSAGES.values())
    assert {asked: (await shelf.found(asked))[0] for asked in PASSAGES} == PASSAGES
