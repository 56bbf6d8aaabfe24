"""Clients that hang up, that read slowly, and that go on talking while a run is at work."""

import json
import socket
from pathlib import Path

import pytest

from tests.runs.scene import Scene, WeatherHouse
from tests.support.event_order import check, of_sse
from tests.support.upstream import Cut, Gate, Say, Upstream
from tests.support.waiting import SECONDS, until

COMPLETED_MESSAGE = [("message_creation", "completed")]


@pytest.mark.promise("runs.weather.hanging-up")
def test_a_client_that_hangs_up_does_not_stop_its_run(each: Scene):
    gate = Gate()
    each.says(Say("Good ", gate, "morning."))
    with each.watched() as stream:
        stream.until("d")
    gate.open()
    left = each.left(stream.run_id)
    assert (left.status, left.steps) == ("completed", COMPLETED_MESSAGE)
    assert (left.messages, left.tokens) == ([("Good morning.", None)], (20, 10))


@pytest.mark.promise("runs.weather.hanging-up")
def test_a_client_that_is_gone_before_the_first_event(scene: Scene):
    gate = Gate()
    scene.says(Say("Good morning.", before=gate))
    with connected(scene):
        gate.wait()
    gate.open()
    (run,) = scene.get(scene.runs)["data"]
    assert scene.left(run["id"]).messages == [("Good morning.", None)]


PIECE, PIECES = "x" * 2000, 10_000


@pytest.mark.promise("runs.weather.slow-readers")
def test_a_reader_that_stands_still_holds_back_neither_run_nor_upstream(scene: Scene):
    """20 MB are said while the client reads nothing. What waits for it is the text and not its pieces."""
    scene.says(Say(*[PIECE] * PIECES))
    with connected(scene) as connection:
        until(lambda: scene.get(scene.runs)["data"])
        (run,) = scene.get(scene.runs)["data"]
        assert scene.reaches(run["id"], "completed") == "completed"
        events = of_sse(chunks_joined(read_to_the_end(connection)))
    assert check(events).replace("d", "") == "CQImpciksK."
    assert len(events) < PIECES / 2
    left = scene.left(run["id"])
    assert (left.status, left.messages) == ("completed", [(PIECE * PIECES, None)])


def connected(scene: Scene) -> socket.socket:
    """A connection with little room for what arrives, over which a stream of a run was asked for."""
    host, port = scene.house.address.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(SECONDS)
    connection.connect((host, int(port)))
    body = json.dumps({"assistant_id": scene.assistant, "stream": True})
    connection.sendall(
        f"POST {scene.runs} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {scene.key}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


def read_to_the_end(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def chunks_joined(answer: bytes) -> str:
    """The body of an answer that came in chunks."""
    at = answer.index(b"\r\n\r\n") + 4
    parts = []
    while size := int(answer[at : (end := answer.index(b"\r\n", at))], 16):
        parts.append(answer[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts).decode()


@pytest.mark.promise("runs.weather.waiting-messages")
@pytest.mark.parametrize("ends", ["completed", "failed", "cancelled", "expired"])
def test_messages_that_wait_join_however_the_run_ends(
    tmp_path: Path, database: str, sky: Upstream, ends: str
):
    gate = Gate()
    with (
        WeatherHouse(tmp_path, database, sky, messages_during_run="wait") as house,
        Scene(house, sky) as scene,
    ):
        scene.says(Say("One ", gate, *([Cut()] if ends == "failed" else ["moment."])))
        with scene.watched() as stream:
            stream.until("d")
            scene.post(f"/v1/threads/{scene.thread}/messages", {"role": "user", "content": "And now?"})
            if ends == "cancelled":
                scene.cancel(stream.run_id)
            elif ends == "expired":
                house.pass_time(600)
            else:
                gate.open()
            stream.rest()
        assert scene.left(stream.run_id).status == ends
        listed = scene.get(f"/v1/threads/{scene.thread}/messages?order=asc")["data"]
    said = [one["content"][0]["text"]["value"] for one in listed]
    answer = "One moment." if ends == "completed" else "One "
    assert said == ["Good morning", answer, "And now?", "The thread is free."]
