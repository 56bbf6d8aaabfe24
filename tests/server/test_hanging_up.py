"""Clients that hang up, at whatever moment, harm nobody but themselves."""

import socket
import struct

import httpx
import pytest

from tests.support.child import Child
from tests.support.waiting import SECONDS
from threadkeep.http.cork import Cork, flush

KEY = "sk-key-of-those-who-stay"
RESET = struct.pack("ii", 1, 0)
THREAD = (
    f"POST /v1/threads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
).encode()


def ask_and_reset(port: int, request: bytes) -> None:
    """Send a request and tear the connection down before its answer can come."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raw.sendall(request)


@pytest.mark.promise("server.clients.hang-up")
def test_clients_that_reset_their_connections_do_not_stop_the_others(tmp_path):
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upload = THREAD.replace(b"Content-Length: 2", b"Content-Length: 2000")
    with Child(tmp_path, THREADKEEP_API_KEY=KEY) as child:
        for number in range(600):
            ask_and_reset(child.port, (health, THREAD, THREAD * 3, upload)[number % 4])
        answer = httpx.post(child.address + "/v1/threads", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200
        child.stop()
        assert child.told() == []


class Transport:
    """What a cork writes to."""

    def __init__(self, closing: bool = False) -> None:
        self.closing, self.sent = closing, b""

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if self.closing:
            raise RuntimeError("the handler is closed")
        self.sent += data


def test_a_closed_connection_is_passed_over_when_the_others_are_flushed():
    waiting: list[Cork] = []
    transports = [Transport(), Transport(closing=True), Transport()]
    corks = [Cork(one, waiting) for one in transports]  # type: ignore[arg-type]
    for cork in corks:
        cork._held.append(b"answer")
        waiting.append(cork)
    flush(waiting)
    assert [one.sent for one in transports] == [b"answer", b"", b"answer"]
    assert waiting == []
