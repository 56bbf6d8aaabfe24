"""Which of the passages that were found a model is told."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.test_prompt import run, step
from threadkeep.engine import chat, searching
from threadkeep.engine.tokens import beginning, count
from threadkeep.runs.model import FileSearchCall, ToolCallsDetails
from threadkeep.search.model import Hit

pytestmark = pytest.mark.promise("runs.file-search.room")


def hit(text: str) -> Hit:
    return Hit("file-1", "moon.txt", 0.5, {}, [text])


def words(number: int) -> Hit:
    """A passage of so many tokens, its marker included."""
    beside = size(hit("word")) - 1
    return hit(("word " * (number - beside)).strip())


def size(one: Hit) -> int:
    return count([searching.as_told(one)])[0]


BIG, SMALL, SMALLER = words(300), words(200), words(100)


@pytest.mark.parametrize(
    ("hits", "room", "kept", "left"),
    [
        ([], 100, [], 100),
        ([BIG, SMALL], 500, [BIG, SMALL], 0),
        ([BIG, SMALL, SMALLER], 450, [BIG, SMALLER], 50),
        ([SMALL, BIG, SMALL, SMALLER], 350, [SMALL, SMALLER], 50),
        ([BIG], searching.LEAST, [], searching.LEAST),
        ([BIG], 0, [], 0),
    ],
)
def test_what_is_too_large_is_passed_over(hits, room, kept, left):
    assert searching.fitting(hits, room) == (kept, left)


def test_the_best_is_cut_off_where_it_is_too_large_itself():
    (kept,), left = searching.fitting([BIG, SMALL], 250)
    assert 240 < size(kept) <= 250
    assert BIG.texts[0].startswith(kept.texts[0])
    assert left == 250 - size(kept)


@given(st.text(max_size=2000).map(lambda text: text * 5), st.integers(0, 600))
def test_what_is_kept_fits(text, room):
    kept, left = searching.fitting([hit(text)], room)
    assert left == room - sum(map(size, kept)) >= 0
    assert kept or room < size(hit("")) + searching.LEAST + searching.JOINT


@given(st.text(max_size=500), st.integers(0, 50))
def test_a_beginning_has_no_more_tokens_than_it_may(text, tokens):
    assert text.startswith(beginning(text, tokens))
    assert beginning(text, len(text.encode())) == text


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=8))
@example(["?;"])
def test_passages_together_weigh_no_more_than_each(texts):
    hits = [hit(text) for text in texts]
    results = [searching.result_of(one) for one in hits]
    call = FileSearchCall(id="call_1", file_search={"results": results})
    told = chat.done([step(ToolCallsDetails([call]))], {})[1]["content"]
    # Nothing follows the last one, so that its end may be a token of its own.
    assert count([told])[0] <= sum(map(size, hits)) + searching.JOINT


@pytest.mark.parametrize(("no_room", "told"), [(False, chat.NOTHING), (True, chat.NO_ROOM)])
def test_a_model_is_told_whether_nothing_was_found_or_nothing_fits(no_room, told):
    call = FileSearchCall(id="call_1", file_search={"results": []}, no_room=no_room)
    assert chat.done([step(ToolCallsDetails([call]))], {})[1]["content"] == told


@pytest.mark.parametrize(
    ("model", "most"), [("gpt-3.5-turbo", (5, 4_000)), ("gpt-4o", (20, 16_000)), ("o3", (20, 16_000))]
)
def test_older_models_are_told_less_and_as_many_passages_as_usual_fit(model, most):
    number, tokens = searching.most_for(msgspec.structs.replace(run(), model=model))
    assert (number, tokens - number * searching.AROUND) == most
    usual = [hit(("word " * 800).strip())] * (number + 1)
    assert searching.fitting(usual, tokens)[0] == usual[:number]
