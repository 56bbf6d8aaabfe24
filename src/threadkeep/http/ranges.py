"""Parts of an answer: the `Range` header (RFC 9110, section 14)."""

import re
from collections.abc import Mapping

from threadkeep.errors import BadRange
from threadkeep.span import Span

SINGLE = re.compile(rb"bytes=[ \t]*([0-9]{0,30})-([0-9]{0,30})[ \t]*", re.IGNORECASE)


def span_of(headers: Mapping[bytes, bytes], size: int) -> Span | None:
    """What part of `size` bytes a request asks for, None for all of them. Raises `BadRange`.

    What is not one range of bytes is passed over, as the standard has it, and so is a range for a
    version of the bytes that the client names: no answer has told it a name.
    """
    found = SINGLE.fullmatch(headers.get(b"range", b""))
    if not found or b"if-range" in headers:
        return None
    first, last = found.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        span = Span(int(first), min(int(last or size), size - 1))
    elif last:
        span = Span(max(size - int(last), 0), size - 1)
    else:
        return None
    if span.first > span.last:
        raise BadRange(size)
    return span


def content_range(span: Span, size: int) -> bytes:
    """What a part is of the whole, as the header of that name says it."""
    return b"bytes %d-%d/%d" % (span.first, span.last, size)
