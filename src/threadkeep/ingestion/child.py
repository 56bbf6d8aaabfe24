"""The process that reads files: `python -m threadkeep.ingestion.child MEMORY SECONDS`.

It takes tasks on its input and answers on its output (`model`), one file after the other, and ends with its
input. It may take `MEMORY` bytes of address space in all and `SECONDS` of a processor for each file; past
that it ends, by itself or not. Nothing in it is worth keeping, so whoever started it may kill it.
"""

import errno
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from threadkeep.ingestion.chunking import chunks
from threadkeep.ingestion.extract import text_of
from threadkeep.ingestion.model import LENGTH, Answer, Cut, Failure, Finished, Refused, Task, framed
from threadkeep.search.words import Forms, words_of
from threadkeep.storage.packing import packed

BLOCK = 256 * 1024
"""Bytes."""
ENOUGH = 64 * 1024
"""Characters that are worth an answer."""
NICENESS = 10
"""Requests come first; of a processor that is never idle a tenth is left."""
RESERVE = 16 * 1024 * 1024
"""Bytes that are given up when there is no other memory left, so that this can be said."""
decode = msgspec.msgpack.Decoder(Task).decode
encode = msgspec.msgpack.Encoder().encode
Tell = Callable[[Answer], None]


def main(memory: int, seconds: int) -> None:
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    limit(resource.RLIMIT_AS, memory)
    limit(resource.RLIMIT_CORE, 0)
    come_last()
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()

    def tell(answer: Answer) -> None:
        answers.write(framed(encode(answer)))
        answers.flush()

    while head := requests.read(LENGTH):
        task = decode(requests.read(int.from_bytes(head, "big")))
        limit(resource.RLIMIT_CPU, int(time.process_time()) + seconds + 1)
        try:
            file = kept(blocks(requests, task.size))
        except OSError as problem:
            reason = os.strerror(problem.errno or errno.EIO)  # without a path
            message = f"The file could not be kept to be read ({reason})."
            tell(Refused("server_error", message, passes=True))
            continue
        with file:
            work(task, file, tell)


def come_last() -> None:
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():  # Linux may have a whole session compete as one, by a niceness of its own
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS), "ascii")


def limit(what: int, value: int) -> None:
    """As far as the system has such a limit; one that is lower already stays."""
    _, most = resource.getrlimit(what)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (value, most))


def end_with(parent: int) -> None:
    """End as soon as the server has, however it did, even in the middle of a file."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def blocks(requests: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes."""
    while size:
        block = requests.read(min(size, BLOCK))
        if not block:
            raise SystemExit  # the server has changed its mind
        yield block
        size -= len(block)


def kept(content: Iterator[bytes]) -> BinaryIO:
    """A temporary file of this content. All of it is taken in also where it cannot be kept, so that an answer
    can be given. Raises `OSError`."""
    file = None
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        for block in content:
            file.write(block)
        file.seek(0)
    except OSError:
        if file is not None:
            with suppress(OSError):  # as what it still holds back cannot be written
                file.close()
        for _ in content:
            pass
        raise
    return file


def work(task: Task, file: BinaryIO, tell: Tell) -> None:
    """Read and cut one file. Whatever goes wrong with it is an answer."""
    reserve = bytearray(RESERVE)
    try:
        text = text_of(file, task.filename)
        known = Forms()
        for texts in gathered(chunks(text.parts, task.max_tokens, task.overlap_tokens)):
            tell(Cut(texts, [packed(words_of(text, known), task.packing) for text in texts]))
        tell(Finished(text.skipped()))
    except Failure as failure:
        tell(Refused(failure.code, failure.message))
    except MemoryError:
        del reserve
        message = "The file needs more memory than a file may take to be read."
        tell(Refused("invalid_file", message, last=True))
        raise SystemExit from None
    except RecursionError:
        tell(Refused("invalid_file", "The file is nested too deeply."))
    except Exception as problem:
        tell(Refused("invalid_file", f"The file cannot be read ({type(problem).__name__})."))


def gathered(texts: Iterator[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= ENOUGH:
            yield some
            some, size = [], 0
    if some:
        yield some


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
