"""Questions while the provider of the embedding model is in trouble: nobody waits for it long."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.support.house import House
from tests.support.upstream import Error, Gate, Turn, Upstream, Vectors
from tests.support.waiting import SECONDS, until
from threadkeep.search import base

TEXT = b"Green tea is brewed at eighty degrees."


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.always(Vectors())
        yield upstream


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, database: str, up: Upstream) -> Iterator[House]:
    """A running server that searches by meaning, too."""
    directory = tmp_path_factory.mktemp("patience")
    with House(directory, database, upstream_base_url=up.url, embedding_model="e") as running:
        yield running


@pytest.fixture
def store(client: OpenAI) -> Any:
    """A store with one file, which has its vector."""
    file = client.files.create(file=("tea.txt", TEXT), purpose="assistants")
    made = client.vector_stores.create(file_ids=[file.id])
    until(lambda: client.vector_stores.retrieve(made.id).file_counts.completed == 1)
    return made


def silent() -> Turn:
    """Takes the question, and says nothing."""
    return Vectors(before=Gate())


def limiting() -> Turn:
    return Error(429, "Slow down", code="rate_limit_exceeded", headers={"retry-after": "20"})


def refusing() -> Turn:
    return Error(400, "No such thing.")


TOO_LATE = "problem='no vector came within 0.2 seconds'"


@pytest.mark.promise("v2.search.patience")
@pytest.mark.parametrize(
    ("trouble", "said"), [(silent, TOO_LATE), (limiting, TOO_LATE), (refusing, "No such thing.")]
)
def test_a_question_is_answered_by_its_words_where_its_vector_does_not_come_soon(
    client: OpenAI,
    store: Any,
    up: Upstream,
    trouble: Callable[[], Turn],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(base, "SECONDS_FOR_VECTORS", 0.2)
    up.script(trouble())
    with caplog.at_level(logging.WARNING, "threadkeep"):
        page = client.with_options(timeout=SECONDS / 2).vector_stores.search(store.id, query="tea")
    assert [hit.filename for hit in page] == ["tea.txt"]
    [line] = [one for one in caplog.messages if one.startswith("event=query_not_embedded ")]
    assert said in line
    until(lambda: trouble is not silent or up.requests[-1].hung_up.is_set())
