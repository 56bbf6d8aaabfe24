"""With an Idempotency-Key nothing is doubled, though clients repeat what a killed server did not answer."""

import http.client
import itertools
import json
import threading
from collections.abc import Iterator

import pytest

from tests.support.child import SECONDS, Child
from tests.support.house import database_url

KEY = "sk-key-of-the-retry-test"
KILLS, WRITERS, ANSWERS = 6, 6, 60
"""Each round ends after so many answers."""


class Answers:
    """How many there were in this round."""

    def __init__(self) -> None:
        self._answers = threading.Semaphore(0)

    def note(self) -> None:
        self._answers.release()

    def wait_for(self, number: int) -> None:
        for _ in range(number):
            assert self._answers.acquire(timeout=SECONDS)


class Sender:
    """Appends messages that say their numbers, and repeats each until it is answered, as a client would."""

    def __init__(self, name: str) -> None:
        self.name, self.numbers = name, itertools.count()
        self.unanswered: list[str] = []
        self.answered: dict[str, str] = {}
        """The id of each message by its text."""
        self.repeated = self.wrong = 0

    def run(self, child: Child, thread: str, answers: Answers) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=SECONDS)
        try:
            for text in self.texts():
                self.send(connection, thread, text)
                answers.note()
        except (OSError, http.client.HTTPException):
            return  # killed
        finally:
            connection.close()

    def texts(self) -> Iterator[str]:
        while True:
            if not self.unanswered:
                self.unanswered.append(f"{self.name}-{next(self.numbers)}")
            yield self.unanswered[0]

    def send(self, connection: http.client.HTTPConnection, thread: str, text: str) -> None:
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": text,
        }
        body = json.dumps({"role": "user", "content": text})
        connection.request("POST", f"/v1/threads/{thread}/messages", body, headers)
        answer = connection.getresponse()
        message = json.loads(answer.read())
        self.wrong += answer.status != 200
        self.repeated += answer.headers["idempotent-replayed"] == "true"
        self.answered[self.unanswered.pop()] = message["id"]


def ask(child: Child, method: str, path: str) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=SECONDS)
    connection.request(method, path, headers={"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, content
    return content


def texts_in(child: Child, thread: str) -> list[tuple[str, str]]:
    """Text and id of every message."""
    found: list[tuple[str, str]] = []
    after, more = "", True
    while more:
        page = ask(child, "GET", f"/v1/threads/{thread}/messages?order=asc&limit=100{after}")
        found += [(one["content"][0]["text"]["value"], one["id"]) for one in page["data"]]
        after, more = f"&after={page['last_id']}", page["has_more"]
    return found


@pytest.mark.promise("idempotency.kill")
def test_what_is_repeated_with_its_key_is_there_once_whenever_the_server_is_killed(
    tmp_path, database, capsys
):
    settings = {"THREADKEEP_API_KEY": KEY, "THREADKEEP_DATABASE_URL": database_url(database, tmp_path)}
    senders = [Sender(f"sender{number}") for number in range(WRITERS)]
    thread = ""
    for _ in range(KILLS):
        with Child(tmp_path, **settings) as child:
            thread = thread or ask(child, "POST", "/v1/threads")["id"]
            answers = Answers()
            running = [threading.Thread(target=one.run, args=(child, thread, answers)) for one in senders]
            for sending in running:
                sending.start()
            answers.wait_for(ANSWERS)
            child.kill()
            for sending in running:
                sending.join(SECONDS)
    with Child(tmp_path, **settings) as child:
        for one in senders:
            connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=SECONDS)
            for text in list(one.unanswered):
                one.send(connection, thread, text)
            connection.close()
        found = texts_in(child, thread)
        child.stop()
    promised = {text: id for one in senders for text, id in one.answered.items()}
    assert [one.wrong for one in senders] == [0] * WRITERS
    assert len(found) == len(promised)
    assert dict(found) == promised
    with capsys.disabled():
        repeated = sum(one.repeated for one in senders)
        print(f"\n{KILLS} kills ({database}): {len(found)} messages once each; {repeated} were only repeated")
