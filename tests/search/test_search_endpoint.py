"""POST /vector_stores/{vector_store_id}/search, through the official client."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.waiting import until
from threadkeep.wire.search import LONGEST_QUERY

TEXTS = {"tea.txt": b"Green tea is brewed at eighty degrees.", "bread.txt": b"Bread is baked at 220 degrees."}


@pytest.fixture
def store(client: OpenAI) -> Any:
    """A store with two files, each with its name as an attribute."""
    made = client.vector_stores.create(name="kitchen")
    for name, text in TEXTS.items():
        file = client.files.create(file=(name, text), purpose="assistants")
        client.vector_stores.files.create(
            file_id=file.id, vector_store_id=made.id, attributes={"name": name, "length": len(text)}
        )
    until(lambda: client.vector_stores.retrieve(made.id).file_counts.completed == len(TEXTS))
    return made


def found(page: Any) -> list[str]:
    return [hit.filename for hit in page]


@pytest.mark.promise("v2.search.words")
def test_the_passage_with_the_words_comes_first(client: OpenAI, store: Any) -> None:
    page = client.vector_stores.search(store.id, query="How is green tea brewed?")
    best = page.data[0]
    assert (best.filename, best.content[0].text) == ("tea.txt", TEXTS["tea.txt"].decode())
    assert best.attributes == {"name": "tea.txt", "length": float(len(TEXTS["tea.txt"]))}
    assert 0 < best.score <= 1


@pytest.mark.promise("v2.search.words")
def test_several_queries_are_asked_at_once(client: OpenAI, store: Any) -> None:
    page = client.vector_stores.search(store.id, query=["tea", "bread"])
    assert sorted(found(page)) == ["bread.txt", "tea.txt"]


@pytest.mark.promise("v2.search.query")
def test_a_query_has_so_many_characters_and_no_more(client: OpenAI, store: Any) -> None:
    long = "tea ".ljust(LONGEST_QUERY, "🍵")
    for query in (long, [long]):
        assert found(client.vector_stores.search(store.id, query=query)) == ["tea.txt"]
    for query, param in ((long + "!", "query"), (["tea", long + "!"], "query[1]")):
        with pytest.raises(
            BadRequestError, match="length 32768, but got a string with length 32769"
        ) as refused:
            client.vector_stores.search(store.id, query=query)
        assert (refused.value.param, refused.value.code) == (param, "string_above_max_length")


@pytest.mark.promise("v2.search.filters")
def test_filters_and_limits_hold(client: OpenAI, store: Any) -> None:
    only: Any = {"type": "eq", "key": "name", "value": "bread.txt"}
    assert found(client.vector_stores.search(store.id, query="degrees", filters=only)) == ["bread.txt"]
    assert len(found(client.vector_stores.search(store.id, query="degrees", max_num_results=1))) == 1


@pytest.mark.promise("v2.search.rewrite")
def test_a_query_is_answered_as_it_was_asked(client: OpenAI, store: Any) -> None:
    answers = [
        client.vector_stores.search(
            store.id, query="How is green tea brewed?", rewrite_query=rewrite
        ).to_dict()
        for rewrite in (True, False)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["search_query"] == ["How is green tea brewed?"]


@pytest.mark.promise("v2.search.stores")
def test_what_is_not_there_is_not_found(client: OpenAI, store: Any) -> None:
    with pytest.raises(NotFoundError):
        client.vector_stores.search("vs_unknown", query="tea")
    with pytest.raises(BadRequestError):
        client.vector_stores.search(store.id, query="tea", max_num_results=51)
    assert found(client.vector_stores.search(store.id, query="quantum")) == []
