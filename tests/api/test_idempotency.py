"""`Idempotency-Key`: the same request with the same key takes effect once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import openai
import pytest
from openai import OpenAI

from tests.api.posts import POSTS, Maker, Post
from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.plain import plain
from tests.support.upstream import Upstream
from tests.support.waiting import until
from threadkeep.http.routes import OPERATIONS
from threadkeep.idempotency.actions import forget_expired
from threadkeep.storage import sweeps

USER = {"role": "user", "content": "x"}
FORM: dict[str, Any] = {"data": {"purpose": "vision"}, "files": {"file": ("a", b"x")}}
MARK = "idempotent-replayed"
DAY = 24 * 3600


def with_key(key: str, **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **headers}


def messages(http: httpx.Client, thread: str) -> list[str]:
    """The texts of a thread."""
    page = http.get(f"{thread}/messages?order=asc").json()
    return [one["content"][0]["text"]["value"] for one in page["data"]]


@pytest.fixture
def thread(http: httpx.Client) -> str:
    """The path of a thread."""
    return f"/v1/threads/{http.post('/v1/threads').json()['id']}"


def upload(
    http: httpx.Client, content: bytes = b"x", name: str = "a.txt", purpose: str = "vision"
) -> httpx.Response:
    form = {"file": (name, content)}
    return http.post("/v1/files", headers=with_key("u"), data={"purpose": purpose}, files=form)


@pytest.fixture
def make(http: httpx.Client, upstream: Upstream) -> Maker:
    return Maker(http, upstream)


@pytest.fixture(params=[one.name for one in OPERATIONS if one.method == "POST"])
def made(request: pytest.FixtureRequest, make: Maker) -> Callable[[], Post]:
    """Makes one kind of POST, each time to a place of its own. Who adds a POST adds it to `POSTS`."""
    return lambda: POSTS[request.param](make)


def sent(http: httpx.Client, post: Post, **headers: str) -> httpx.Response:
    return http.post(post.path, headers={"OpenAI-Beta": post.beta, **headers}, **post.sent)


@pytest.mark.promise("idempotency.replay", "idempotency.other-request")
def test_every_post_gives_its_first_answer_again_and_refuses_another_body(
    http: httpx.Client, made: Callable[[], Post]
) -> None:
    without_key, post = sent(http, made()), made()
    first = sent(http, post, **with_key("k"))
    assert (first.status_code, set(first.headers)) == (200, set(without_key.headers))
    for _ in range(2):
        again = sent(http, post, **with_key("k"))
        assert answered(again) == answered(first)
        assert again.content == first.content
        assert again.headers[MARK] == "true"
        assert set(again.headers) - {MARK} == set(first.headers)
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    other = msgspec.structs.replace(post, sent=post.other)
    assert answered(sent(http, other, **with_key("k"))) == reused("k")


def test_no_case_stands_for_a_post_that_is_gone() -> None:
    assert set(POSTS) == {one.name for one in OPERATIONS if one.method == "POST"}


@pytest.mark.promise("idempotency.replay")
def test_a_message_sent_twice_is_there_once(http: httpx.Client, thread: str) -> None:
    answers = [http.post(f"{thread}/messages", json=USER, headers=with_key("k")) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert messages(http, thread) == ["x"]


@pytest.mark.promise("idempotency.replay")
def test_the_official_client_sends_the_key(client: OpenAI) -> None:
    def create() -> str:
        return client.beta.threads.create(extra_headers=with_key("k")).id

    assert create() == create()
    assert client.beta.threads.create().id != client.beta.threads.create().id


@pytest.mark.promise("idempotency.replay")
def test_the_first_answer_is_given_even_if_the_object_has_changed(http: httpx.Client, thread: str) -> None:
    first = http.post(f"{thread}/messages", json=USER, headers=with_key("k"))
    path = f"{thread}/messages/{first.json()['id']}"
    http.post(path, json={"metadata": {"changed": "yes"}})
    assert http.post(f"{thread}/messages", json=USER, headers=with_key("k")).content == first.content
    http.delete(path)
    assert http.post(f"{thread}/messages", json=USER, headers=with_key("k")).content == first.content
    assert messages(http, thread) == []


@pytest.mark.promise("idempotency.replay", "idempotency.errors-are-not-kept")
def test_a_search_is_answered_again_even_if_its_store_is_gone(http: httpx.Client, make: Maker) -> None:
    store = make.store()

    def search() -> httpx.Response:
        return http.post(f"{store}/search", json={"query": "x"}, headers=with_key("k"))

    first = search()
    http.delete(store)
    again = search()
    assert (again.content, again.headers[MARK]) == (first.content, "true")
    for _ in range(2):
        refused = http.post(f"{store}/search", json={"query": "x"}, headers=with_key("another"))
        assert (refused.status_code, MARK in refused.headers) == (404, False)


# ---------------------------------------------------------------- another request


def reused(key: str) -> tuple[int, dict[str, Any]]:
    message = (
        f"The idempotency key '{key}' was already used for another request. Send that request again as it "
        "was, or this one with a key of its own."
    )
    return refusal(409, message, None, "idempotency_key_reused")


@pytest.mark.promise("idempotency.other-request")
def test_another_body_path_query_or_dialect_is_refused(http: httpx.Client, thread: str) -> None:
    assert http.post("/v1/threads", json={}, headers=with_key("k")).status_code == 200
    for path, body, beta in (
        ("/v1/threads", {"metadata": {"a": "b"}}, "assistants=v2"),
        ("/v1/threads?a=b", {}, "assistants=v2"),
        ("/v1/threads", {}, "assistants=v1"),
        (thread, {}, "assistants=v2"),
    ):
        answer = http.post(path, json=body, headers=with_key("k", **{"OpenAI-Beta": beta}))
        assert answered(answer) == reused("k")
        assert answer.headers["x-should-retry"] == "false"
    answer = http.post("/rubra/threads", json={}, headers=with_key("k"))
    assert answered(answer) == (409, {"detail": reused("k")[1]["error"]["message"]})


@pytest.mark.promise("idempotency.other-request")
def test_the_official_client_does_not_retry_a_reused_key(house: House, key: str) -> None:
    with OpenAI(base_url=house.base_url, api_key=key, max_retries=2) as client:
        client.beta.threads.create(extra_headers=with_key("k"))
        with pytest.raises(openai.ConflictError) as refused:
            client.beta.threads.create(metadata={"a": "b"}, extra_headers=with_key("k"))
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.promise("idempotency.per-project")
def test_another_project_has_keys_of_its_own(house: House, http: httpx.Client, other_key: str) -> None:
    mine = http.post("/v1/threads", headers=with_key("k"))
    with plain(house, other_key) as other:
        theirs = other.post("/v1/threads", headers=with_key("k"))
    assert theirs.status_code == 200
    assert theirs.json()["id"] != mine.json()["id"]


@pytest.mark.promise("idempotency.length")
@pytest.mark.parametrize("length", [0, 1, 255, 256])
@pytest.mark.parametrize("path", ["/v1/threads", "/v1/files"])
def test_a_key_has_1_to_255_characters(http: httpx.Client, path: str, length: int) -> None:
    answer = http.post(path, headers=with_key("k" * length), **(FORM if path == "/v1/files" else {}))
    if 1 <= length <= 255:
        assert answer.status_code == 200
    else:
        message = f"Invalid 'Idempotency-Key' header: expected 1 to 255 characters, but got {length} instead."
        assert answered(answer) == refusal(400, message, None, "invalid_idempotency_key")


@pytest.mark.promise("idempotency.posts-only")
def test_other_methods_take_no_notice_of_the_header(http: httpx.Client, thread: str) -> None:
    bad = with_key("k" * 256)
    assert http.get(thread, headers=bad).status_code == 200
    assert http.delete(thread, headers=bad).status_code == 200
    assert http.delete(thread, headers=with_key("k")).status_code == 404


# ---------------------------------------------------------------- refused requests, and expiry


@pytest.mark.promise("idempotency.errors-are-not-kept")
def test_a_refused_request_leaves_its_key_free(http: httpx.Client, thread: str) -> None:
    path = f"{thread}/messages"
    for _ in range(2):
        assert http.post(path, json={"role": "user"}, headers=with_key("k")).status_code == 400
        named = {**USER, "attachments": [{"file_id": "file-x"}]}
        assert http.post(path, json=named, headers=with_key("k")).status_code == 404
    answer = http.post(path, json=USER, headers=with_key("k"))
    assert (answer.status_code, MARK in answer.headers) == (200, False)
    assert messages(http, thread) == ["x"]


def keys_kept(house: House) -> int:
    async def count() -> int:
        async with house.context.database.read() as transaction:
            row = await transaction.one("SELECT COUNT(*) FROM idempotency_keys", {})
            assert row
            return int(row[0])

    return house.call(count)


@pytest.mark.promise("idempotency.kept-for-a-day")
def test_a_key_is_free_again_after_24_hours(tmp_path: Path, database: str) -> None:
    clock = SetClock()
    with House(tmp_path, database, clock=clock) as house, plain(house, house.new_key("p")) as http:

        def create(**body: Any) -> httpx.Response:
            return http.post("/v1/threads", json=body, headers=with_key("k"))

        first = create()
        clock.advance(DAY - 1)
        assert create().content == first.content
        clock.advance(1)
        second = create(metadata={"another": "body"})
        assert (second.status_code, MARK in second.headers) == (200, False)
        assert create(metadata={"another": "body"}).content == second.content
        clock.advance(DAY)

        def removed() -> bool:
            clock.advance(3600)  # the sweeper may have been at work, and put off what it did too early
            return keys_kept(house) == 0

        until(removed)


# ---------------------------------------------------------------- at the same time


@pytest.mark.promise("idempotency.waits")
def test_requests_that_arrive_together_take_effect_once(http: httpx.Client, made: Callable[[], Post]) -> None:
    post = made()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sent(http, post, **with_key("k")), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [MARK in answer.headers for answer in answers].count(False) == 1


@pytest.fixture
def two_houses(tmp_path: Path) -> Iterator[tuple[House, House]]:
    """Two servers on one PostgreSQL."""
    with House(tmp_path, "postgres") as one, House(tmp_path, "postgres") as other:
        yield one, other


@pytest.mark.promise("idempotency.waits")
def test_two_servers_do_once_what_both_are_asked(two_houses: tuple[House, House]) -> None:
    one, other = two_houses
    key = one.new_key("p")
    with plain(one, key) as here, plain(other, key) as there, ThreadPoolExecutor(8) as pool:
        thread = f"/v1/threads/{here.post('/v1/threads').json()['id']}"

        def send(number: int) -> httpx.Response:
            body = {"role": "user", "content": str(number // 8)}
            headers = with_key(str(number // 8))
            return (here, there)[number % 2].post(f"{thread}/messages", json=body, headers=headers)

        answers = list(pool.map(send, range(160)))
        assert {answer.status_code for answer in answers} == {200}
        assert sorted(messages(here, thread)) == sorted(map(str, range(20)))


WAITING = """
    SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.mark.promise("idempotency.waits")
def test_a_request_waits_for_the_same_one_on_another_server(two_houses: tuple[House, House]) -> None:
    one, other = two_houses
    key = one.new_key("p")
    with plain(one, key) as here, plain(other, key) as there, ThreadPoolExecutor(2) as pool:
        thread = f"/v1/threads/{here.post('/v1/threads').json()['id']}"
        outsider = one.call(lambda: asyncpg.connect(one.settings.database_url))
        one.call(lambda: outsider.execute("BEGIN; SELECT 1 FROM threads FOR UPDATE"))

        def send(http: httpx.Client) -> httpx.Response:
            return http.post(f"{thread}/messages", json=USER, headers=with_key("k"))

        answers = [pool.submit(send, here)]
        until(
            lambda: one.call(lambda: outsider.fetchval(WAITING)) == 1
        )  # for the thread, with the key claimed
        answers.append(pool.submit(send, there))
        until(lambda: one.call(lambda: outsider.fetchval(WAITING)) == 2)
        one.call(lambda: outsider.execute("COMMIT"))
        one.call(outsider.close)
        first, second = (answer.result() for answer in answers)
        assert (first.status_code, MARK in first.headers) == (200, False)
        assert (second.content, second.headers[MARK]) == (first.content, "true")
        assert messages(here, thread) == ["x"]


@pytest.mark.promise("idempotency.kept-for-a-day")
def test_a_key_that_is_used_anew_is_not_taken_for_an_expired_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal of expired keys meets a request that has just claimed one of them."""
    monkeypatch.setattr(sweeps, "SECONDS_BETWEEN", 3600.0)  # else the server may remove it before that
    clock = SetClock()
    with House(tmp_path, "postgres", clock=clock) as house, plain(house, house.new_key("p")) as http:
        thread = f"/v1/threads/{http.post('/v1/threads').json()['id']}"

        def send() -> httpx.Response:
            return http.post(f"{thread}/messages", json=USER, headers=with_key("k"))

        assert send().status_code == 200
        clock.advance(DAY)
        outsider = house.call(lambda: asyncpg.connect(house.settings.database_url))

        def waiting() -> int:
            return int(house.call(lambda: outsider.fetchval(WAITING)))

        house.call(lambda: outsider.execute("BEGIN; SELECT 1 FROM threads FOR UPDATE"))
        with ThreadPoolExecutor(2) as pool:
            sent = pool.submit(send)
            until(lambda: waiting() >= 1)  # for the thread, with the key claimed
            removal = pool.submit(house.call, lambda: forget_expired(house.context))
            until(lambda: waiting() >= 2)
            house.call(lambda: outsider.execute("COMMIT"))
            house.call(outsider.close)
            first = sent.result()
            assert removal.result()
        assert (first.status_code, MARK in first.headers) == (200, False)
        again = send()
        assert (again.content, again.headers.get(MARK)) == (first.content, "true")


# ---------------------------------------------------------------- uploads


def blobs(house: House) -> int:
    return sum(path.is_file() for path in house.settings.files_path.rglob("*"))


@pytest.mark.promise("idempotency.uploads")
def test_an_upload_sent_again_leaves_one_file_and_no_other_bytes(house: House, http: httpx.Client) -> None:
    before = blobs(house)
    first, again = upload(http), upload(http)
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert (again.content, again.headers[MARK]) == (first.content, "true")
    assert [file["id"] for file in http.get("/v1/files").json()["data"]] == [first.json()["id"]]
    assert blobs(house) == before + 1
    assert http.get(f"/v1/files/{first.json()['id']}/content").content == b"x"


@pytest.mark.promise("idempotency.uploads")
@pytest.mark.parametrize("other", [{"content": b"y"}, {"name": "b.txt"}, {"purpose": "batch"}])
def test_another_file_under_the_same_key_is_refused_and_its_bytes_removed(
    house: House, http: httpx.Client, other: dict[str, Any]
) -> None:
    assert upload(http).status_code == 200
    before = blobs(house)
    assert answered(upload(http, **other)) == reused("u")
    assert blobs(house) == before
