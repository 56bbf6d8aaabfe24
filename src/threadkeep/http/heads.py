"""What a client may send that is no body: so much of it, and not for ever.

uvicorn's parser takes heads and trailers of any length, from anybody, keeps them, and waits for their end.
"""

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 512 * 1024
"""Bytes of a message beside its body. Reads of up to 256 KiB are counted, so half as many always pass."""
FOR_EACH_OF_A_BODY = 8
"""So many more for each byte of a body: chunks of one byte take six."""
SECONDS_FOR_A_HEAD = 30
"""What a head may take is between this and twice as long."""
REFUSAL = msgspec.json.encode(
    {
        "error": {
            "message": "The head of your request is too large.",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_head_too_large",
        }
    }
)
ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(REFUSAL), REFUSAL)
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, for clients of whom nothing is known yet."""

    _beside = 0
    """Bytes of the message so far that count."""
    _message: object = None
    """Whose they are."""
    _met: object = ()
    """What `hurry` saw last."""

    def on_body(self, body: bytes) -> None:
        self._beside -= FOR_EACH_OF_A_BODY * len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        scope = self.scope
        if scope is not self._message:
            self._message, self._beside = scope, 0
        self._beside = max(0, self._beside) + len(data)
        if self._beside > MOST and not self.transport.is_closing():
            if not self._answers:  # else it would be part of an answer
                self.transport.write(ANSWER)
            self.transport.close()

    @property
    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def hurry(self) -> None:
        """Hang up on a client that has not brought a head since this was called before. An answer has its
        time, and so has a client that rests between two requests: uvicorn sees to that."""
        scope = self.scope
        nothing_whole = scope is None or "path" not in scope
        if nothing_whole and not self._answers:
            if self._met is scope:
                self.transport.close()
            self._met = scope
