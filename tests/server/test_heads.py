"""Heads and trailers that are too long, or never end; and those that are merely long."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.waiting import SECONDS
from threadkeep.http.heads import MOST
from threadkeep.serving import TICKS_FOR_A_HEAD

pytestmark = pytest.mark.promise("server.clients.heads")
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
TOO_LARGE = {
    "error": {
        "message": "The head of your request is too large.",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_head_too_large",
    }
}


@contextmanager
def connected(house) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(house.address.rpartition(":")[2])), SECONDS) as one:
        yield one


def send(connection: socket.socket, *pieces: bytes) -> None:
    """What the server takes of it: it may hang up in the middle."""
    try:
        for piece in pieces:
            connection.sendall(piece)
    except OSError:
        pass


def all_of(connection: socket.socket) -> bytes:
    """What the server says until it hangs up."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize("start", [GET + b"X: ", b"GET /", GET], ids=["value", "path", "lines"])
def test_a_head_without_end_is_refused(house, start):
    more = b"X: y\r\n" * 10_000 if start == GET else b"y" * 60_000
    with connected(house) as connection:
        # Of what it has not read a server that hangs up makes a reset, which can overtake its answer.
        send(connection, start + more * (MOST // len(more) + 1))
        answer = all_of(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert json.loads(body) == TOO_LARGE


def test_trailers_without_end_end_the_connection(house):
    start = b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    with connected(house) as connection:
        send(connection, start, *[b"X: y\r\n" * 10_000] * (2 * MOST // 60_000))
        all_of(connection)  # without a time-out


@pytest.mark.parametrize("size", [1000, MOST // 2])
def test_a_long_head_is_taken(house, size):
    with httpx.Client(base_url=house.address, verify=False) as http:
        for _ in range(5):  # on one connection
            assert http.get("/healthz", headers={"X": "y" * (size - 200)}).status_code == 200


def test_a_body_in_the_smallest_pieces_is_taken(house, key):
    body = b'{"messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 200_000)
    head = f"POST /v1/threads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(house) as connection:
        send(connection, head.encode(), b"".join(b"1\r\n%c\r\n" % one for one in body), b"0\r\n\r\n")
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [b"", GET, GET + b"\r\n" + GET], ids=["nothing", "half", "half a second"])
def test_a_head_that_does_not_come_is_not_waited_for(house, said):
    with connected(house) as connection, connected(house) as resting:
        send(connection, said)
        send(resting, GET + b"\r\n")
        assert resting.recv(65536).startswith(b"HTTP/1.1 200 ")
        if said.count(GET) == 2:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        send(connection, b"X: y\r\n" * (b"GET" in said))
        for _ in range(2):
            house.call(lambda: house._server.on_tick(TICKS_FOR_A_HEAD))
        assert all_of(connection) == b""
        send(resting, GET + b"\r\n")
        assert resting.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_first_is_refused_before_it_sends_anything(house):
    head = b"POST /v1/threads HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    with connected(house) as connection:
        send(connection, head)
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


def test_a_client_that_asks_first_is_told_to_go_on(house, key):
    head = b"POST /v1/threads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with connected(house) as connection:
        send(connection, head % key.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
        send(connection, b"{}")
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")
