"""Pages of messages: cursors, order, and what they promise. Reference: protocol section 1.4."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from openai import NotFoundError, OpenAI

from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.plain import plain

SIX = 6


class Talk(NamedTuple):
    """A thread of six messages whose contents are their numbers, over plain HTTP."""

    http: httpx.Client
    path: str
    ids: list[str]

    def page(self, **query: Any) -> dict[str, Any]:
        """A page, with the numbers of the messages as its data."""
        answer = self.http.get(self.path, params=query)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return {**page, "data": [self.ids.index(message["id"]) for message in page["data"]]}

    def expected(self, numbers: list[int], has_more: bool) -> dict[str, Any]:
        ends = [self.ids[numbers[0]], self.ids[numbers[-1]]] if numbers else [None, None]
        page = {"object": "list", "data": numbers, "first_id": ends[0], "last_id": ends[1]}
        return {**page, "has_more": has_more}


def talk_of(http: httpx.Client, count: int = SIX) -> Talk:
    messages = [{"role": "user", "content": str(number)} for number in range(count)]
    path = f"/v1/threads/{http.post('/v1/threads', json={'messages': messages}).json()['id']}/messages"
    listed = http.get(path, params={"order": "asc", "limit": 100}).json()["data"]
    assert [message["content"][0]["text"]["value"] for message in listed] == [*map(str, range(count))]
    return Talk(http, path, [message["id"] for message in listed])


@pytest.fixture(scope="module")
def talk(house: House) -> Iterator[Talk]:
    """A thread that no test changes."""
    with plain(house, house.new_key("paging")) as http:
        yield talk_of(http)


PAGES: list[tuple[dict[str, Any], list[int], bool]] = [
    ({}, [5, 4, 3, 2, 1, 0], False),
    ({"order": "desc"}, [5, 4, 3, 2, 1, 0], False),
    ({"order": "asc"}, [0, 1, 2, 3, 4, 5], False),
    ({"limit": 2}, [5, 4], True),
    ({"limit": 6}, [5, 4, 3, 2, 1, 0], False),
    ({"limit": 100}, [5, 4, 3, 2, 1, 0], False),
    ({"limit": 2, "order": "asc"}, [0, 1], True),
    ({"after": 1, "order": "asc"}, [2, 3, 4, 5], False),
    ({"after": 1, "order": "asc", "limit": 3}, [2, 3, 4], True),
    ({"after": 4}, [3, 2, 1, 0], False),
    ({"after": 4, "limit": 1}, [3], True),
    ({"after": 5, "order": "asc"}, [], False),
    ({"after": 0}, [], False),
    ({"before": 2, "order": "asc"}, [0, 1], False),
    ({"before": 0, "order": "asc"}, [], False),
    ({"before": 1}, [5, 4, 3, 2], False),
    ({"before": 5}, [], False),
    ({"before": 4, "order": "asc", "limit": 2}, [2, 3], True),
    ({"before": 1, "limit": 2}, [3, 2], True),
    ({"before": 1, "limit": 4}, [5, 4, 3, 2], False),
    ({"after": 1, "before": 4, "order": "asc"}, [2, 3], False),
    ({"after": 1, "before": 4, "order": "asc", "limit": 1}, [2], True),
    ({"after": 4, "before": 1}, [3, 2], False),
    ({"after": 4, "before": 1, "limit": 1}, [3], True),
    ({"after": 4, "before": 1, "order": "asc"}, [], False),
    ({"after": 1, "before": 2, "order": "asc"}, [], False),
    ({"after": "", "before": "", "limit": "", "order": "", "run_id": ""}, [5, 4, 3, 2, 1, 0], False),
    ({"timeout": 120, "include[]": "x", "after[]": "y"}, [5, 4, 3, 2, 1, 0], False),
]


@pytest.mark.promise("paging.cursors")
@pytest.mark.parametrize(("query", "numbers", "has_more"), PAGES, ids=[str(page[0]) for page in PAGES])
def test_a_page_holds_what_its_query_asks_for(
    talk: Talk, query: dict[str, Any], numbers: list[int], has_more: bool
) -> None:
    asked = {
        name: talk.ids[value] if name in ("after", "before") and isinstance(value, int) else value
        for name, value in query.items()
    }
    assert talk.page(**asked) == talk.expected(numbers, has_more)


@pytest.mark.promise("paging.default-limit")
def test_a_page_has_twenty_messages_unless_asked_otherwise(http: httpx.Client) -> None:
    talk = talk_of(http, 21)
    assert talk.page() == talk.expected(list(range(20, 0, -1)), has_more=True)


@pytest.mark.promise("paging.empty-list")
def test_an_empty_list_has_null_at_its_ends(http: httpx.Client) -> None:
    assert talk_of(http, 0).page() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.promise("paging.deleted-cursor")
def test_a_deleted_cursor_keeps_its_place(http: httpx.Client) -> None:
    talk = talk_of(http)
    for number in (2, 3):
        assert http.delete(f"{talk.path}/{talk.ids[number]}").status_code == 200
    assert talk.page(after=talk.ids[2], order="asc") == talk.expected([4, 5], has_more=False)
    assert talk.page(after=talk.ids[3], limit=1) == talk.expected([1], has_more=True)
    assert talk.page(before=talk.ids[3], order="asc") == talk.expected([0, 1], has_more=False)
    assert talk.page(before=talk.ids[2]) == talk.expected([5, 4], has_more=False)
    assert talk.page(after=talk.ids[3], before=talk.ids[2]) == talk.expected([], has_more=False)


@pytest.mark.promise("paging.unknown-cursor")
@pytest.mark.parametrize("cursor", ["after", "before"])
def test_a_cursor_that_never_was_in_the_thread_is_not_found(
    talk: Talk, http: httpx.Client, cursor: str
) -> None:
    mine = talk_of(http)
    of_another_thread = talk_of(http).ids[0]
    of_another_project = talk.ids[0]
    for id in ("msg_unknown", "x", of_another_thread, of_another_project):
        answer = http.get(mine.path, params={cursor: id})
        assert (answer.status_code, answer.json()["error"]) == (
            404,
            {
                "message": f"No message found with id '{id}'.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        )


@pytest.mark.promise("paging.run-id")
def test_messages_of_one_run_are_listed_by_it(house: House, http: httpx.Client) -> None:
    talk = talk_of(http)
    for number in (1, 2, 4):
        belongs_to(house, "run_1", talk.ids[number])
    assert talk.page(run_id="run_1") == talk.expected([4, 2, 1], has_more=False)
    assert talk.page(run_id="run_1", limit=2, order="asc") == talk.expected([1, 2], has_more=True)
    assert talk.page(run_id="run_1", after=talk.ids[3]) == talk.expected([2, 1], has_more=False)
    assert talk.page(run_id="run_2") == talk.expected([], has_more=False)


def belongs_to(house: House, run_id: str, message_id: str) -> None:
    """Say in the database that a run made a message; runs themselves are not served yet."""

    async def work(transaction: Any) -> None:
        sql = "UPDATE messages SET run_id = :run_id WHERE id = :id"
        await transaction.run(sql, {"run_id": run_id, "id": message_id})

    house.call(lambda: house.context.database.write(work))


@pytest.mark.promise("paging.sdk-iterators")
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7, 100])
def test_the_sdk_walks_through_all_pages(client: OpenAI, http: httpx.Client, limit: int) -> None:
    talk = talk_of(http)
    thread_id = talk.path.split("/")[3]
    for order in ("asc", "desc"):
        pages = client.beta.threads.messages.list(thread_id, limit=limit, order=order)
        assert [message.id for message in pages] == talk.ids[:: 1 if order == "asc" else -1]


@pytest.mark.promise("paging.one-second")
def test_messages_of_one_second_keep_insertion_order(
    tmp_path_factory: pytest.TempPathFactory, database: str
) -> None:
    with (
        House(tmp_path_factory.mktemp("still"), database, clock=SetClock()) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("still"), max_retries=0) as client,
    ):
        thread_id = client.beta.threads.create().id
        messages = client.beta.threads.messages
        made = [messages.create(thread_id, role="user", content=str(n)) for n in range(300)]
        assert {message.created_at for message in made} == {1_800_000_000}
        ids = [message.id for message in made]
        assert [one.id for one in messages.list(thread_id, limit=100, order="asc")] == ids
        assert [one.id for one in messages.list(thread_id, limit=7)] == ids[::-1]


@pytest.mark.promise("paging.thread-not-found")
def test_messages_of_a_thread_that_is_not_there_cannot_be_listed(client: OpenAI) -> None:
    for query in ({}, {"after": "msg_x"}, {"run_id": "run_x"}):
        with pytest.raises(NotFoundError, match="No thread found with id 'thread_x'"):
            client.beta.threads.messages.list("thread_x", **query)  # type: ignore[arg-type]
