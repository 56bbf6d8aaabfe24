"""The `Embedder` of a model in a directory. The event loop goes on while it works."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from threadkeep.providers.base import ModelFailure
from threadkeep.providers.local.directory import BadModel, layout_of
from threadkeep.settings import BadSettings

LOCAL = "local:"
"""How a directory is told from a model that a provider has."""
EXTRA = "local-embeddings"
NICENESS = 10
"""Of the threads that embed: requests go first."""


class LocalEmbeddings:
    """A model that is in memory, until `close`. Raises `BadSettings`.

    Texts are embedded by a few threads, at a low priority, and each call has no more of them under way than
    there are threads: so no file waits for the end of another. What comes alone, as queries do, has a thread
    of its own.
    """

    def __init__(self, directory: str, dimensions: int | None = None) -> None:
        try:
            layout = layout_of(Path(directory).expanduser().resolve())
            from threadkeep.providers.local.model import Model  # its libraries are an extra

            self._model = Model(layout)
        except ImportError as problem:
            raise BadSettings(
                f"embedding_model is '{LOCAL}{directory}', but {problem.name} is not installed: "
                f"install threadkeep[{EXTRA}]."
            ) from problem
        except BadModel as problem:
            raise BadSettings(
                f"embedding_model is '{LOCAL}{directory}', but the model cannot be used: {problem}."
            ) from problem
        self.dimensions: int | None = self._model.dimensions
        if dimensions not in (None, self.dimensions):
            raise BadSettings(
                f"embedding_dimensions is {dimensions}, but the vectors of '{LOCAL}{directory}' have "
                f"{self.dimensions} numbers: leave it out."
            )
        self.model = f"{LOCAL}{layout.path.name}@{layout.digest()}"
        self._threads = max(1, processors() // 2)
        self._many = ThreadPoolExecutor(self._threads, "embed", initializer=step_back)
        self._alone = ThreadPoolExecutor(1, "embed-one")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order. Raises `ModelFailure`."""
        found: list[list[float]] = [[]] * len(texts)
        todo = iter(enumerate(texts))
        loop = asyncio.get_running_loop()
        pool = self._many if len(texts) > 1 else self._alone

        async def some() -> None:
            for number, text in todo:
                found[number] = await loop.run_in_executor(pool, self._model.vector, text)

        tasks = [asyncio.ensure_future(some()) for _ in range(min(self._threads, len(texts)))]
        try:
            await asyncio.gather(*tasks)
        except Exception as problem:  # whatever the runtime raises
            message = f"The local embedding model failed: {problem}"
            raise ModelFailure("server_error", message) from problem
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    def close(self) -> None:
        """Return once no text is being embedded."""
        for pool in (self._many, self._alone):
            pool.shutdown(cancel_futures=True)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def step_back() -> None:
    """Let others go first. Only Linux has that for a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
