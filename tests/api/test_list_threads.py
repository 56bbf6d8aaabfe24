"""Listing a project's threads: this server's extension. Reference: protocol section 12.19."""

from typing import Any

import httpx
import pytest

from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.plain import plain

THREADS = "/v1/threads"


@pytest.fixture
def ids(http: httpx.Client) -> list[str]:
    """Five threads, oldest first, of which the even ones are of user `a` and the first is closed."""
    made = []
    for number in range(5):
        metadata = {"user": "a" if number % 2 == 0 else "b", "number": str(number)}
        if number == 0:
            metadata["closed"] = ""
        made.append(http.post(THREADS, json={"metadata": metadata}).json()["id"])
    return made


def listed(http: httpx.Client, ids: list[str], **query: Any) -> tuple[list[int], bool]:
    """The numbers of the threads on a page, and whether there are more."""
    page = http.get(THREADS, params=query).json()
    numbers = [ids.index(thread["id"]) for thread in page["data"]]
    ends = (ids[numbers[0]], ids[numbers[-1]]) if numbers else (None, None)
    assert (page["object"], page["first_id"], page["last_id"]) == ("list", *ends)
    return numbers, page["has_more"]


@pytest.mark.promise("threads.list")
def test_threads_are_listed_newest_first_as_they_are(http: httpx.Client, ids: list[str]) -> None:
    assert listed(http, ids) == ([4, 3, 2, 1, 0], False)
    for thread in http.get(THREADS).json()["data"]:
        assert thread == http.get(f"{THREADS}/{thread['id']}").json()


@pytest.mark.promise("threads.list")
def test_threads_are_paged_like_every_list(http: httpx.Client, ids: list[str]) -> None:
    assert listed(http, ids, order="asc", limit=2) == ([0, 1], True)
    assert listed(http, ids, after=ids[3], limit=2) == ([2, 1], True)
    assert listed(http, ids, after=ids[3], order="asc") == ([4], False)
    assert listed(http, ids, before=ids[3], order="asc", limit=2) == ([1, 2], True)
    assert listed(http, ids, after=ids[0], before=ids[3], order="asc") == ([1, 2], False)
    assert listed(http, ids, before=ids[4]) == ([], False)


@pytest.mark.promise("paging.one-second")
def test_threads_and_files_of_one_second_keep_the_order_of_their_making(
    tmp_path_factory: pytest.TempPathFactory,
    database: str,
) -> None:
    clock = SetClock()
    with (
        House(tmp_path_factory.mktemp("still"), database, clock=clock) as house,
        plain(house, house.new_key("still")) as http,
    ):
        form: dict[str, Any] = {"data": {"purpose": "vision"}, "files": {"file": ("x", b"x")}}
        for path, body in (("/v1/threads", {}), ("/v1/files", form)):
            made = [http.post(path, **body).json()["id"] for _ in range(20)]
            clock.advance(-5)  # a clock set back changes nothing
            made += [http.post(path, **body).json()["id"] for _ in range(20)]
            up = http.get(path, params={"order": "asc", "limit": 100}).json()["data"]
            down = http.get(path, params={"limit": 100}).json()["data"]
            assert [one["id"] for one in up] == made
            assert [one["id"] for one in down] == made[::-1]


@pytest.mark.promise("threads.list.metadata")
def test_threads_are_filtered_by_metadata_pairs(http: httpx.Client, ids: list[str]) -> None:
    assert listed(http, ids, **{"metadata[user]": "a"}) == ([4, 2, 0], False)
    assert listed(http, ids, **{"metadata[user]": "a", "limit": 1, "after": ids[3]}) == ([2], True)
    assert listed(http, ids, **{"metadata[user]": "b", "metadata[number]": "3"}) == ([3], False)
    assert listed(http, ids, **{"metadata[user]": "b", "metadata[number]": "2"}) == ([], False)
    assert listed(http, ids, **{"metadata[number]": "0", "metadata[closed]": ""}) == ([0], False)
    assert listed(http, ids, **{"metadata[closed]": ""}) == ([0], False)
    assert listed(http, ids, **{"metadata[other]": "a"}) == ([], False)


@pytest.mark.promise("threads.list.metadata")
def test_a_filter_follows_changes_of_metadata(http: httpx.Client, ids: list[str]) -> None:
    http.post(f"{THREADS}/{ids[1]}", json={"metadata": {"user": "a"}})
    http.post(f"{THREADS}/{ids[2]}", json={"metadata": {}})
    http.delete(f"{THREADS}/{ids[0]}")
    assert listed(http, ids, **{"metadata[user]": "a"}) == ([4, 1], False)


@pytest.mark.promise("threads.list.metadata")
def test_names_and_values_of_filters_are_any_text(http: httpx.Client) -> None:
    metadata = {'a"]b[0] \\ ü🎈': "' OR 1=1; -- \x00 %_", "]": "["}
    id = http.post(THREADS, json={"metadata": metadata}).json()["id"]
    http.post(THREADS, json={})
    query = {f"metadata[{key}]": value for key, value in metadata.items()}
    assert [thread["id"] for thread in http.get(THREADS, params=query).json()["data"]] == [id]


@pytest.mark.promise("threads.list.metadata")
def test_more_filters_than_metadata_has_pairs_are_refused(http: httpx.Client) -> None:
    refused = http.get(THREADS, params={f"metadata[{number}]": "" for number in range(1200)})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        {
            "message": "Invalid 'metadata': too many properties. Expected an object with at most 16 "
            "properties, but got an object with 1200 properties instead.",
            "type": "invalid_request_error",
            "param": "metadata",
            "code": "object_above_max_properties",
        },
    )


@pytest.mark.promise("paging.deleted-cursor")
def test_a_deleted_thread_keeps_its_place_as_a_cursor(http: httpx.Client, ids: list[str]) -> None:
    http.delete(f"{THREADS}/{ids[2]}")
    assert listed(http, ids, after=ids[2]) == ([1, 0], False)
    assert listed(http, ids, before=ids[2], order="asc") == ([0, 1], False)


@pytest.mark.promise("paging.unknown-cursor")
@pytest.mark.parametrize("cursor", ["after", "before"])
def test_an_unknown_cursor_is_not_found(http: httpx.Client, other_key: str, cursor: str) -> None:
    headers = {"Authorization": f"Bearer {other_key}"}
    foreign, gone = (http.post(THREADS, headers=headers).json()["id"] for _ in range(2))
    http.delete(f"{THREADS}/{gone}", headers=headers)
    for id in ("thread_x", foreign, gone):
        answer = http.get(THREADS, params={cursor: id})
        error = {"type": "invalid_request_error", "param": None, "code": None}
        expected = {"message": f"No thread found with id '{id}'.", **error}
        assert (answer.status_code, answer.json()["error"]) == (404, expected)


@pytest.mark.promise("projects.lists-are-separate")
def test_another_projects_threads_are_not_listed(http: httpx.Client, ids: list[str], other_key: str) -> None:
    headers = {"Authorization": f"Bearer {other_key}"}
    assert http.get(THREADS, headers=headers).json()["data"] == []
    assert http.get(THREADS, headers=headers, params={"metadata[user]": "a"}).json()["data"] == []
