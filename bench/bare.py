"""The floor to measure against: an ASGI app without a framework that answers bytes prepared beforehand.

`python -m bench.bare --port N --answers FILE` answers every POST with the file's `create` and every other
request with its `list`. The file holds real answers of Threadkeep, headers and body, so both servers put
the same bytes on the wire; the difference in cost is Threadkeep's own work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypedDict

from bench.servers import serve

SENT_BY_UVICORN = {"server", "date"}

Event = dict[str, Any]


class Answer(TypedDict):
    """One recorded answer: status, headers in order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: str


class BareApp:
    """`create` for a POST, once its body was read; `list` for everything else."""

    def __init__(self, create: Answer, page: Answer) -> None:
        self.create = events(create)
        self.page = events(page)

    async def __call__(
        self, scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
    ) -> None:
        answer = self.page
        if scope["method"] == "POST":
            answer = self.create
            while (await receive()).get("more_body"):
                pass
        for event in answer:
            await send(event)


def events(answer: Answer) -> tuple[Event, Event]:
    """What to send for an answer. uvicorn adds its own headers again."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in answer["headers"]
        if name.lower() not in SENT_BY_UVICORN
    ]
    start = {"type": "http.response.start", "status": answer["status"], "headers": headers}
    return start, {"type": "http.response.body", "body": answer["body"].encode()}


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--corked", action="store_true", help="send answers as Threadkeep does")
    options = parser.parse_args()
    answers: dict[str, Answer] = json.loads(options.answers.read_text("utf-8"))
    serve(BareApp(answers["create"], answers["list"]), options.port, corked=options.corked)


if __name__ == "__main__":
    main()
