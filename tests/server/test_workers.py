"""`threadkeep serve --workers N`, and separate servers on one database: equal processes, nothing lost."""

import itertools
import os
import re
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.server.test_stop import KEY, SECONDS_TO_STOP, HalfSent, refuses_connections
from tests.support import postgres
from tests.support.child import Child, command
from tests.support.proxy import KINDS, in_front_of
from tests.support.waiting import until
from threadkeep.accepting import WAITS, Counts, Share
from threadkeep.cli import main

HEADERS = {"Authorization": f"Bearer {KEY}"}
WRITERS = 4
IN_FLIGHT = 8
STARTED = re.compile(r"event=worker_started worker=(\d+) process=(\d+)")
_numbers = itertools.count()


@pytest.fixture
def url() -> str:
    """The address of an empty database."""
    return postgres.server().empty(f"workers {os.getpid()} {next(_numbers)}".replace(" ", "_"))


def team(directory: Path, url: str, workers: int, **variables: str) -> Child:
    """A server of several workers."""
    return Child(directory, "--workers", str(workers), THREADKEEP_DATABASE_URL=url, **variables)


def processes(child: Child) -> dict[int, int]:
    """The process that each worker has, or had last."""
    return {int(number): int(process) for number, process in STARTED.findall(child.log)}


def who(answer: httpx.Response) -> str:
    """What tells the process that gave an answer: the half of the request's id that is its own."""
    return answer.headers["x-request-id"][4:20]


def wait_for_answers(child: Child, workers: int) -> None:
    """Return once so many processes have answered, each on a connection of its own."""
    seen: set[str] = set()

    def enough() -> bool:
        seen.add(who(httpx.get(f"{child.address}/healthz")))
        return len(seen) == workers

    until(enough)


def thread_on(child: Child) -> str:
    """The path of a new thread's messages."""
    answer = httpx.post(f"{child.address}/v1/threads", headers=HEADERS)
    return f"/v1/threads/{answer.json()['id']}/messages"


def contents(child: Child, path: str) -> list[str]:
    """What a thread holds, oldest first."""
    found: list[str] = []
    query = {"order": "asc", "limit": "100"}
    while True:
        page = httpx.get(child.address + path, headers=HEADERS, params=query).json()
        found += [message["content"][0]["text"]["value"] for message in page["data"]]
        if not page["has_more"]:
            return found
        query["after"] = page["last_id"]


@pytest.mark.promise("server.workers.share-a-port")
def test_three_workers_make_one_key_say_it_once_and_all_answer(tmp_path, url):
    with team(tmp_path, url, 3) as child:
        assert child.output.count("API key:") == 1
        wait_for_answers(child, 3)
        answer = httpx.get(f"{child.address}/v1/files", headers={"Authorization": f"Bearer {child.key}"})
    database = url.partition("?")[0].rpartition("/")[2]
    assert answer.status_code == 200
    assert postgres.server().execute("SELECT count(*) FROM api_keys", database) == [(1,)]


CONNECTIONS = 40


@pytest.mark.promise("server.workers.shares")
def test_workers_get_about_as_many_connections_each(tmp_path, url):
    with team(tmp_path, url, 2) as child, ExitStack() as stack:
        wait_for_answers(child, 2)
        took: Counter[str] = Counter()
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(closing(HTTPConnection("127.0.0.1", child.port)))
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            took[answer.headers["x-request-id"][4:20]] += 1
            answer.read()
    assert took.total() == CONNECTIONS
    assert min(took.values()) > CONNECTIONS / 4


@pytest.mark.promise("server.workers.shares")
def test_nobody_waits_for_a_worker_that_sleeps():
    counts = Counts(2)
    quick, asleep = Share(counts, 0), Share(counts, 1)
    assert not asleep.is_ahead(0)
    for _ in range(WAITS):
        assert quick.is_ahead(1)
        quick.waited()
    assert not quick.is_ahead(1)
    assert not asleep.is_ahead(0)  # it is awake again
    assert quick.is_ahead(1)
    assert asleep.is_ahead(2)
    assert not quick.is_ahead(1)


class Writers:
    """Threads that append to one thread of messages until they are told to stop."""

    def __init__(self, child: Child, path: str) -> None:
        self._url = child.address + path
        self.acknowledged: list[str] = []
        self.broken = 0
        self.seen: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in range(WRITERS)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: int) -> None:
        with httpx.Client(headers=HEADERS, verify=False) as http:
            for number in itertools.count():
                content = f"{name} {number}"
                try:
                    answer = http.post(self._url, json={"role": "user", "content": content})
                except httpx.TransportError:
                    self.broken += 1
                else:
                    assert answer.status_code == 200
                    self.seen[who(answer)] += 1
                    self.acknowledged.append(content)
                if self._stop.is_set():
                    return


@pytest.mark.promise("server.workers.replaced")
def test_a_killed_worker_is_replaced_and_no_answered_message_is_lost(tmp_path, url):
    with team(tmp_path, url, 2, THREADKEEP_API_KEY=KEY) as child:
        path = thread_on(child)
        until(lambda: len(processes(child)) == 2)
        with Writers(child, path) as writers:
            until(lambda: len(writers.acknowledged) > 20)
            killed = processes(child)[1]
            os.kill(killed, signal.SIGKILL)
            until(lambda: processes(child)[1] != killed)
            wait_for_answers(child, 2)
            enough = len(writers.acknowledged) + 20
            until(lambda: len(writers.acknowledged) > enough)
        found = contents(child, path)
        assert child.stop() == 0
    assert [one for one in found if found.count(one) > 1] == []
    assert set(writers.acknowledged) <= set(found)
    assert len(found) <= len(writers.acknowledged) + writers.broken
    endings = [line for line in child.log.splitlines() if "event=worker_ended" in line]
    assert len(endings) == 1
    assert f"worker=1 process={killed} status=-9 restart_in=0.1" in endings[0]


@pytest.mark.promise("server.workers.stop")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_every_worker_has_under_way(tmp_path, url, by):
    with team(tmp_path, url, 2, THREADKEEP_API_KEY=KEY) as child:
        path = thread_on(child)
        wait_for_answers(child, 2)
        requests = [HalfSent(child.port, path, f"number {number}") for number in range(IN_FLIGHT)]
        child.process.send_signal(by)
        until(lambda: refuses_connections(child.port))
        answered = {one.finish()["id"] for one in requests}
        finished = time.perf_counter()
        assert child.process.wait(SECONDS_TO_STOP) == 0
        assert time.perf_counter() - finished < SECONDS_TO_STOP
    faults = [line for line in child.log.splitlines() if "Traceback" in line or "level=ERROR" in line]
    assert (len(answered), faults) == (IN_FLIGHT, [])


@pytest.mark.promise("server.workers.stop")
def test_workers_do_not_outlive_a_parent_that_was_killed(tmp_path, url):
    with team(tmp_path, url, 2) as child:
        until(lambda: len(processes(child)) == 2)
        child.kill()
        until(lambda: refuses_connections(child.port))


@pytest.mark.promise("server.workers.need-postgresql")
def test_several_workers_on_sqlite_are_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--workers", "2"]) == 1
    sentence = "workers is 2, but several processes need PostgreSQL: on SQLite it must be 1."
    assert capsys.readouterr() == ("", f"threadkeep: {sentence}\n")


@pytest.mark.promise("server.workers.share-a-port")
def test_a_first_worker_that_cannot_start_ends_the_command(tmp_path, url):
    nowhere = re.sub(r"/[^/?]+\?", "/no_such_database?", url, count=1)
    assert nowhere != url
    refused = command(tmp_path, "serve", "--workers", "3", "--port", "0", THREADKEEP_DATABASE_URL=nowhere)
    assert (refused.returncode, refused.stdout) == (1, "")
    *before, last = refused.stderr.splitlines()
    assert last.startswith("threadkeep: ")
    assert [line for line in before if not STARTED.search(line)] == []


@pytest.mark.promise("server.many.no-sticky-sessions")
@pytest.mark.parametrize("proxy", KINDS)
def test_what_one_server_wrote_another_lists_at_once(tmp_path, url, proxy):
    """Three servers that start at once on an empty database, behind a proxy that takes turns."""
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    settings = {"THREADKEEP_API_KEY": KEY, "THREADKEEP_DATABASE_URL": url}
    with ExitStack() as stack, ThreadPoolExecutor(3) as together:
        children = list(together.map(Child.__enter__, [Child(one, **settings) for one in folders]))
        for child in children:
            stack.push(child)
        http = stack.enter_context(in_front_of([child.port for child in children], tmp_path, proxy))
        http.headers.update(HEADERS)
        path = f"/v1/threads/{http.post('/v1/threads').json()['id']}/messages"
        seen: Counter[tuple[str, str]] = Counter()
        for number in range(30):
            made = http.post(path, json={"role": "user", "content": str(number)})
            listed = http.get(path, params={"limit": 100})
            ids = [message["id"] for message in listed.json()["data"]]
            assert (ids[0], len(ids)) == (made.json()["id"], number + 1)
            seen[who(made), who(listed)] += 1
    assert len({writer for writer, _ in seen}) == 3
    assert [pair for pair in seen if pair[0] == pair[1]] == []
