"""What was answered with 200 is there, whenever the process was killed."""

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.support.child import Child
from tests.support.clock import SetClock
from tests.support.house import House
from tests.support.waiting import SECONDS, until

KEY = "sk-key-of-the-kill-test"
KILLS, WRITERS = 20, 8
MOST_ANSWERS = 300
"""A round ends after a random number of answers, up to this one."""
SHARED = "shared"


class Caller:
    """One connection to the server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """The body of a 200."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind, "OpenAI-Beta": "assistants=v2"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content

    def ask_json(self, method: str, path: str, **body: Any) -> Any:
        return json.loads(self.ask(method, path, json.dumps(body).encode() if body else b""))

    def upload(self, content: bytes) -> Any:
        head = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
        head += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        body = head + content + b"\r\n--b--\r\n"
        return json.loads(self.ask("POST", "/v1/files", body, "multipart/form-data; boundary=b"))

    def close(self) -> None:
        self._connection.close()


@dataclass
class Ledger:
    """What the server has promised: the answers, as the callers got them."""

    threads: dict[str, str] = field(default_factory=dict)
    """Ids by name: each writer's own thread, and the shared one."""
    messages: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By thread: the text of each message by its id, in the order of the answers."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 by id."""
    answers: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, place: dict[str, str], id: str, value: str) -> None:
        with self.changed:
            place[id] = value
            self.answers += 1
            self.changed.notify()

    def wait_for(self, answers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.answers >= answers, SECONDS)


class Writer(threading.Thread):
    """Appends numbered messages, in turn to its own thread and to the shared one, until the server dies."""

    def __init__(self, name: str, port: int, ledger: Ledger, number: int) -> None:
        super().__init__(name=name)
        self.caller, self.ledger, self.number = Caller(port), ledger, number
        self.wrong: Exception | None = None

    def run(self) -> None:
        try:
            while True:
                self.number += 1
                self.step()
        except (OSError, http.client.HTTPException):
            return  # killed
        except Exception as wrong:
            self.wrong = wrong
        finally:
            self.caller.close()

    def step(self) -> None:
        thread = self.ledger.threads[(self.name, SHARED)[self.number % 2]]
        text = f"{self.name} {self.number}"
        answer = self.caller.ask_json("POST", f"/v1/threads/{thread}/messages", role="user", content=text)
        self.ledger.note(self.ledger.messages[thread], answer["id"], text)


class Uploader(Writer):
    """Uploads files of up to a few hundred KiB."""

    def step(self) -> None:
        content = random.Random(self.number).randbytes(self.number * 7919 % 300_000)
        answer = self.caller.upload(content)
        self.ledger.note(self.ledger.files, answer["id"], sha256(content).hexdigest())


def one_round(child: Child, ledger: Ledger, numbers: dict[str, int], answers: int) -> None:
    """Load the server, and kill it once it has given so many answers."""
    names = [f"writer-{number}" for number in range(WRITERS)]
    callers = [Writer(name, child.port, ledger, numbers[name]) for name in names]
    callers.append(Uploader("uploader", child.port, ledger, numbers["uploader"]))
    ledger.answers = 0
    for one in callers:
        one.start()
    ledger.wait_for(answers)
    child.kill()
    for one in callers:
        one.join(SECONDS)
        numbers[one.name] = one.number
    assert [one.wrong for one in callers if one.wrong] == []


class Reader:
    """What the server shows after a kill, read on from where the last look ended."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = defaultdict(dict)

    def catch_up(self, caller: Caller, thread: str) -> dict[str, str]:
        """Every message of a thread so far: text by id, in the thread's order."""
        found, more = self.found[thread], True
        while more:
            after = f"&after={list(found)[-1]}" if found else ""
            page = caller.ask_json("GET", f"/v1/threads/{thread}/messages?order=asc&limit=100{after}")
            for message in page["data"]:
                assert message["id"] not in found
                found[message["id"]] = message["content"][0]["text"]["value"]
            more = page["has_more"]
        return found


def check(child: Child, ledger: Ledger, reader: Reader) -> None:
    """Every answered message is there exactly once and in its writer's order; every file has its bytes."""
    caller = Caller(child.port)
    for thread in ledger.threads.values():
        found = reader.catch_up(caller, thread)
        promised = ledger.messages[thread]
        assert {id: found.get(id) for id in promised} == promised
        assert len(set(found.values())) == len(found)
        for name in {text.split()[0] for text in found.values()}:
            numbers = [int(text.split()[1]) for text in found.values() if text.split()[0] == name]
            assert numbers == sorted(numbers)
    caller.close()
    database = apsw.Connection(str(child.database), flags=apsw.SQLITE_OPEN_READONLY)
    assert database.execute("PRAGMA integrity_check").get == "ok"
    database.close()


def check_files(child: Child, ledger: Ledger) -> None:
    caller = Caller(child.port)
    listed = {file["id"] for file in caller.ask_json("GET", "/v1/files")["data"]}
    assert listed >= set(ledger.files)
    for id in listed:
        digest = sha256(caller.ask("GET", f"/v1/files/{id}/content")).hexdigest()
        assert digest == ledger.files.get(id, digest)
    caller.close()


@pytest.mark.promise("server.kill.answered-messages-survive")
@pytest.mark.promise("server.kill.answered-files-survive")
def test_what_was_answered_survives_twenty_kills(tmp_path, capsys):
    choose = random.Random(20260826)
    ledger, reader = Ledger(), Reader()
    numbers: dict[str, int] = defaultdict(int)
    for kills in range(KILLS + 1):
        with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
            if not ledger.threads:
                caller = Caller(child.port)
                for name in [SHARED, *(f"writer-{number}" for number in range(WRITERS))]:
                    ledger.threads[name] = caller.ask_json("POST", "/v1/threads")["id"]
                caller.close()
            check(child, ledger, reader)
            if kills == KILLS:
                check_files(child, ledger)
                child.stop()
            else:
                one_round(child, ledger, numbers, choose.randint(1, MOST_ANSWERS))
    answered = sum(map(len, ledger.messages.values()))
    unanswered = sum(map(len, reader.found.values())) - answered
    with capsys.disabled():
        print(
            f"\n{KILLS} kills: {answered} answered messages, all there; {unanswered} more had been stored "
            f"but not answered; {len(ledger.files)} answered files, all whole"
        )
    assert answered > KILLS
    assert ledger.files


@pytest.mark.promise("server.kill.cut-off-uploads-removed")
def test_what_a_killed_upload_had_written_is_removed_a_day_later(tmp_path):
    files = tmp_path / "data" / "files"
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        caller = http.client.HTTPConnection("127.0.0.1", child.port, timeout=SECONDS)
        caller.putrequest("POST", "/v1/files")
        caller.putheader("Authorization", f"Bearer {KEY}")
        caller.putheader("Content-Type", "multipart/form-data; boundary=b")
        caller.putheader("Content-Length", str(20_000_000))
        caller.endheaders()
        caller.send(
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"x" * 100_000
        )
        until(lambda: files_in(files))
        child.kill()
        caller.close()
    assert files_in(files)
    with House(tmp_path / "data", clock=SetClock(time.time() + 25 * 3600)):
        until(lambda: not files_in(files))


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]
