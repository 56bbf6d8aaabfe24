"""The process that reads files: it ends where a file would take the server with it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.ingestion.files import endless_pdf, packed_docx
from threadkeep.ingestion.child import NICENESS
from threadkeep.ingestion.model import Failure, Task
from threadkeep.ingestion.reader import FILES_A_PROCESS, Crashed, Reader, Readers

pytestmark = pytest.mark.anyio
MEMORY = 256 * 1024 * 1024


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    one = Reader(MEMORY, 60)
    yield one
    await one.close()


async def blocks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


async def read(reader: Reader, filename: str, content: bytes, overlap: int = 400) -> list[str]:
    task = Task(filename, len(content), 800, overlap, "listed")
    async with aclosing(reader.read(task, blocks(content))) as answers:
        return [text async for cut in answers for text in cut.texts]


async def refused(reader: Reader, filename: str, content: bytes) -> str:
    with pytest.raises(Failure) as failed:
        await read(reader, filename, content)
    assert failed.value.code == "invalid_file"
    return failed.value.message


def process_of(reader: Reader) -> int:
    assert reader._process
    return reader._process.pid


@pytest.mark.promise("ingestion.limits")
async def test_one_process_reads_many_files(reader):
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]
    process = process_of(reader)
    assert await refused(reader, "a.pdf", b"no") == "The file is not a PDF, though its name says so."
    large = b"Each word of it.\n" * 50_000
    assert "".join(await read(reader, "a.md", large, 0)).encode() == large
    assert process_of(reader) == process


def niceness_of_session(process: int) -> int:
    return int(Path(f"/proc/{process}/autogroup").read_text("ascii").split()[-1])


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="only Linux has sessions compete")
async def test_the_process_comes_last_as_a_session_too(reader):
    await read(reader, "a.txt", b"Hello.")
    process = process_of(reader)
    assert (niceness_of_session(process), os.getpriority(os.PRIO_PROCESS, process)) == (NICENESS, NICENESS)


@pytest.mark.promise("ingestion.limits")
async def test_a_process_is_replaced_after_many_files(reader):
    await read(reader, "a.txt", b"Hello.")
    process = process_of(reader)
    reader._files = FILES_A_PROCESS
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]
    assert process_of(reader) != process


@pytest.mark.promise("ingestion.limits")
async def test_a_file_that_takes_too_long_fails_alone():
    reader = Reader(MEMORY, 2)
    try:
        assert await refused(reader, "a.pdf", endless_pdf()) == "The file could not be read within 2 seconds."
        assert await read(reader, "a.txt", b"Hello.") == ["Hello."]
    finally:
        await reader.close()


@pytest.mark.promise("ingestion.limits")
async def test_a_process_that_does_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("threadkeep.ingestion.reader.TIMES_BY_THE_CLOCK", 1)
    reader = Reader(MEMORY, 1)
    try:
        process = await reader._ready()
        process.send_signal(signal.SIGSTOP)
        assert await refused(reader, "a.txt", b"Hello.") == "The file could not be read within 1 seconds."
        assert process.returncode is not None
    finally:
        await reader.close()


NO_MEMORY = "The file needs more memory than a file may take to be read."


@pytest.mark.promise("ingestion.limits")
async def test_a_file_that_needs_too_much_memory_fails_alone(reader):
    content = packed_docx([b"<d/>"], relations="<d>" + "<R Id='x'/>" * 1_000_000 + "</d>")
    assert await refused(reader, "a.docx", content) == NO_MEMORY
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]


BOMBS = {
    "zeros.docx": lambda: packed_docx([b"<d>", *[b" " * 1_000_000] * 300, b"</d>"]),
    "attribute.docx": lambda: packed_docx([b"<d a='", *[b"x" * 1_000_000] * 300, b"'/>"]),
    "nested.docx": lambda: packed_docx([b"<d>" * 1_000_000] * 3),
    "nested.html": lambda: b"<div>" * 1_000_000,
    "attribute.html": lambda: b"<a href='" + b"x" * 30_000_000,
    "comment.html": lambda: b"<!--" + b"x" * 30_000_000,
}


@pytest.mark.promise("ingestion.limits")
@pytest.mark.parametrize("filename", BOMBS)
async def test_a_bomb_fails_alone(reader, filename):
    assert await refused(reader, filename, BOMBS[filename]())
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]


@pytest.mark.promise("ingestion.limits")
async def test_deep_json_is_text_like_any_other(reader):
    assert "".join(await read(reader, "a.json", b"[" * 300_000, 0)) == "[" * 300_000


@pytest.mark.promise("ingestion.reader-killed")
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_a_process_that_ends_while_it_is_sent_a_file_is_lost(reader, anyio_backend):
    await read(reader, "a.txt", b"Hello.")
    process = reader._process
    assert process

    async def content() -> AsyncIterator[bytes]:
        yield b"x"
        process.kill()
        await process.wait()
        yield b"y"

    with pytest.raises(Crashed):
        async with aclosing(reader.read(Task("a.txt", 2, 800, 400, "listed"), content())) as answers:
            await anext(answers)


@pytest.mark.promise("ingestion.reader-killed")
async def test_a_process_that_is_killed_is_replaced(reader):
    await read(reader, "a.txt", b"Hello.")
    os.kill(process_of(reader), signal.SIGKILL)
    with pytest.raises(Crashed):
        await read(reader, "a.txt", b"Hello." * 1000)
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]


@pytest.mark.promise("ingestion.limits")
async def test_whoever_leaves_before_the_end_has_the_process_killed(reader):
    content = b"Each word of it.\n" * 200_000
    async with aclosing(
        reader.read(Task("a.txt", len(content), 800, 400, "listed"), blocks(content))
    ) as answers:
        await anext(answers)
        process = process_of(reader)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.promise("ingestion.limits")
async def test_bytes_that_fail_to_arrive_are_no_file(reader):
    async def broken() -> AsyncIterator[bytes]:
        yield b"Hello"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        async for _ in reader.read(Task("a.txt", 10, 800, 400, "listed"), broken()):
            pass
    assert await read(reader, "a.txt", b"Hello.") == ["Hello."]


@pytest.mark.promise("ingestion.secrets")
async def test_the_process_gets_no_secrets(reader, monkeypatch):
    monkeypatch.setenv("THREADKEEP_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    await read(reader, "a.txt", b"Hello.")
    assert "sk-secret" not in variables_of(process_of(reader))


def variables_of(process: int) -> str:
    return subprocess.run(
        ["ps", "eww", "-p", str(process)], capture_output=True, text=True, check=True
    ).stdout


async def test_idle_processes_end(monkeypatch):
    monkeypatch.setattr("threadkeep.ingestion.reader.SECONDS_IDLE", 0.0)
    readers = Readers(MEMORY, 60)
    reader = readers.take()
    await read(reader, "a.txt", b"Hello.")
    process = reader._process
    assert process
    readers.give_back(reader)
    async with asyncio.timeout(10):
        await process.wait()
    await readers.close()
