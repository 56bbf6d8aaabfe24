"""How many tokens a text has, counted without a network.

Every model counts by rules of its own, so one figure for all of them is an estimate. The rules taken
here are `cl100k_base`, OpenAI's older ones. The newer ones need about as many tokens for English and code
and fewer for most other languages, so that the estimate errs on the safe side. They load in a third of the
time (0.13 s on a core of their own, once in a process, during which nothing else runs) and take half the
memory.
"""

from collections.abc import Sequence

RULES = "cl100k_base"


def count(texts: Sequence[str]) -> list[int]:
    """The tokens of each text. For a thread other than the event loop's: the first call loads the rules."""
    import toktok  # 40 MiB, which most processes never need

    numbers: list[int] = toktok.batch_count(texts, RULES, threads=1)
    return numbers


def beginning(text: str, tokens: int) -> str:
    """As much of a text as has at most so many tokens. For a thread other than the event loop's, as well."""
    import toktok

    kept: str = toktok.truncate(text, tokens, RULES)[0]
    return kept


def at_most(text: str) -> int:
    """A bound that costs nothing: a token is at least one byte of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
