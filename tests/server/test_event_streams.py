"""Streams over HTTP: what is told goes out at once, in few writes, to readers quick and slow, as long as
they stay."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, AssistantEventHandler, DefaultHttpxClient, OpenAI
from typing_extensions import override

from tests.support.child import Child
from tests.support.stage import Protocol, Seat, Stage
from tests.support.waiting import SECONDS, until
from tests.wire import told
from threadkeep.engine import watch
from threadkeep.engine.events import Done, Event, StreamError, TextDelta
from threadkeep.wire import openai_v1, openai_v2

REQUEST = b"POST /v1/threads/thread_1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(openai_v2.DIALECT) as open_stage:
        yield open_stage


@pytest.fixture
def client(stage: Stage) -> Iterator[OpenAI]:
    http = DefaultHttpxClient(verify=False)
    with OpenAI(base_url=stage.address + "/v1", api_key="k", max_retries=0, http_client=http) as one:
        yield one


def raw(stage: Stage) -> socket.socket:
    """A connection over which a stream was asked for."""
    connection = socket.create_connection(stage.place, SECONDS)
    connection.sendall(REQUEST)
    return connection


def receive_until(connection: socket.socket, mark: bytes) -> bytes:
    data = bytearray()
    while data.find(mark, max(0, len(data) - len(mark) - (1 << 16))) < 0:
        more = connection.recv(1 << 16)
        assert more, "the stream broke off"
        data += more
    return bytes(data)


class Listener(AssistantEventHandler):
    """What the official client made of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.calls: list[Any] = []

    @override
    def on_text_done(self, text: Any) -> None:
        self.texts.append(text.value)

    @override
    def on_tool_call_done(self, tool_call: Any) -> None:
        self.calls.append(tool_call)


def listened(stage: Stage, client: OpenAI, events: list[Event], *, together: bool) -> Listener:
    """The official helper after a stream of these events, in one batch or each in its own."""
    listener = Listener()
    with client.beta.threads.runs.stream(
        thread_id="thread_1", assistant_id="asst_1", event_handler=listener
    ) as stream:
        seat = stage.seat()
        for batch in [events] if together else [[event] for event in events]:
            stage.tell(seat, *batch)
        stream.until_done()
    return listener


TOGETHER = pytest.mark.parametrize("together", [True, False], ids=["at once", "piece by piece"])


@TOGETHER
@pytest.mark.promise("streams.official-helper")
def test_the_official_helper_puts_a_text_together(stage: Stage, client: OpenAI, together: bool) -> None:
    listener = listened(stage, client, told.plain(), together=together)
    run, (message,) = listener.current_run, listener.get_final_messages()
    assert run is not None
    assert (listener.texts, message.content[0].text.value) == ([told.TEXT], told.TEXT)  # type: ignore[union-attr]
    assert (run.status, run.usage.total_tokens) == ("completed", 7)  # type: ignore[union-attr]


@TOGETHER
@pytest.mark.promise("streams.official-helper")
def test_the_official_helper_puts_calls_together(stage: Stage, client: OpenAI, together: bool) -> None:
    listener = listened(stage, client, told.called(), together=together)
    called = [(one.id, one.function.name, one.function.arguments) for one in listener.calls]
    assert called == [(id, name, "".join(pieces)) for id, name, pieces in told.CALLS]
    assert listener.get_final_run().status == "requires_action"


@TOGETHER
@pytest.mark.promise("streams.official-helper")
def test_the_official_helper_puts_a_refusal_together(stage: Stage, client: OpenAI, together: bool) -> None:
    listener = listened(stage, client, told.refused(), together=together)
    (message,) = listener.get_final_messages()
    assert [part.to_dict() for part in message.content] == [{"type": "refusal", "refusal": told.TEXT}]


@pytest.mark.promise("streams.error")
def test_the_official_client_raises_an_error_of_the_stream(stage: Stage, client: OpenAI) -> None:
    with client.beta.threads.runs.stream(thread_id="thread_1", assistant_id="asst_1") as stream:
        seat = stage.seat()
        stage.tell(seat, *told.beginning(), StreamError("The server stops."), Done())
        with pytest.raises(APIError, match="The server stops"):
            stream.until_done()


@pytest.mark.promise("streams.lines")
def test_readers_that_split_lines_at_every_line_break_of_unicode_get_whole_lines(stage: Stage) -> None:
    with httpx.stream("POST", stage.address, verify=False) as response:
        stage.tell(stage.seat(), *told.plain())
        lines = list(response.iter_lines())
    assert {line.partition(":")[0] for line in lines} == {"event", "data", ""}


# ---------------------------------------------------------------- how they are sent


@pytest.mark.promise("streams.headers")
def test_a_stream_says_what_it_is(stage: Stage) -> None:
    with httpx.stream("POST", stage.address, verify=False) as response:
        stage.tell(stage.seat(), Done())
        response.read()
    headers = response.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    assert (headers["transfer-encoding"], "content-length" in headers) == ("chunked", False)
    assert (headers["openai-version"], headers["x-request-id"]) == ("2020-10-01", "req_1")


@pytest.mark.promise("streams.at-once")
def test_the_head_goes_out_before_anything_is_told(stage: Stage) -> None:
    with httpx.stream("POST", stage.address, verify=False) as response:
        assert response.status_code == 200
        stage.tell(stage.seat(), Done())


@pytest.mark.promise("streams.at-once")
def test_what_is_told_together_goes_out_at_once_in_one_write(stage: Stage) -> None:
    pieces = [TextDelta("msg_1", number, "x") for number in range(3)]  # of texts apart, so not joined
    with raw(stage) as connection:
        receive_until(connection, b"\r\n\r\n")
        seat, before = stage.seat(), Protocol.writes
        for _ in range(5):
            stage.tell(seat, *pieces)
            chunk = receive_until(connection, b"\n\n\r\n")
            assert chunk.count(b"event: thread.message.delta") == 3
        assert Protocol.writes - before == 5
        stage.tell(seat, Done())


@pytest.mark.promise("streams.keep-alive")
def test_a_silent_stream_shows_that_it_is_alive(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS_OF_SILENCE", 0.02)
    with raw(stage) as connection:
        data = receive_until(connection, b": keep-alive\n\n")
        assert b"event: " not in data
        stage.tell(stage.seat(), Done())


@pytest.mark.promise("streams.keep-alive")
def test_clients_pass_over_what_shows_it(
    stage: Stage, client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS_OF_SILENCE", 0.02)
    with client.beta.threads.runs.stream(thread_id="thread_1", assistant_id="asst_1") as stream:
        seat = stage.seat()
        until(lambda: seat.batches_taken > 2)
        stage.tell(seat, *told.plain())
        assert stream.get_final_run().status == "completed"


# ---------------------------------------------------------------- readers who go, and slow ones


@pytest.mark.promise("streams.hanging-up")
def test_a_client_that_hangs_up_is_noticed_while_nothing_is_said(stage: Stage) -> None:
    with raw(stage) as connection:
        seat = stage.seat()
        stage.tell(seat, *told.beginning())
        receive_until(connection, b"in_progress")
    assert seat.ended.wait(SECONDS)


@pytest.mark.promise("streams.hanging-up")
def test_a_client_that_hangs_up_while_it_holds_back_is_noticed(stage: Stage) -> None:
    with raw(stage) as connection:
        seat = stage.seat()
        flood(stage, seat)
        receive_until(connection, b"event: ")
    assert seat.ended.wait(SECONDS)


PIECE = "x" * 1000
PIECES = 20_000


def flood(stage: Stage, seat: Seat) -> None:
    """20 MB for one reader, told in two thousand turns of the loop."""
    for _ in range(PIECES // 10):
        stage.tell(seat, *[TextDelta("msg_1", 0, PIECE)] * 10)


@pytest.mark.promise("streams.slow-readers")
def test_a_slow_reader_holds_back_itself_alone_and_misses_nothing(stage: Stage, client: OpenAI) -> None:
    with raw(stage) as slow:
        seat = stage.seat()
        flood(stage, seat)
        taken = seat.batches_taken
        assert taken < PIECES // 10, "the stream did not wait for its reader"
        assert listened(stage, client, told.plain(), together=False).texts == [told.TEXT]
        stage.tell(seat, Done())
        data = receive_until(slow, b"[DONE]")
    assert data.count(b"x") >= PIECES * len(PIECE)
    assert seat.batches_taken <= taken + 3


@pytest.mark.promise("streams.log")
def test_a_stream_has_one_line_in_the_log(tmp_path: Path) -> None:
    message = {"role": "user", "content": "Hello, who is there?"}
    body = {"assistant_id": "", "stream": True, "thread": {"messages": [message]}}
    headers = {"Authorization": "Bearer sk-key-of-a-listener"}
    with Child(tmp_path, THREADKEEP_API_KEY="sk-key-of-a-listener") as child:
        with httpx.Client(base_url=child.address + "/v1", headers=headers, verify=False) as http:
            body["assistant_id"] = http.post("/assistants", json={"model": "echo"}).json()["id"]
            with http.stream("POST", "/threads/runs", json=body) as response:
                assert response.read().endswith(b"event: done\ndata: [DONE]\n\n")
        child.stop()
        (line,) = (one for one in child.log.splitlines() if "path=/v1/threads/runs " in one)
    assert f"request={response.headers['x-request-id']}" in line
    assert "status=200" in line


def test_v1_streams_in_its_own_form() -> None:
    with Stage(openai_v1.DIALECT) as stage, httpx.stream("POST", stage.address, verify=False) as response:
        stage.tell(stage.seat(), *told.cut_off())
        text = response.read().decode()
    assert "event: thread.run.completed\n" in text
    assert '"file_ids":[]' in text
