"""How long vectors may be: as both databases can keep them."""

import pytest

from tests.providers.test_embeddings import Here
from tests.support.upstream import Upstream, Vectors

pytestmark = [pytest.mark.anyio, pytest.mark.promise("embeddings.failures")]


def vectors_of(length: int) -> Vectors:
    return Vectors(change=lambda data: [{**one, "embedding": [0.5] * length} for one in data])


async def test_vectors_longer_than_postgresql_keeps_are_refused(up: Upstream):
    up.script(vectors_of(16_001))
    async with Here(up.url) as here:
        failure = await here.refusal("a cat")
    assert failure.code == "server_error"
    assert failure.message.endswith("vectors of 16001 numbers, where 16000 are the most that can be kept")
    assert not failure.passes
    assert len(up.requests) == 1


async def test_vectors_as_long_as_postgresql_keeps_are_taken(up: Upstream):
    up.script(vectors_of(16_000))
    async with Here(up.url) as here:
        [vector] = await here.embedder.embed(["a cat"])
    assert len(vector) == 16_000
