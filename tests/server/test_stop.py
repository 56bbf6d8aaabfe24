"""A graceful stop: what is under way is finished and answered, and nothing else holds it up."""

import http.client
import json
import signal
import socket
import time

import httpx
import pytest

from tests.support.child import Child
from tests.support.waiting import SECONDS, until

KEY = "sk-key-of-the-stop-test"
IN_FLIGHT = 8
SECONDS_TO_STOP = 15


class HalfSent:
    """A request whose head the server has taken up and whose body it waits for."""

    def __init__(self, port: int, path: str, content: str) -> None:
        self._body = json.dumps({"role": "user", "content": content}).encode()
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        assert self._socket.recv(100).startswith(b"HTTP/1.1 100 Continue")

    def finish(self) -> dict:
        """Send the body; the answer."""
        self._socket.sendall(self._body)
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        assert answer.status == 200
        message = json.loads(answer.read())
        self._socket.close()
        return message


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), SECONDS).close()
    except OSError:
        return True
    return False


@pytest.mark.promise("server.stop.graceful")
def test_requests_under_way_at_a_stop_are_finished_and_stored(tmp_path):
    headers = {"Authorization": f"Bearer {KEY}"}
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        idle = httpx.Client(base_url=child.address, headers=headers)
        path = f"/v1/threads/{idle.post('/v1/threads').json()['id']}/messages"
        requests = [HalfSent(child.port, path, f"number {number}") for number in range(IN_FLIGHT)]
        child.process.send_signal(signal.SIGTERM)
        until(lambda: refuses_connections(child.port))
        answered = {one.finish()["id"] for one in requests}
        finished = time.perf_counter()
        child.process.wait(SECONDS)
        assert time.perf_counter() - finished < SECONDS_TO_STOP
        idle.close()
        assert child.process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in child.log
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        page = httpx.get(child.address + path, headers=headers).json()
    assert {message["id"] for message in page["data"]} == answered
    assert len(answered) == IN_FLIGHT


@pytest.mark.promise("server.stop.graceful")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once_and_quietly(tmp_path, by):
    with Child(tmp_path) as child, httpx.Client(base_url=child.address) as kept_alive:
        kept_alive.get("/healthz")
        begun = time.perf_counter()
        status = child.stop(by)
        assert time.perf_counter() - begun < SECONDS_TO_STOP
    assert status in (0, -by, 128 + by)
    assert child.told() == []


def test_a_stopped_server_leaves_one_whole_database_file(tmp_path):
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        httpx.post(child.address + "/v1/threads", headers={"Authorization": f"Bearer {KEY}"})
        child.stop()
    assert sorted(path.name for path in child.database.parent.iterdir()) == ["files", "threadkeep.db"]
