"""Files that are embedded again, in the background, since other vectors are wanted than they have: another
model was configured, or another length, or a model at all.

Their chunks stay, and are found by their words all the while; each gets its new vector in place of the old
one, a few in one transaction, under a lease. What is done is not done again: whoever takes a file up after a
kill asks which of its chunks lack the vector that is wanted. Nothing here fails a file.
"""

import asyncio
import logging
import os
import time
from collections.abc import Collection, Sequence
from functools import partial

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.context import Context
from threadkeep.engine.interrupts import Interrupted, Interrupts, Reason
from threadkeep.engine.leases import Leases, attempt
from threadkeep.errors import Unavailable
from threadkeep.ingestion.embedding import NUMBER_BYTES, Vector, vectors_of
from threadkeep.providers.base import Embedder, ModelFailure
from threadkeep.search import base as search
from threadkeep.search.base import Unembedded
from threadkeep.settings import Settings
from threadkeep.storage.database import Transaction
from threadkeep.vector_stores import reembedding as rows
from threadkeep.vector_stores.progress import Lost
from threadkeep.vector_stores.reembedding import Claim

FILES_AT_ONCE = 2
"""In this process: queries, and files that come in, are to find the provider free."""
CHUNKS_AT_ONCE = 32
"""In one call of the embedder."""
VECTORS_AT_ONCE = 16
"""In one transaction: other writers wait for it."""
SECONDS_OF_COURTESY = 2.0
"""How long each call waits while files are read, which come first but not for ever."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which a process takes no file on after the provider has failed, twice as long each time."""
LONGEST_PUT_OFF = 600
"""Seconds for which a file stands aside that could not be embedded, twice as long each time up to this."""
EVER = 2**62
SECONDS_OF_GRACE = 0.0
log = logging.getLogger(__name__)

Pair = tuple[int, Vector]
"""A chunk's number in the index, and its vector."""


class Tally(Struct):
    """What this process has done since it began."""

    began: float
    files: int = 0
    chunks: int = 0
    refused: int = 0


class Target:
    """What vectors are to come from, and how that goes."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.source = search.source_of(embedder)
        self.tally: Tally | None = None
        self._dimensions = embedder.dimensions
        self._pause, self._until = FIRST_PAUSE, 0.0

    async def dimensions(self) -> int:
        """The length of its vectors, which it is asked for once where no setting says it. Raises
        `ModelFailure`."""
        if self._dimensions is None:
            [vector] = await self.embedder.embed(["length"])
            self._dimensions = len(vector)
        return self._dimensions

    @property
    def rests(self) -> bool:
        return time.monotonic() < self._until

    def failed(self) -> None:
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def answered(self) -> None:
        self._pause = FIRST_PAUSE


class Course:
    """The work on one file in one store (`leases.Work`)."""

    def __init__(self, context: Context, target: Target, claim: Claim) -> None:
        self._context, self._target, self.claim = context, target, claim
        self._interrupts = Interrupts()

    @property
    def id(self) -> str:
        return self.claim.id

    def leave(self, lost: bool) -> None:
        self._interrupts.ask(Reason.LOST if lost else Reason.HANDED_OVER)

    async def run(self) -> None:
        try:
            await self._work()
        except (Lost, Interrupted):
            pass
        except ModelFailure as failure:
            await self._put_off(failure)
        except Unavailable as problem:  # it is gone on with when the lease is over
            log.debug("event=reembedding_put_off work=%s problem=%r", self.id, problem)
        except Exception:
            log.exception("event=reembedding_left work=%s", self.id)

    async def _work(self) -> None:
        if not self._has_expired() and not await self._embed_all():
            return await self._context.database.write(
                partial(rows.release, claim=self.claim, now=self._soon())
            )
        await self._context.database.write(partial(rows.finish, claim=self.claim))
        if tally := self._target.tally:
            tally.files += 1

    def _has_expired(self) -> bool:
        """Whether nobody searches it any more."""
        return self.claim.expires_at is not None and self.claim.expires_at <= self._context.now()

    def _soon(self) -> int:
        return self._context.now() + 1

    async def _embed_all(self) -> bool:
        """Whether nothing is left to be done."""
        with self._interrupts.allowed():
            dimensions = await self._target.dimensions()
        after, is_whole = -1, True
        while True:
            chunks = await self._context.database.scan(
                partial(self._next, dimensions=dimensions, after=after)
            )
            if chunks:
                await self._give_way()
                is_whole &= await self._keep(await self._vectors(chunks))
                after = chunks[-1].number
            if len(chunks) < CHUNKS_AT_ONCE:
                return is_whole

    async def _next(self, transaction: Transaction, dimensions: int, after: int) -> list[Unembedded]:
        model, claim = self._target.embedder.model, self.claim
        return await search.unembedded(
            transaction, claim.store_id, claim.file_id, model, dimensions, after, CHUNKS_AT_ONCE
        )

    async def _give_way(self) -> None:
        async with self._context.database.read() as transaction:
            is_busy = await rows.files_are_read(transaction)
        if is_busy:
            with self._interrupts.allowed():
                await asyncio.sleep(SECONDS_OF_COURTESY)

    async def _vectors(self, chunks: Sequence[Unembedded]) -> list[Pair]:
        """What the model refuses is left without a vector, whatever comes with it. Raises `ModelFailure`."""

        def refused(place: int, failure: ModelFailure) -> None:
            if tally := self._target.tally:
                tally.refused += 1
            number = chunks[place].number
            log.info("event=chunk_refused work=%s chunk=%d problem=%r", self.id, number, failure.message)

        vectors = await vectors_of(self._embed, [chunk.text for chunk in chunks], refused)
        pairs = zip(chunks, vectors, strict=True)
        return [(chunk.id, vector) for chunk, vector in pairs if vector is not None]

    async def _embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        with self._interrupts.allowed():
            vectors = await self._target.embedder.embed(texts)
        self._target.answered()
        return vectors

    async def _keep(self, pairs: Sequence[Pair]) -> bool:
        """Whether each of the chunks is still there, and not held by somebody who may remove it."""
        kept = 0
        for start in range(0, len(pairs), VECTORS_AT_ONCE):
            some = pairs[start : start + VECTORS_AT_ONCE]
            kept += await self._context.database.write_behind(partial(self._put, pairs=some))
        if tally := self._target.tally:
            tally.chunks += kept
        return kept == len(pairs)

    async def _put(self, transaction: Transaction, pairs: Sequence[Pair]) -> int:
        claim = self.claim
        await rows.hold(transaction, claim)
        model = self._target.embedder.model
        kept = await search.embed(transaction, claim.store_id, claim.file_id, pairs, model)
        await rows.grow(transaction, claim, kept.numbers * NUMBER_BYTES)
        return kept.vectors

    async def _put_off(self, failure: ModelFailure) -> None:
        self._target.failed()
        seconds = min(2 ** min(self.claim.failures, 10), LONGEST_PUT_OFF)
        log.warning(
            "event=reembedding_put_off work=%s seconds=%d problem=%r", self.id, seconds, failure.message
        )
        until = self._context.now() + seconds
        do = partial(rows.put_off, claim=self.claim, until=until)
        await attempt(partial(self._context.database.write, do))


class Files:
    """Files to be embedded again as work under leases (`leases.Kind`)."""

    def __init__(self, context: Context, embedder: Embedder) -> None:
        self._context, self._target = context, Target(embedder)
        self._has_vectors: bool | None = None
        self._has_said_so = False

    async def due(self, most: int, crowded: bool) -> list[str]:
        target, now = self._target, self._context.now()
        if crowded or target.rests:
            return []
        if not await self._is_wanted(now):
            target.tally = None
            return []
        async with self._context.database.read() as transaction:
            found = await rows.due(transaction, target.source, now, most)
            is_done = not found and target.tally and not await rows.due(transaction, target.source, EVER, 1)
        if found and target.tally is None:
            number = await self._context.database.scan(partial(rows.number, source=target.source))
            target.tally = Tally(time.monotonic())
            log.info("event=reembedding_started model=%r files=%d", target.source, number)
        if is_done and (tally := target.tally):
            target.tally = None
            log.info(
                "event=reembedding_completed model=%r files=%d chunks=%d refused=%d seconds=%.1f",
                target.source, tally.files, tally.chunks, tally.refused, time.monotonic() - tally.began,
            )  # fmt: skip
        return found

    async def _is_wanted(self, now: int) -> bool:
        """Whether vectors are to come from this process's model; it says so at its start."""
        async with self._context.database.read() as transaction:
            if self._has_vectors is None:
                self._has_vectors = await transaction.chunks.has_vectors()
            wanted, until = await rows.wanted(transaction)
        if not self._has_vectors:
            return False
        own = self._target.source
        is_new = not self._has_said_so
        if not is_new and (until > now if wanted != own else not rows.is_to_be_prolonged(until, now)):
            return wanted == own
        want = partial(rows.want, source=own, now=now, anyway=is_new)
        is_wanted = await self._context.database.write(want)
        self._has_said_so = True
        if is_wanted and wanted not in ("", own):
            log.info("event=embedding_model_changed before=%r now=%r", wanted, own)
        return is_wanted

    async def claim(self, id: str, until: int) -> Course | None:
        async def work(transaction: Transaction) -> Claim | None:
            name = os.urandom(8).hex()
            return await rows.claim(transaction, id, self._target.source, name, self._context.now(), until)

        claim = await self._context.database.write(work)
        return None if claim is None else Course(self._context, self._target, claim)

    async def renew(self, works: Sequence[Course], until: int) -> Collection[Course]:
        async def work(transaction: Transaction) -> set[Claim]:
            return await rows.renew(transaction, [one.claim for one in works], until)

        lost = await self._context.database.write(work)
        return [one for one in works if one.claim in lost]

    async def release(self, work: Course) -> None:
        do = partial(rows.release, claim=work.claim, now=self._context.now())
        await self._context.database.write(do)


class Reembedder:
    """What gives stored files the vectors that are wanted, in this process, from `start` to `stop`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._leases: Leases[Course] | None = None

    def start(self, context: Context) -> None:
        """Begin, where this process has a model and makes files searchable."""
        if context.embedder is None or not self._settings.ingestion_workers:
            return
        files = Files(context, context.embedder)
        self._leases = Leases(files, self._clock, self._settings.run_lease, FILES_AT_ONCE)
        self._leases.start()

    async def stop(self) -> None:
        """Return once nothing is worked any more; what was not finished is anybody's."""
        if self._leases is not None:
            await self._leases.stop(SECONDS_OF_GRACE)
