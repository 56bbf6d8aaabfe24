"""Text as the words that the index holds: the same on every database and for every language.

Case and accents are folded. Writing without spaces (Chinese, Japanese, Thai, ...) is cut into its characters
and pairs of them, since only a dictionary could tell its words. Of names as programs have them
(`max_num_results`, `maxNumResults`) the parts are words too. Words are not reduced to stems.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

LONGEST_WORD = 64
"""Of what is longer, such as encoded bytes, the beginning."""
MOST_ASKED = 64
"""How many different words of a query are looked up."""
MOST_READ = 8192
"""Characters of a query in which they are looked for, on the event loop: nearly twice as many as so many
words need, each as long as can be."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_MARKS = "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff"
"""Vowels and signs inside words of some scripts, which are not letters to Python."""
WORD = re.compile(
    r"[A-Za-z0-9_]++(?![^\x00-\x7f])"  # nearly all of most texts, and quickly found
    rf"|[{_UNSPACED}]+|[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[{_MARKS}])*"
)
ASCII_WORD = re.compile(r"\w+", re.ASCII)
"""The same in a text of ASCII alone, in a third of the time."""
UNSPACED = re.compile(f"[{_UNSPACED}]")
ACCENTS = re.compile("[\u0300-\u036f]")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\x00-\x7f]+")
COMPOUND = re.compile(r"_|[a-z][A-Z]|[A-Z]{2}[a-z]")


def folded(text: str) -> str:
    """Text without accents, wide forms and ligatures; its case is left."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFKC", ACCENTS.sub("", apart))


class Forms(dict[str, tuple[str, ...]]):
    """What `forms` makes of runs of letters, as far as they were met before: in a text most were."""

    MOST, LARGEST = 20_000, 4
    """Runs, and words of one."""

    def __missing__(self, found: str) -> tuple[str, ...]:
        if len(self) >= self.MOST:
            self.clear()
        value = tuple(forms(found, whole=True))
        if len(value) <= self.LARGEST:
            self[found] = value
        return value


def words_of(text: str, known: Forms | None = None) -> list[str]:
    """The words of a text, in order, as often as they are there. Whoever asks for many texts keeps what is
    `known` from one to the next."""
    runs = ASCII_WORD.findall(text) if text.isascii() else WORD.findall(folded(text))
    return list(chain.from_iterable(map((Forms() if known is None else known).__getitem__, runs)))


def asked_words(text: str) -> list[str]:
    """The different words that a query looks up: the first ones of its beginning."""
    asked: dict[str, None] = {}
    beginning = folded(text[:MOST_READ])[:MOST_READ]  # folding may make eighteen characters of one
    for run in WORD.finditer(beginning):
        for word in forms(run[0], whole=False):
            asked[word] = None
            if len(asked) == MOST_ASKED:
                return list(asked)
    return list(asked)


def forms(found: str, *, whole: bool) -> Iterator[str]:
    """A run of letters as words; `whole` where single characters and compounds count beside their parts."""
    if UNSPACED.match(found):
        if whole or len(found) == 1:
            yield from found
        yield from (found[at : at + 2] for at in range(len(found) - 1))
        return
    word = found.casefold()[:LONGEST_WORD]
    if word.strip("_"):
        yield word
    if COMPOUND.search(found):
        yield from (part.casefold()[:LONGEST_WORD] for part in PARTS.findall(found) if part != found)
