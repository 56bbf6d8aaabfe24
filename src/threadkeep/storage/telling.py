"""Which of the words that are asked for tell most.

To look up a word takes as long as there are chunks that have it, and what nearly every chunk has tells
nothing. So where there are very many chunks, the rare words come first, until there are enough to rank.
"""

from collections.abc import Iterable

FEW = 100_000
"""So many chunks, of all stores, are looked through for every word."""
ENOUGH = 100_000
"""So many chunks are ranked where there are more, those of each word counted by themselves."""


def telling(counted: Iterable[tuple[str, int]]) -> list[str]:
    """The rarest words, of those with how many chunks have them (any number above `ENOUGH` will do for more):
    all together are in no more than that. Where every word is in more, all of them."""
    ordered = sorted(counted, key=lambda one: (one[1], one[0]))
    kept, together = [], 0
    for word, times in ordered:
        together += times
        if together > ENOUGH:
            break
        kept.append(word)
    return kept if any(times for word, times in ordered[: len(kept)]) else [word for word, _ in ordered]
