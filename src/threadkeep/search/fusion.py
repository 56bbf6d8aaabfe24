"""Several rankings as one, by reciprocal ranks: what stands high in many of them comes first.

Scores of words and distances of vectors have no common measure; places have.
"""

from collections.abc import Container, Hashable, Sequence
from typing import TypeVar

K = 15
"""The less it is, the more the first places are worth. 60 is usual (Cormack, 2009), where more rankings are
fused; for two of them less finds more (docs/search.md)."""
T = TypeVar("T", bound=Hashable)


def fused(rankings: Sequence[Sequence[T]], halved: Container[T] = ()) -> list[tuple[T, float]]:
    """The items of all rankings, the best first, with scores from 0 to 1: that of what is first in all.

    Those that are `halved` could only be in one half of the rankings, so each of their places there counts
    twice. Items of one score keep the order in which the rankings have them.
    """
    scores: dict[T, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking):
            scores[item] = scores.get(item, 0.0) + (2 if item in halved else 1) / (K + 1 + place)
    most = len(rankings) / (K + 1)
    best = sorted(scores.items(), key=lambda pair: -pair[1])
    return [(item, min(1.0, score / most)) for item, score in best]
