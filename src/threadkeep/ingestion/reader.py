"""Processes that read files, as the server sees them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import msgspec

from threadkeep.ingestion.model import LENGTH, LONGEST, Answer, Cut, Failure, Finished, Refused, Task, framed

NEEDED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH")
"""Variables that a process gets. The others may be secrets."""
FILES_A_PROCESS = 200
"""After so many a new one is started, in case the libraries leave something behind."""
MOST, GROWTH = 512 * 1024 * 1024, 8
"""Bytes that the answers about a file may take beside so many times its size. The process has closer limits;
this one is for a process that does not keep them."""
TIMES_BY_THE_CLOCK = 10
"""How many times its seconds of a processor a file may take: others come first, and where these take all, a
tenth is left to it."""
SECONDS_TO_END = 5.0
SECONDS_IDLE = 60.0
"""After so long without a file the processes end: each takes 60 MiB."""
decode = msgspec.msgpack.Decoder(Answer).decode


class Crashed(Exception):
    """The process has ended without an answer."""


class Reader:
    """One process that reads one file at a time, started when it is needed.

    It may take `memory` bytes of address space, and `seconds` of a processor for each file.
    """

    def __init__(self, memory: int, seconds: int) -> None:
        self._memory, self._seconds = memory, seconds
        self._process: Process | None = None
        self._files = 0

    async def read(self, task: Task, content: AsyncIterator[bytes]) -> AsyncGenerator[Cut, None]:
        """The chunks of a file, some at a time. Raises `Failure`; and `Crashed` where the process was lost,
        which may also be what a file before this one has done.

        A process that has not come to an end with the file when this is left is killed.
        """
        process = await self._ready()
        at_its_end = False
        try:
            await send(process, task, content)
            async with aclosing(self._answers(process, MOST + GROWTH * task.size)) as answers:
                async for cut in answers:
                    yield cut
            at_its_end = True
        except Answered as answered:
            at_its_end = not answered.answer.last
            raise Failure(answered.code, answered.message, answered.passes) from None
        except (asyncio.IncompleteReadError, ConnectionError) as problem:
            raise await self._end_of(process) from problem
        finally:
            if not at_its_end:
                await self.close()

    async def _ready(self) -> Process:
        is_over = self._process is not None and self._process.returncode is not None
        if is_over or self._files >= FILES_A_PROCESS:
            await self.close()
        if self._process is None:
            self._process, self._files = await start(self._memory, self._seconds), 0
        self._files += 1
        return self._process

    async def _answers(self, process: Process, most: int) -> AsyncGenerator[Cut, None]:
        """Time counts while the process is waited for, not what is done with its answers."""
        assert process.stdout is not None
        left, now = float(self._seconds * TIMES_BY_THE_CLOCK), asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                async with asyncio.timeout(left):
                    size = int.from_bytes(await process.stdout.readexactly(LENGTH), "big")
                    most -= size
                    if size > LONGEST or most < 0:
                        raise Failure("invalid_file", "The file holds far more text than its size allows.")
                    answer = decode(await process.stdout.readexactly(size))
            except TimeoutError:
                raise self._late() from None
            left -= now() - began
            if isinstance(answer, Finished):
                return
            if isinstance(answer, Refused):
                raise Answered(answer)
            yield answer

    async def _end_of(self, process: Process) -> Exception:
        """What the end of the process says of the file."""
        await ended(process)
        if process.returncode == -signal.SIGXCPU:
            return self._late()
        return Crashed(f"The process ended with status {process.returncode}.")

    def _late(self) -> Failure:
        return Failure("invalid_file", f"The file could not be read within {self._seconds} seconds.")

    async def close(self) -> None:
        """Have no process any more."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await ended(process)


async def ended(process: Process) -> None:
    """Return once it has ended, or has not within a time in which it should."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_TO_END):
            await process.wait()


class Answered(Failure):
    """The process itself says that the file has failed."""

    def __init__(self, answer: Refused) -> None:
        super().__init__(answer.code, answer.message, answer.passes)
        self.answer = answer


async def start(memory: int, seconds: int) -> Process:
    """A process of its own session, so that Ctrl-C in a terminal does not reach it."""
    variables = {name: os.environ[name] for name in NEEDED if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "threadkeep.ingestion.child", str(memory), str(seconds),
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True,
        env={**variables, "MALLOC_ARENA_MAX": "1"},  # an arena takes 64 MiB of address space
    )  # fmt: skip


async def send(process: Process, task: Task, content: AsyncIterator[bytes]) -> None:
    """All of a file, which the process takes in before it answers. Raises `ConnectionError`."""
    await put(process, framed(msgspec.msgpack.encode(task)))
    async for block in content:
        await put(process, block)


async def put(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    if process.stdin.is_closing():  # to write all the same would be no ConnectionError on every event loop
        raise BrokenPipeError
    process.stdin.write(data)
    await process.stdin.drain()


class Readers:
    """The processes of one server, which end when nothing has been read for a while."""

    def __init__(self, memory: int, seconds: int) -> None:
        self._memory, self._seconds = memory, seconds
        self._idle: list[Reader] = []
        self._closing: asyncio.Task[None] | None = None

    def take(self) -> Reader:
        return self._idle.pop() if self._idle else Reader(self._memory, self._seconds)

    def give_back(self, reader: Reader) -> None:
        self._idle.append(reader)
        if self._closing is not None:
            self._closing.cancel()
        self._closing = asyncio.create_task(self._close_later(), name="idle readers")

    async def _close_later(self) -> None:
        await asyncio.sleep(SECONDS_IDLE)
        self._closing = None  # what has begun is carried through
        await self._close_idle()

    async def _close_idle(self) -> None:
        idle, self._idle = self._idle, []
        for reader in idle:
            await reader.close()

    async def close(self) -> None:
        """End those that read nothing, which at a stop are all."""
        if self._closing is not None:
            self._closing.cancel()
        await self._close_idle()
