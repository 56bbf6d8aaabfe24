"""What the tests of ingestion share: coroutines, and settings of the tests' own."""

import pytest

from tests.support.settings import no_settings

__all__ = ["no_settings"]


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as the server does."""
    return "asyncio"
