"""Rankings made one."""

from hypothesis import given
from hypothesis import strategies as st

from threadkeep.search.fusion import K, fused

RANKINGS = st.lists(st.lists(st.integers(0, 30), unique=True), min_size=1, max_size=5)


def test_what_is_first_everywhere_has_the_score_1():
    assert fused([["a", "b"], ["a"]])[0] == ("a", 1.0)


def test_places_count_by_their_reciprocals():
    best = dict(fused([["a", "b"], ["b", "a"], []]))
    assert best["a"] == best["b"] == (1 / (K + 1) + 1 / (K + 2)) / (3 / (K + 1))


def test_two_good_places_are_better_than_one_first_place():
    assert [item for item, _ in fused([["a", "b"], ["c", "b"]])] == ["b", "a", "c"]


def test_what_only_half_of_the_rankings_could_hold_counts_twice_where_it_is():
    assert fused([["a", "b"], ["c", "a"]], {"c"})[0] == ("c", 1.0)
    assert dict(fused([["a", "b"], ["c", "a"]], {"c"}))["a"] == dict(fused([["a", "b"], ["c", "a"]]))["a"]


def test_nothing_makes_nothing():
    assert fused([]) == fused([[], []]) == []


@given(RANKINGS)
def test_every_item_is_there_once_with_a_score_from_0_to_1_the_best_first(rankings):
    best = fused(rankings)
    assert sorted(item for item, _ in best) == sorted({item for ranking in rankings for item in ranking})
    scores = [score for _, score in best]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


@given(RANKINGS, st.randoms())
def test_the_order_of_the_rankings_does_not_change_a_score(rankings, chance):
    shuffled = chance.sample(rankings, len(rankings))
    assert {item: round(score, 9) for item, score in fused(rankings)} == {
        item: round(score, 9) for item, score in fused(shuffled)
    }
