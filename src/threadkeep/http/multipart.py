"""Forms as they arrive: fields, and a file that is never whole in memory.

`multipart/form-data` is parsed by python-multipart, whose callbacks become events here; the body is
read no faster than the events are taken.
"""

import re
from collections import deque
from collections.abc import AsyncIterator
from urllib.parse import unquote

from msgspec import Struct
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from threadkeep.errors import BadUpload, UnsupportedContentType
from threadkeep.http.request import Request

LONGEST_FIELD = 64 * 1024
"""Bytes of one field that is not a file."""
LONGEST_FILENAME = 1024
LONGEST_HEADERS = 16 * 1024
FORM = "multipart/form-data"
EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=\s*([^\s;]+)", re.IGNORECASE)
"""Not meant for forms, but .NET sends it, and beside it a name that is not readable; the parser skips it."""
QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"')


class Field(Struct, frozen=True):
    """A whole field."""

    name: str
    value: str


class FileStart(Struct, frozen=True):
    """A file begins; `Data` follows until `FileEnd`."""

    name: str
    filename: str


class Data(Struct, frozen=True):
    """Some bytes of the file that has begun."""

    data: bytes


class FileEnd(Struct, frozen=True):
    """The file is whole."""


class FormEnd(Struct, frozen=True):
    """The form is whole."""


Event = Field | FileStart | Data | FileEnd | FormEnd


class PartReader:
    """The parser's callbacks, turned into events."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._field, self._file, self._content = "", False, b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._form_end,
        }

    def _part_begin(self) -> None:
        self._headers, self._name, self._value, self._content = {}, b"", b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._limit(self._name)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._limit(self._value)

    def _limit(self, header: bytes) -> None:
        if len(header) > LONGEST_HEADERS:
            raise BadUpload("A header of the form is too long.", None)

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._field = text(options.get(b"name", b""))
        extended = EXTENDED_FILENAME.search(QUOTED.sub(b"", disposition))
        filename = from_rfc5987(extended[1]) if extended else from_html(options.get(b"filename"))
        self._file = filename is not None
        if filename is not None:
            self.events.append(FileStart(self._field, clean_filename(text(filename))))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self.events.append(Data(data[start:end]))
            return
        self._content += data[start:end]
        if len(self._content) > LONGEST_FIELD:
            raise BadUpload(f"The field '{self._field}' is too long.", self._field)

    def _part_end(self) -> None:
        self.events.append(FileEnd() if self._file else Field(self._field, text(self._content)))

    def _form_end(self) -> None:
        self.events.append(FormEnd())


def text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def from_html(filename: bytes | None) -> bytes | None:
    """A name as it was before a client made it fit for a form, as the HTML standard has it."""
    return filename and filename.replace(b"%22", b'"').replace(b"%0D", b"\r").replace(b"%0A", b"\n")


def from_rfc5987(value: bytes) -> bytes:
    """The text in `UTF-8''na%C3%AFve.txt`."""
    return unquote(text(value).split("'", 2)[-1]).encode()


def clean_filename(name: str) -> str:
    """A name without control characters, which no file system and no header can carry. Never empty."""
    printable = "".join(c for c in name if c >= " " and c != "\x7f")
    return printable[:LONGEST_FILENAME] or "upload"


def boundary_of(request: Request) -> bytes:
    """The boundary in the content type. Raises `UnsupportedContentType` and `BadUpload`."""
    header = request.headers.get(b"content-type", b"")
    media_type, options = parse_options_header(header)
    if media_type.lower() != FORM.encode():
        raise UnsupportedContentType(media_type.decode("latin-1"), FORM)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadUpload("The content type names no boundary.", None)
    return boundary


async def events(request: Request, limit: int) -> AsyncIterator[Event]:
    """What the form of a request holds, in order; the last event is `FormEnd`.

    Raises `TooLarge` past `limit` bytes, `BadUpload` and `UnsupportedContentType`.
    """
    reader = PartReader()
    try:
        parser = MultipartParser(boundary_of(request), reader.callbacks())  # type: ignore[arg-type]
        async for chunk in request.chunks(limit):
            parser.write(chunk)
            while reader.events:
                yield reader.events.popleft()
        parser.finalize()
    except FormParserError as problem:
        raise BadUpload(f"The form could not be read: {problem}", None) from problem
    while reader.events:
        yield reader.events.popleft()
