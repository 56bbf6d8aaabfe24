"""How good the answers are: for each question, at which place of what a search finds its section stands.

Each section is a file of its own in one store, cut into chunks as files are. What is asked goes the way that
a server's searches go, from `search.base` on, once by words, once by meaning and once by both.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import Struct

from bench.postgres import server as postgres
from bench.report import Goal
from bench.search import corpus, model
from bench.search.corpus import Section
from threadkeep.ingestion.chunking import chunks
from threadkeep.search import base
from threadkeep.search.model import Chunk, Ranker
from threadkeep.storage.database import Database, Transaction
from threadkeep.storage.migrate import migrate
from threadkeep.storage.postgres import PostgresDatabase, PostgresOptions
from threadkeep.storage.sqlite import SQLiteDatabase

CORPUS = "python"
"""What is reported. `sqlite` is the one that choices are made with."""
MOST_QUESTIONS = 2000
CHUNK, OVERLAP = 800, 400
"""Tokens: what a store has unless told otherwise."""
STORE, PLACES = "vs_bench", (1, 5, 10)
DEPTH = 50
"""How many hits are looked at: a request's most."""
AT_ONCE = 2
SECTIONS_AT_ONCE = 50
NEW_FILE = """
    INSERT INTO files (id, project_id, purpose, filename, bytes, created_at, sha256)
    VALUES (:id, 'p', 'assistants', :id, 1, 1, '')
"""
NEW_STORE_FILE = """
    INSERT INTO vector_store_files (
        store_id, file_id, project_id, position, created_at, status, usage_bytes, max_tokens, overlap_tokens,
        attributes, attempt
    ) VALUES (:store, :id, 'p', :position, 1, 'completed', 1, 800, 400, '{}', 0)
"""
WAYS: dict[str, tuple[bool, Ranker]] = {
    "words": (False, "auto"),
    "meaning": (True, "none"),
    "fused": (True, "auto"),
}
"""Whether the question's vector is used, and the ranker."""


class Line(Struct, frozen=True):
    """One row of the table: the share of questions whose answer is among so many first files, and the mean of
    the reciprocal places."""

    corpus: str
    questions: int
    database: str
    ranking: str
    recall_1: float
    recall_5: float
    recall_10: float
    mrr: float


class Items(Struct, frozen=True):
    """A corpus, ready to be put in and asked for: the chunks of each section with their vectors, and for each
    question the number of its section, its text and vector."""

    name: str
    sections: list[list[tuple[str, list[float]]]]
    questions: list[tuple[int, str, list[float]]]


def run(folder: Path, cache: Path, name: str = CORPUS) -> list[Line]:
    """Measure, with the databases in `folder`; prints the table. The model, and vectors, stay in `cache`."""
    sections = corpus.sections_of(corpus.newest(corpus.PACKAGES[name]))
    items = items_of(name, sections, model.Embedder(cache))
    lines = asyncio.run(measure(folder, items))
    print(table(lines), *goals(lines), sep="\n")
    return lines


def items_of(name: str, sections: Sequence[Section], embedder: model.Embedder) -> Items:
    cut = [[*chunks([section.text], CHUNK, OVERLAP)] for section in sections]
    every = corpus.questions(sections)
    asked = sorted(random.Random(7).sample(every, min(MOST_QUESTIONS, len(every))))
    texts = [text for some in cut for text in some]
    headings = [sections[number].heading for number in asked]
    vectors = iter(embedder.vectors(name, [*texts, *headings]))
    with_vectors = [[(text, next(vectors)) for text in some] for some in cut]
    return Items(name, with_vectors, list(zip(asked, headings, vectors, strict=True)))


# ---------------------------------------------------------------- in a database


async def measure(folder: Path, items: Items) -> list[Line]:
    """The rows of one corpus."""
    lines = []
    async with sqlite(folder) as database:
        lines += await rows("SQLite", database, items)
    with postgres.running(folder / "postgres") as running:
        database = PostgresDatabase(PostgresOptions(running.url, 4))
        try:
            lines += await rows("PostgreSQL", database, items)
        finally:
            await database.close()
    return lines


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Database]:
    database = SQLiteDatabase(folder / "threadkeep.db")
    try:
        yield database
    finally:
        await database.close()


async def rows(name: str, database: Database, items: Items) -> list[Line]:
    await migrate(database)
    await fill(database, items)
    lines = []
    for ranking, (by_meaning, ranker) in WAYS.items():
        found = await places(database, items, by_meaning, ranker)
        lines.append(line_of(items.name, name, ranking, found))
        print(in_words(lines[-1]), flush=True)
    return lines


async def fill(database: Database, items: Items) -> None:
    """Put every section in, as a file of its own."""
    for first in range(0, len(items.sections), SECTIONS_AT_ONCE):
        some = items.sections[first : first + SECTIONS_AT_ONCE]

        async def work(transaction: Transaction, first: int = first, some: Any = some) -> None:
            for number, pieces in enumerate(some, first):
                await transaction.run(NEW_FILE, {"id": str(number)})
                await transaction.run(NEW_STORE_FILE, {"store": STORE, "id": str(number), "position": number})
                texts = [Chunk(place, text) for place, (text, _) in enumerate(pieces)]
                vectors = [vector for _, vector in pieces]
                await base.put(transaction, STORE, str(number), texts, vectors, model.NAME)

        await database.write(work)


async def places(database: Database, items: Items, by_meaning: bool, ranker: Ranker) -> list[int | None]:
    """Where each question's answer stands, from 1 on; None where it was not found."""
    context: Any = SimpleNamespace(
        database=database, embedder=SimpleNamespace(model=model.NAME, dimensions=None)
    )
    found: list[int | None] = [None] * len(items.questions)
    todo = iter(enumerate(items.questions))

    async def some() -> None:
        for place, (number, text, vector) in todo:
            vectors = [vector] if by_meaning else None
            hits = await base.search(context, [STORE], [text], vectors, DEPTH, ranker=ranker)
            found[place] = place_of(str(number), (hit.file_id for hit in hits))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return found


def place_of(wanted: str, found: Iterable[str]) -> int | None:
    """The place of a file among files, each of which counts once."""
    every = [*dict.fromkeys(found)]
    return every.index(wanted) + 1 if wanted in every else None


# ---------------------------------------------------------------- numbers


def line_of(name: str, database: str, ranking: str, found: Sequence[int | None]) -> Line:
    shares = [sum(place is not None and place <= most for place in found) / len(found) for most in PLACES]
    mrr = sum(1 / place for place in found if place is not None) / len(found)
    return Line(name, len(found), database, ranking, *(round(one, 4) for one in (*shares, mrr)))


def table(lines: Sequence[Line]) -> str:
    head = f"{'':<40}{'recall@1':>10}{'@5':>8}{'@10':>8}{'MRR':>8}"
    return "\n".join([head, *(in_words(line) for line in lines)])


def goals(lines: Sequence[Line]) -> Iterator[Goal]:
    """On each database both together find more than either, by every number."""
    for name in dict.fromkeys(line.database for line in lines):
        words, meaning, both = (
            [line.recall_1, line.recall_5, line.recall_10, line.mrr]
            for ranking in WAYS
            for line in lines
            if (line.database, line.ranking) == (name, ranking)
        )
        least = min(one / max(pair) for one, *pair in zip(both, words, meaning, strict=True))
        yield Goal(f"{name}: fused, of the better ranking, at least", least, 1.01, True, "x")


def in_words(line: Line) -> str:
    what = f"{line.corpus} ({line.questions}), {line.database}, {line.ranking}"
    return f"{what:<40}{line.recall_1:>10.3f}{line.recall_5:>8.3f}{line.recall_10:>8.3f}{line.mrr:>8.3f}"
