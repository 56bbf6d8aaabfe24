"""What storage tests share: an event loop, and a database with one small table."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres
from tests.support.settings import no_settings
from threadkeep.storage.database import Transaction
from threadkeep.storage.sqlite import SQLiteDatabase

__all__ = ["no_settings"]

NOTES = "CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL PRIMARY KEY)"
Work = Callable[[Transaction], Awaitable[Any]]


class Notebook(SQLiteDatabase):
    """A database with one table, `notes`."""

    def adding(self, text: str) -> Work:
        """A work that adds a note and returns it."""

        async def work(transaction: Transaction) -> str:
            await transaction.run("INSERT INTO notes (text) VALUES (:text)", {"text": text})
            return text

        return work

    async def add(self, text: str) -> str:
        added: str = await self.write(self.adding(text))
        return added

    async def notes(self) -> list[str]:
        """Every note, as a reader sees them."""
        async with self.read() as transaction:
            return [row[0] for row in await transaction.all("SELECT text FROM notes ORDER BY text", {})]


async def open_notebook(path: Path) -> Notebook:
    notebook = Notebook(path)

    async def work(transaction: Transaction) -> None:
        await transaction.run(NOTES, {})

    await notebook.write(work)
    return notebook


@pytest.fixture
async def notebook(tmp_path: Path) -> AsyncIterator[Notebook]:
    opened = await open_notebook(tmp_path / "notes.db")
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that may be stopped, if it is started again."""
    own = Postgres()
    yield own
    own.close()


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> str:
    """The name of the database on `postgres` that belongs to the test's directory."""
    return postgres.of(tmp_path).partition("?")[0].rpartition("/")[2]


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the server does."""
    return "asyncio"
