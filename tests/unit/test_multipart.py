"""Forms, wherever the network cuts them."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.context import Context
from threadkeep.errors import BadUpload, TooLarge, UnsupportedContentType
from threadkeep.http.caller import DEFAULT
from threadkeep.http.multipart import Data, Event, Field, FileEnd, FileStart, FormEnd, events
from threadkeep.http.request import ClientGone, Request

NO_LIMIT = 10**9
FORM = b"multipart/form-data; boundary=boundary"
LOOKALIKES = b"\r\n--boundar\r\n--\r\n-\r\r\n--boundarx\r\n--boundary"[:-1] + b"\x00\xff\r\n"
"""Bytes that begin like the boundary, again and again, and are not."""
BODY = (
    b'--boundary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
    b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="na\xc3\xafve.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n" + LOOKALIKES + b"\r\n"
    b'--boundary\r\nContent-Disposition: form-data; name="empty"\r\n\r\n\r\n'
    b"--boundary--\r\n"
)
WHOLE: list[Event] = [
    Field("purpose", "vision"),
    FileStart("file", "naïve.txt"),
    Data(LOOKALIKES),
    FileEnd(),
    Field("empty", ""),
    FormEnd(),
]


def request_of(chunks: Sequence[bytes], content_type: bytes = FORM, gone: bool = False) -> Request:
    """A request whose body arrives in these chunks; `gone` hangs up after them."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": one, "more_body": True} for one in chunks
    ]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""})
    line = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(line)

    context = cast(Context, None)  # which a form does not need
    return Request("req_1", context, DEFAULT, {b"content-type": content_type}, b"", receive)


def read(request: Request, limit: int = NO_LIMIT) -> list[Event]:
    """The events of a form, with the pieces of each file put together."""

    async def collect() -> list[Event]:
        return [event async for event in events(request, limit)]

    joined: list[Event] = []
    for event in asyncio.run(collect()):
        if isinstance(event, Data) and joined and isinstance(joined[-1], Data):
            joined[-1] = Data(joined[-1].data + event.data)
        else:
            joined.append(event)
    return joined


@pytest.mark.parametrize("offset", range(len(BODY) + 1))
def test_a_form_reads_the_same_wherever_it_is_cut(offset):
    assert read(request_of([BODY[:offset], BODY[offset:]])) == WHOLE


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_form_reads_the_same_in_chunks_of_any_size(size):
    assert read(request_of([BODY[start : start + size] for start in range(0, len(BODY), size)])) == WHOLE


@given(
    content=st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--boundary", b"x", b"\0"])).map(b"".join),
    data=st.data(),
)
def test_any_bytes_come_through_as_they_are(content, data):
    if b"\r\n--boundary" in b"\r\n" + content:
        content = content.replace(b"--boundary", b"")
    head = b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = head + content + b"\r\n--boundary--"
    cut = data.draw(st.integers(0, len(body)))
    found = read(request_of([body[:cut], body[cut:]]))
    data_events = [Data(content)] if content else []
    assert found == [FileStart("file", "f"), *data_events, FileEnd(), FormEnd()]


@pytest.mark.parametrize("offset", range(0, len(BODY) - 6, 5))
def test_a_form_that_ends_too_early_never_ends(offset):
    """No `FormEnd`: whoever reads it sees that something is missing."""
    assert FormEnd() not in read(request_of([BODY[:offset]]))


def test_a_client_that_hangs_up_is_told_apart_from_a_form_that_ends():
    with pytest.raises(ClientGone):
        read(request_of([BODY[:100]], gone=True))


def test_a_limit_holds_for_the_whole_form():
    assert read(request_of([BODY]), len(BODY)) == WHOLE
    with pytest.raises(TooLarge):
        read(request_of([BODY]), len(BODY) - 1)


@pytest.mark.parametrize("content_type", [b"", b"application/json", b"multipart/mixed; boundary=boundary"])
def test_what_is_no_form_is_refused(content_type):
    with pytest.raises(UnsupportedContentType):
        read(request_of([BODY], content_type))


BROKEN = {
    "no boundary": (b"multipart/form-data", BODY),
    "another boundary": (b"multipart/form-data; boundary=other", BODY),
    "no form at all": (FORM, b'{"file": "x"}'),
    "a header without a colon": (FORM, b"--boundary\r\nContent Disposition\r\n\r\nx\r\n--boundary--\r\n"),
    "a header without an end": (FORM, b"--boundary\r\nX: " + b"x" * 20_000),
    "a field without an end": (
        FORM,
        b'--boundary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n' + b"x" * 70_000,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_form_is_refused(name):
    content_type, body = BROKEN[name]
    with pytest.raises(BadUpload):
        read(request_of([body], content_type))
