"""From the parsed command line to a request on the wire."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import mimetypes
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from threadkeep import __version__

DEFAULT_BASE_URL = "http://127.0.0.1:8000/v1"
CHUNK = 64 * 1024

BESIDE_V1 = ("v1", "rubra", "healthz", "readyz", "openapi.json")
"""First segments of the paths that do not lie below /v1."""

Content = tuple[dict[str, str], bytes | Iterator[bytes] | None]
"""A body with the headers that describe it."""


class Refused(Exception):
    """What was asked for cannot be done from here; the text tells a person why."""


class Disconnected(Exception):
    """The server cannot be reached or stopped answering; the text tells a person why."""


def send(args: argparse.Namespace, resources: contextlib.ExitStack) -> http.client.HTTPResponse:
    """The answer, its body still unread. `resources` holds what must stay open until then."""
    base = args.base_url or os.environ.get("THREADKEEP_BASE_URL") or os.environ.get("OPENAI_BASE_URL")
    url = urlsplit(checked_base_url(base or DEFAULT_BASE_URL))
    content, body = request_content(args, resources)
    headers = request_headers(args, content)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    with network(f"no connection to {url.scheme}://{url.netloc}"):
        connection = kind(url.hostname or "", url.port, timeout=args.timeout)
        resources.callback(connection.close)
        connection.connect()
    with network(f"no answer from {url.scheme}://{url.netloc}"):
        # A server may refuse an upload and answer before it has read all of it: look for that answer.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(args.method, target(url.path, args.path, args.query), body, headers)
        return resources.enter_context(connection.getresponse())


@contextlib.contextmanager
def network(failure: str) -> Iterator[None]:
    """Turn whatever the network raises into one sentence that begins with `failure`."""
    try:
        yield
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Disconnected(f"{failure}: {reason}") from error


def checked_base_url(text: str) -> str:
    """`text` if it can be called. The messages show no part of it: some put a password there."""
    try:
        url = urlsplit(text)
        callable_ = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        callable_ = False
    if not callable_:
        raise Refused("the base URL must look like http://host:port/v1")
    if "@" in url.netloc or url.query or url.fragment:
        raise Refused("the base URL must not hold a user, a password, a query or a fragment")
    return text


def target(base: str, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
    """The request line's target: the base URL's path, PATH (which may repeat it), and the query."""
    path, _, inline = path.partition("?")
    path = "/" + quote(path.lstrip("/"), safe="/%:@!$&'()*+,;=~")
    prefix = quote(base.rstrip("/"), safe="/%:@!$&'()*+,;=~") or "/v1"
    if path.startswith(f"{prefix}/"):
        prefix = ""
    elif path.split("/")[1] in BESIDE_V1:
        prefix = prefix.removesuffix("/v1")
    parameters = [quote(inline, safe="/%:@!$&'()*+,;=~?"), urlencode(query, quote_via=quote)]
    return "?".join(filter(None, (prefix + path, "&".join(filter(None, parameters)))))


def request_headers(args: argparse.Namespace, content: Mapping[str, str]) -> dict[str, str]:
    """The content's headers, the key and the version; a --header replaces any of the same name."""
    key = args.api_key
    if key is None:
        key = os.environ.get("THREADKEEP_API_KEY") or os.environ.get("OPENAI_API_KEY") or ""
    if not re.fullmatch(r"[\x21-\x7e]*", key.strip()):
        raise Refused("the API key has characters that no header can carry")
    headers = {"User-Agent": f"threadkeep/{__version__}", "Accept": "*/*", **content}
    if key.strip():
        headers["Authorization"] = f"Bearer {key.strip()}"
    if args.beta != "none":
        headers["OpenAI-Beta"] = f"assistants={args.beta}"
    own = {name.lower() for name, _ in args.header}
    return {name: value for name, value in headers.items() if name.lower() not in own} | dict(args.header)


def request_content(args: argparse.Namespace, resources: contextlib.ExitStack) -> Content:
    if args.form:
        return multipart(args.form, resources)
    if args.body is None:
        return {}, None
    return {"Content-Type": "application/json"}, json_body(args.body)


def json_body(value: str) -> bytes:
    """--body in UTF-8 and otherwise as given; some editors write a byte order mark or UTF-16."""
    try:
        if value == "@-":
            raw = sys.stdin.buffer.read()
        else:
            raw = Path(value[1:]).read_bytes() if value.startswith("@") else os.fsencode(value)
        text = raw.decode(json.detect_encoding(raw))
        json.loads(text)
    except OSError as error:
        raise Refused(f"cannot read {value[1:]}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"--body is not JSON: {error}") from error
    return text.encode()


def multipart(fields: Sequence[tuple[str, str]], resources: contextlib.ExitStack) -> Content:
    """A form (RFC 7578) whose files are read while they are sent."""
    boundary = secrets.token_hex(16)
    parts: list[tuple[bytes, BinaryIO, int]] = []
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"'
        if value.startswith("@"):
            source, size = open_upload(value[1:], resources)
            kind = mimetypes.guess_type(value[1:])[0] or "application/octet-stream"
            head += f'; filename="{_escaped(Path(value[1:]).name)}"\r\nContent-Type: {kind}'
        else:
            plain = os.fsencode(value)
            source, size = io.BytesIO(plain), len(plain)
        parts.append((os.fsencode(f"{head}\r\n\r\n"), source, size))
    tail = f"--{boundary}--\r\n".encode()
    length = len(tail) + sum(len(head) + size + len(b"\r\n") for head, _, size in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
    return headers, _form_bytes(parts, tail)


def _escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def open_upload(path: str, resources: contextlib.ExitStack) -> tuple[BinaryIO, int]:
    """The file and its size, which the request announces before the first byte."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Refused(f"cannot send {path}: only a regular file has a size that is known beforehand")
        source = resources.enter_context(io.FileIO(path))
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return source, os.fstat(source.fileno()).st_size


def _form_bytes(parts: Sequence[tuple[bytes, BinaryIO, int]], tail: bytes) -> Iterator[bytes]:
    for head, source, size in parts:
        yield head
        while size:
            chunk = source.read(min(size, CHUNK))
            if not chunk:
                raise Refused("a file became shorter while it was being sent")
            size -= len(chunk)
            yield chunk
        yield b"\r\n"
    yield tail
