"""One request as endpoints see it, and what they answer with.

Who asks, in which dialect, and what the path and the query say is settled before an endpoint runs.
"""

import copy
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from threadkeep.context import Context
from threadkeep.errors import Invalid, Problem, TooLarge
from threadkeep.idempotency.model import IdempotencyKey
from threadkeep.metadata import MAX_PAIRS
from threadkeep.paging import Page, PageQuery
from threadkeep.storage.database import Transaction
from threadkeep.storage.within import Within
from threadkeep.wire.base import Dialect

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = b"application/json"
ORDERS = ("asc", "desc")
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,1000}")
"""What JSON calls one; Python's `int` takes more, and refuses more than some thousand digits."""


class ClientGone(Exception):
    """The client hung up before its request was whole: nobody is left to answer."""


class Response:
    """An answer: a whole body, or a stream of `length` bytes, of which None says that nobody knows."""

    __slots__ = ("body", "content_type", "headers", "length", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        stream: AsyncGenerator[bytes, None] | None = None,
        length: int | None = None,
    ) -> None:
        self.status, self.body, self.content_type, self.headers = status, body, content_type, headers
        self.stream = stream
        self.length = len(body) if stream is None else length


class Request:
    """A caller's request."""

    __slots__ = (
        "body",
        "context",
        "dialect",
        "headers",
        "id",
        "idempotency_key",
        "path",
        "project_id",
        "query_string",
        "receive",
        "unread",
        "virtual_key",
    )

    def __init__(
        self,
        id: str,
        context: Context,
        dialect: Dialect,
        headers: Mapping[bytes, bytes],
        query_string: bytes,
        receive: Receive,
    ) -> None:
        self.id, self.context, self.dialect, self.headers = id, context, dialect, headers
        self.query_string, self.receive = query_string, receive
        self.project_id = ""
        self.path: Mapping[str, str] = {}
        self.body = b""
        self.unread = True
        self.idempotency_key: IdempotencyKey | None = None
        self.virtual_key: str | None = None
        """The id of the virtual key that its runs reach their models with."""

    def within(self, transaction: Transaction) -> "Request":
        """The same request, with a database whose reads and writes all take part in a transaction."""
        inner = copy.copy(self)
        inner.context = msgspec.structs.replace(self.context, database=Within(transaction))
        return inner

    # -------------------------------------------------------------- reading

    def parse(self, operation: str) -> Any:
        """The command in the body. Raises `Invalid` or `MalformedJSON`."""
        return self.dialect.bodies[operation].parse(self.body)

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last. Empty ones count as not given."""
        if not self.query_string:
            return {}
        return dict(parse_qsl(self.query_string.decode("latin-1"), errors="replace"))

    def query_list(self, name: str) -> list[str]:
        """Every value of an array in the query, which is written `name[]=a&name[]=b`."""
        if not self.query_string:
            return []
        pairs = parse_qsl(self.query_string.decode("latin-1"), errors="replace")
        return [value for key, value in pairs if key in (name, f"{name}[]")]

    def page_query(self, maximum: int = 100, default: int = 20, metadata_filters: bool = False) -> PageQuery:
        """What page of a list is asked for. Raises `Invalid`."""
        if not self.query_string and default == 20:
            return FIRST_PAGE
        query = self.query
        order, limit, wrong = query.get("order", "desc"), default, []
        if order not in ORDERS:
            wrong.append(Problem(("order",), "enum", actual=order, choices=ORDERS, where="query"))
        try:
            limit = integer(query, "limit", default, 1, maximum)
        except Invalid as refusal:
            wrong.extend(refusal.problems)
        if wrong:
            raise Invalid(*wrong)
        filters = metadata_pairs(self.query_string) if metadata_filters else ()
        return PageQuery(limit, order, query.get("after"), query.get("before"), filters)

    async def chunks(self, limit: int, size: int = 0) -> AsyncIterator[bytes]:
        """What is left of the body as it arrives; `size` bytes are known. Raises `TooLarge` past `limit`
        bytes, and `ClientGone`."""
        while self.unread:
            chunk = await self._chunk()
            size += len(chunk)
            if size > limit:
                raise TooLarge(limit)
            yield chunk

    async def _chunk(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.unread = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    async def read_body(self, limit: int) -> None:
        """Take in the whole body, which must be small enough to hold."""
        if int(self.headers.get(b"content-length", b"0")) > limit:
            raise TooLarge(limit)
        body = await self._chunk()  # mostly all there is
        if self.unread:
            body = b"".join([body, *[chunk async for chunk in self.chunks(limit, len(body))]])
        if len(body) > limit:
            raise TooLarge(limit)
        self.body = body

    # -------------------------------------------------------------- answering

    def reply(self, text: str) -> Response:
        """JSON text as a 200."""
        return Response(200, text.encode())

    def reply_page(self, page: Page[Any], render: Callable[[Any], str]) -> Response:
        """A list as a 200."""
        return Response(200, self.dialect.page(page, render).encode())


FIRST_PAGE = PageQuery()


def integer(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number from the query. Raises `Invalid`."""
    text = query.get(name)
    if text is None:
        return default
    if not WHOLE_NUMBER.fullmatch(text):
        raise Invalid(Problem((name,), "type", expected="an integer", actual=text, where="query"))
    value = int(text)
    if value < least:
        raise Invalid(Problem((name,), "integer_too_small", actual=value, limit=least, where="query"))
    if value > most:
        raise Invalid(Problem((name,), "integer_too_big", actual=value, limit=most, where="query"))
    return value


def metadata_pairs(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """`metadata[key]=value` filters; an empty value is a value like another. Raises `Invalid`."""
    query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="replace"))
    pairs = tuple(
        (name[len("metadata[") : -1], value)
        for name, value in query.items()
        if name.startswith("metadata[") and name.endswith("]")
    )
    if len(pairs) > MAX_PAIRS:
        raise Invalid(
            Problem(("metadata",), "properties_too_many", actual=len(pairs), limit=MAX_PAIRS, where="query")
        )
    return pairs
