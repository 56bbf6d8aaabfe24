"""Metadata of threads, messages and assistants, and what modifying does to it. Reference: protocol 1.5."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.house import House
from tests.support.plain import plain

OLD = {"kept": "1", "changed": "2"}
CHANGES: list[tuple[str, dict[str, Any], dict[str, str], dict[str, str]]] = [
    # what is sent, what `replace` leaves, what `merge` leaves
    (
        "an object",
        {"metadata": {"changed": "3", "new": ""}},
        {"changed": "3", "new": ""},
        {
            "kept": "1",
            "changed": "3",
            "new": "",
        },
    ),
    ("an empty object", {"metadata": {}}, {}, OLD),
    ("null", {"metadata": None}, OLD, OLD),
    ("nothing", {}, OLD, OLD),
]


@pytest.fixture(scope="module")
def merging(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[httpx.Client]:
    """A server that merges metadata, and a key for it."""
    directory: Path = tmp_path_factory.mktemp("merging")
    with (
        House(directory, database, metadata_update="merge") as house,
        plain(house, house.new_key("merging")) as client,
    ):
        yield client


def object_with(http: httpx.Client, kind: str, metadata: dict[str, str]) -> str:
    """The path of a new object with that metadata."""
    if kind == "assistant":
        made = http.post("/v1/assistants", json={"model": "m", "metadata": metadata}).json()
        return f"/v1/assistants/{made['id']}"
    thread = http.post("/v1/threads", json={"metadata": metadata if kind == "thread" else {}}).json()
    path = f"/v1/threads/{thread['id']}"
    if kind == "thread":
        return path
    body = {"role": "user", "content": "Hello", "metadata": metadata}
    return f"{path}/messages/{http.post(f'{path}/messages', json=body).json()['id']}"


KINDS = pytest.mark.parametrize("kind", ["thread", "message", "assistant"])
CASES = pytest.mark.parametrize(
    ("body", "replaced", "merged"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)


@pytest.mark.promise("metadata.modify.replaces")
@KINDS
@CASES
def test_modify_replaces_the_whole_map(
    http: httpx.Client, kind: str, body: Any, replaced: Any, merged: Any
) -> None:
    path = object_with(http, kind, OLD)
    answer = http.post(path, json=body).json()
    assert answer["metadata"] == replaced
    assert http.get(path).json() == answer


@pytest.mark.promise("metadata.modify.empty-body")
@KINDS
def test_modify_without_a_body_changes_nothing(http: httpx.Client, kind: str) -> None:
    path = object_with(http, kind, OLD)
    before = http.get(path).json()
    assert http.post(path).json() == before == http.get(path).json()


@pytest.mark.promise("metadata.modify.merge-setting")
@KINDS
@CASES
def test_modify_merges_where_the_server_is_set_so(
    merging: httpx.Client, kind: str, body: Any, replaced: Any, merged: Any
) -> None:
    path = object_with(merging, kind, OLD)
    answer = merging.post(path, json=body).json()
    assert answer["metadata"] == merged
    assert merging.get(path).json() == answer


@pytest.mark.promise("metadata.modify.merge-setting")
@KINDS
def test_merging_past_sixteen_pairs_is_refused_and_changes_nothing(merging: httpx.Client, kind: str) -> None:
    old = {f"key {number}": "" for number in range(16)}
    path = object_with(merging, kind, old)
    refused = merging.post(path, json={"metadata": {"one": "more"}})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        {
            "message": "Invalid 'metadata': too many properties. Expected an object with at most 16 "
            "properties, but got an object with 17 properties instead.",
            "type": "invalid_request_error",
            "param": "metadata",
            "code": "object_above_max_properties",
        },
    )
    assert merging.get(path).json()["metadata"] == old


@pytest.mark.promise("metadata.limits")
@KINDS
def test_sixteen_pairs_of_the_longest_strings_are_kept(http: httpx.Client, kind: str) -> None:
    # 4-byte characters: lengths are counted in code points.
    metadata = {"🎈" * 62 + f"{number:02}": "🎉" * 512 for number in range(16)}
    assert http.get(object_with(http, kind, metadata)).json()["metadata"] == metadata
