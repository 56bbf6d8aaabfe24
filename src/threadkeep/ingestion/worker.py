"""The files of vector stores that this process makes searchable: text, chunks, vectors, index.

A file's chunks are added over many small transactions, each under its claim, and are found by nobody until
the last one says that the file is completed. Whoever takes a file up after a kill begins it anew, by
forgetting what is there, over many small transactions too; so no chunk is there twice. What fails for reasons
that pass is put off, for longer each time, up to a limit.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.context import Context
from threadkeep.engine.interrupts import Interrupted, Interrupts, Reason
from threadkeep.engine.leases import Leases
from threadkeep.engine.patience import Patience
from threadkeep.files.model import blob_key
from threadkeep.ingestion.ahead import ahead
from threadkeep.ingestion.embedding import NUMBER_BYTES, Vector, patient, vectors_of
from threadkeep.ingestion.model import Cut, Failure, Task
from threadkeep.ingestion.pace import Pace
from threadkeep.ingestion.reader import Crashed, Readers
from threadkeep.providers.base import Embedder, ModelFailure
from threadkeep.search import base as search
from threadkeep.search.base import Chunk
from threadkeep.settings import Settings
from threadkeep.storage.blobs import Damaged, Stored
from threadkeep.storage.database import Transaction, Work
from threadkeep.vector_stores import progress
from threadkeep.vector_stores.model import Claim, Ingestion

T = TypeVar("T")

FIRST_CHUNKS, MOST_CHUNKS = 8, 256
"""In one transaction, before it is known how long one takes; and however short that is."""
CUTS_AHEAD = 4
"""Parts of a file that are embedded while the one before them is written. Without a model there is no reason
to read further ahead than one, which would take processors from others."""
CRASHES = 2
"""How many processes may end over a file: the first end may have another cause."""
ATTEMPTS = 10
"""How many servers may end over a file."""
SECONDS_OF_GRACE = 2.0
"""How long files that are worked at a stop have to be finished, before another process gets them."""
FIRST_PUT_OFF, LONGEST_PUT_OFF = 5, 300
"""Seconds for which a file stands aside after a failure that passes: as long as it has waited already, but no
less than the one and no more than the other."""
MOST_PUT_OFF = 24 * 3600
"""Seconds after the first such failure from which on one counts for good."""
log = logging.getLogger(__name__)


class Part(Struct):
    """The next chunks of a file, and their vectors where there is a model; what it refused is told by the
    chunk's place among these."""

    cut: Cut
    vectors: Sequence[Vector | None] | None
    refused: dict[int, str]


def put_off_for(waited: int) -> int | None:
    """For how many seconds a file stands aside that has waited for so many; None where that was enough."""
    return min(max(waited, FIRST_PUT_OFF), LONGEST_PUT_OFF) if waited < MOST_PUT_OFF else None


class Course:
    """The work on one file in one store (`leases.Work`)."""

    def __init__(self, context: Context, ingestion: Ingestion, readers: Readers) -> None:
        self._context, self._ingestion, self._readers = context, ingestion, readers
        self._embedder: Embedder | None = None
        self._interrupts = Interrupts()
        self._patiently = Patience(self._interrupts, f"event=ingestion_put_off work={self.id}")

    @property
    def id(self) -> str:
        return self.claim.id

    @property
    def claim(self) -> Claim:
        return self._ingestion.claim

    def leave(self, lost: bool) -> None:
        self._interrupts.ask(Reason.LOST if lost else Reason.HANDED_OVER)

    async def run(self) -> None:
        try:
            outcome = await self._outcome()
            if not (isinstance(outcome, Failure) and outcome.passes and await self._put_off(outcome)):
                await self._finish(outcome)
        except (progress.Lost, Interrupted):
            pass
        except Exception:  # it is tried again when the lease is over
            log.exception("event=ingestion_left work=%s", self.id)

    async def _outcome(self) -> int | Failure:
        """How many bytes the file takes in the index, or why it is not there."""
        try:
            if self._ingestion.tries > ATTEMPTS:
                raise Failure("server_error", f"The server ended {ATTEMPTS} times while the file was read.")
            return await self._read()
        except Failure as failure:
            return failure
        except ModelFailure as failure:
            message = f"The file's text could not be embedded: {failure.message}"
            return Failure("server_error", message, failure.passes)

    async def _read(self) -> int:
        crashes = 0
        while True:
            try:
                return await self._patiently(self._take_in)
            except Crashed as crash:
                crashes += 1
                log.warning("event=reader_lost work=%s problem=%r", self.id, str(crash))
            if crashes == CRASHES:
                raise Failure("invalid_file", "The file cannot be read: every attempt to do so broke off.")

    # -------------------------------------------------------------- from bytes to the index

    async def _take_in(self) -> int:
        """Take the file's chunks in, in place of what is there of it; how many bytes they are."""
        await self._forget()
        async with self._context.database.read() as transaction:
            index = transaction.chunks
            pace, packing = Pace(FIRST_CHUNKS, MOST_CHUNKS), index.packing
            if self._context.embedder is not None and await index.has_vectors():
                self._embedder = self._context.embedder
        about = self._ingestion
        task = Task(about.filename, about.bytes, about.max_tokens, about.overlap_tokens, packing)
        number = size = 0
        reader = self._readers.take()
        try:
            async with (
                aclosing(self._content()) as content,
                aclosing(reader.read(task, content)) as answers,
                aclosing(ahead(answers, self._embedded, CUTS_AHEAD if self._embedder else 1)) as parts,
            ):
                while part := await self._next(parts):
                    size += await self._add(number, part, pace)
                    number += len(part.cut.texts)
        finally:
            self._readers.give_back(reader)
        return size

    async def _content(self) -> AsyncGenerator[bytes, None]:
        about = self._ingestion
        key = blob_key(about.project_id, about.file_id)
        try:
            async with aclosing(
                await self._context.blobs.open(key, Stored(about.bytes, about.sha256))
            ) as blocks:
                async for block in blocks:
                    yield block
        except Damaged as problem:
            log.error("event=file_damaged file=%s", about.file_id)
            raise Failure("server_error", "The file's bytes are not those that were uploaded.") from problem

    async def _embedded(self, cut: Cut) -> Part:
        part = Part(cut, None, {})
        if self._embedder is not None:

            def refused(place: int, failure: ModelFailure) -> None:
                part.refused[place] = failure.message

            embed = patient(self._embedder.embed, f"work={self.id}")
            part.vectors = await vectors_of(embed, cut.texts, refused)
        return part

    async def _next(self, parts: AsyncIterator[Part]) -> Part | None:
        with self._interrupts.allowed():
            return await anext(parts, None)

    async def _add(self, first: int, part: Part, pace: Pace) -> int:
        """Take more chunks in, of which the first has this number; how many bytes they are."""
        texts, words, vectors = part.cut.texts, part.cut.words, part.vectors
        for place, problem in part.refused.items():
            log.info("event=chunk_refused work=%s chunk=%d problem=%r", self.id, first + place, problem)
        start = 0
        while start < len(texts):
            end = min(start + pace.rows, len(texts))
            chunks = [Chunk(first + place, texts[place], words[place]) for place in range(start, end)]
            more, took = await self._write(partial(self._put, chunks, vectors and vectors[start:end]))
            pace.took(end - start, took, self._context.database.seconds_behind())
            while more:
                more = await self._write(search.tidy)
            start = end
        numbers = sum(len(vector) for vector in vectors or () if vector is not None)
        return sum(len(text.encode()) for text in texts) + NUMBER_BYTES * numbers

    async def _put(
        self, chunks: Sequence[Chunk], vectors: Sequence[Vector | None] | None, transaction: Transaction
    ) -> tuple[bool, float]:
        """Whether the index is to be tidied, and how many seconds it took."""
        began = time.perf_counter()
        claim, embedder = self.claim, self._embedder
        model = None if embedder is None else embedder.model
        await search.add(transaction, claim.store_id, claim.file_id, chunks, vectors, model)
        took = time.perf_counter() - began
        return await search.tidy(transaction), took

    async def _forget(self) -> None:
        """Remove what is there of the file, however much that is."""
        pace, more = Pace(FIRST_CHUNKS, MOST_CHUNKS), True
        while more:
            with self._interrupts.allowed():
                await asyncio.sleep(0)
            rows = pace.rows
            more, took = await self._write(partial(self._forget_some, rows))
            pace.took(rows, took, self._context.database.seconds_behind())

    async def _forget_some(self, rows: int, transaction: Transaction) -> tuple[bool, float]:
        """Whether there may be more, and how many seconds it took."""
        began = time.perf_counter()
        more = await search.remove_some(transaction, self.claim.store_id, self.claim.file_id, rows)
        return more, time.perf_counter() - began

    # -------------------------------------------------------------- writing down

    async def _finish(self, outcome: int | Failure) -> None:
        async def finish(transaction: Transaction) -> None:
            if isinstance(outcome, Failure):
                code, message = outcome.code, outcome.message
                await progress.failed(transaction, self.claim, code, message, self._context.now())
            else:
                source = search.source_of(self._embedder)
                await progress.completed(transaction, self.claim, outcome, self._context.now(), source)

        if isinstance(outcome, Failure):
            await self._patiently(self._forget)
        await self._patiently(lambda: self._context.database.write(self._claimed(finish)))
        if isinstance(outcome, Failure):
            log.info(
                "event=ingestion_failed work=%s code=%s reason=%r", self.id, outcome.code, outcome.message
            )
        else:
            log.info("event=ingestion_completed work=%s bytes=%d", self.id, outcome)

    async def _put_off(self, failure: Failure) -> bool:
        """Leave the file alone for a while; False where it has waited for long enough."""
        now = self._context.now()
        since = self._ingestion.put_off_since or now
        seconds = put_off_for(now - since)
        if seconds is None:
            return False
        log.warning(
            "event=ingestion_put_off work=%s seconds=%d problem=%r", self.id, seconds, failure.message
        )
        do = partial(progress.put_off, claim=self.claim, since=since, until=now + seconds)
        await self._patiently(lambda: self._context.database.write(do))
        return True

    async def _write(self, do: Work[T]) -> T:
        """One transaction of many, under the claim. Raises `Lost`."""
        return await self._context.database.write_behind(self._claimed(do))

    def _claimed(self, do: Work[T]) -> Work[T]:
        async def work(transaction: Transaction) -> T:
            await progress.hold(transaction, self.claim)
            return await do(transaction)

        return work


class Files:
    """Files in stores as work under leases (`leases.Kind`)."""

    def __init__(self, context: Context, owner: str, readers: Readers) -> None:
        self._context, self._owner, self._readers = context, owner, readers

    async def due(self, rows: int, crowded: bool) -> list[str]:
        if crowded:
            return []
        async with self._context.database.read() as transaction:
            return await progress.due(transaction, self._context.now(), rows)

    async def claim(self, id: str, until: int) -> Course | None:
        async def work(transaction: Transaction) -> Ingestion | None:
            return await progress.claim(transaction, id, self._owner, self._context.now(), until)

        ingestion = await self._context.database.write(work)
        if ingestion is None:
            return None
        log.info("event=ingestion_taken work=%s attempt=%d", id, ingestion.claim.attempt)
        return Course(self._context, ingestion, self._readers)

    async def renew(self, works: Sequence[Course], until: int) -> Collection[Course]:
        async def work(transaction: Transaction) -> set[Claim]:
            return await progress.renew(transaction, [one.claim for one in works], until)

        lost = await self._context.database.write(work)
        return [one for one in works if one.claim in lost]

    async def release(self, work: Course) -> None:
        async def give_back(transaction: Transaction) -> None:
            await progress.release(transaction, work.claim, self._context.now())

        await self._context.database.write(give_back)


class Ingester:
    """What makes files searchable in this process, from `start` to `stop`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._readers = Readers(settings.ingestion_memory, settings.ingestion_seconds)
        self._leases: Leases[Course] | None = None

    def start(self, context: Context) -> None:
        """Begin, with what others have left."""
        files = Files(context, os.urandom(8).hex(), self._readers)
        workers = self._settings.ingestion_workers
        self._leases = Leases(files, self._clock, self._settings.run_lease, workers)
        self._leases.start()
        context.database.listen(progress.CHANNEL, self._leases.wake)

    async def stop(self) -> None:
        """Return once nothing is worked any more; what was not finished is anybody's."""
        if self._leases is not None:
            await self._leases.stop(SECONDS_OF_GRACE)
        await self._readers.close()
