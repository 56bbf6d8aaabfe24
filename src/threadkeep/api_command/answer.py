"""From the answer on the wire to what is printed: raw, json, or rows as a table or as CSV."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from threadkeep.api_command.request import CHUNK, Refused, network
from threadkeep.api_command.table import (
    UNSAFE,
    Row,
    as_csv,
    as_table,
    complain,
    emit,
    terminal_width,
    write_all,
)

NOT_JSON = object()


@dataclass(frozen=True)
class Answer:
    """A whole answer. `text` is None where the body is not text."""

    status: int
    body: bytes
    text: str | None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def document(self) -> Any:
        """The body as JSON, or NOT_JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return NOT_JSON


def read(response: http.client.HTTPResponse) -> Answer:
    with network("the answer broke off"):
        body = response.read()
    try:
        text = body.decode(response.headers.get_content_charset("utf-8"))
    except (ValueError, LookupError):
        return Answer(response.status, body, None)
    return Answer(response.status, body, None if "\0" in text else text)


def save(response: http.client.HTTPResponse, path: str) -> int:
    """Stream the body to `path`; what came before a connection broke stays there, and that is said."""
    total = 0
    try:
        with open_sink(path) as sink:
            while chunk := read_chunk(response, path):
                write_all(sink, chunk)
                total += len(chunk)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from error
    complain(f"saved {total} bytes to {'standard output' if path == '-' else path}")
    return 0


def open_sink(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdout.buffer) if path == "-" else Path(path).open("wb")


def read_chunk(response: http.client.HTTPResponse, path: str) -> bytes:
    """The next bytes, at most CHUNK; none at the end of the announced length and not before it."""
    with network(f"the answer broke off, {path} is incomplete"):
        chunk = response.read(CHUNK)
        if not chunk and response.length:
            raise http.client.IncompleteRead(b"", response.length)
    return chunk


def show(answer: Answer, output: str) -> int:
    """Print the answer in the form asked for; returns 0 for a success that has this form, otherwise 1."""
    if answer.text is None:
        complain(
            f"the answer (status {answer.status}) is {len(answer.body)} bytes that are not text: "
            "--save FILE keeps them"
        )
        return 1
    if output == "raw":
        emit(as_csv([{"body": answer.text, "status": answer.status}]))
    elif output == "json":
        return show_json(answer)
    else:
        show_rows(answer, output)
    return 0 if answer.ok else 1


def show_json(answer: Answer) -> int:
    document = answer.document()
    if document is NOT_JSON:
        complain(f"the answer (status {answer.status}) is not JSON: see it with --output raw")
        return 1
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # Inside JSON an escape is the same string, so this one makes it safe for a terminal and loses nothing.
    emit(re.sub(f"(?!\n){UNSAFE.pattern}", lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
    return 0 if answer.ok else 1


def show_rows(answer: Answer, output: str) -> None:
    document = answer.document()
    if not answer.ok:
        rows = error_rows(answer, document)
    elif document is NOT_JSON:
        rows = [{"body": answer.text, "status": answer.status}]
    else:
        rows = object_rows(document)
    # A message that explains a failure is worth a second line on the terminal, so errors are never cut.
    emit(as_csv(rows) if output == "csv" else as_table(rows, terminal_width(), whole=not answer.ok))
    if answer.ok and isinstance(document, dict) and document.get("has_more") and document.get("last_id"):
        complain(f"there is more: --query after={document['last_id']}")


def object_rows(document: Any) -> list[Row]:
    """One row an object of a list answer, one row for anything else."""
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        document = document["data"]
    items = document if isinstance(document, list) else [document]
    return [item if isinstance(item, dict) else {"value": item} for item in items]


def error_rows(answer: Answer, document: Any) -> list[Row]:
    """One row a problem, with the same columns whichever dialect told it."""
    found = document if isinstance(document, dict) else {}
    detail = found.get("detail", found.get("error", found))
    problems = detail if isinstance(detail, list) and detail else [detail]
    return [error_row(answer, problem) for problem in problems]


def error_row(answer: Answer, problem: Any) -> Row:
    """`problem` is OpenAI's error object, an entry of Rubra's `detail`, or just the message."""
    told = problem if isinstance(problem, dict) else {"message": problem}
    location = told.get("loc")
    return {
        "message": told.get("message") or told.get("msg") or answer.text,
        "type": told.get("type"),
        "param": ".".join(map(str, location)) if isinstance(location, list) else told.get("param"),
        "code": told.get("code"),
        "status": answer.status,
    }
