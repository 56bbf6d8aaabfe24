"""What a dialect is: a table of one wire form. `openai_v2`, `openai_v1` and `rubra` fill it in.

The domain speaks OpenAI v2. A dialect says which operations it has, how their bodies read, how
objects look, and how each error is put.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from math import isinf
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.assistants.model import AssistantFile, StoredAssistant
from threadkeep.engine.events import Event
from threadkeep.errors import Invalid, MalformedJSON, ThreadkeepError
from threadkeep.files.model import File
from threadkeep.messages.model import MessageFile
from threadkeep.paging import Page
from threadkeep.runs.model import Run, RunStep
from threadkeep.search.model import SearchResults
from threadkeep.threads.model import Thread
from threadkeep.uploads.model import Upload, UploadPart
from threadkeep.vector_stores.model import (
    FileBatch,
    FileContent,
    FileContents,
    VectorStore,
    VectorStoreFile,
)
from threadkeep.wire.check import problems

encode = msgspec.json.Encoder().encode


def text_of(value: Any) -> str:
    """Compact JSON text."""
    return encode(value).decode()


class Body:
    """One kind of request body: the Struct that describes it and the step from it to a command."""

    def __init__(self, shape: type[Struct], command: Callable[[Any], Any]) -> None:
        self.shape = shape
        self._decode = msgspec.json.Decoder(shape).decode
        self._command = command

    def parse(self, body: bytes) -> Any:
        """The command in a body; no body is an empty object. Raises `Invalid` or `MalformedJSON`."""
        body = body or b"{}"
        try:
            shaped = self._decode(body)
        except (ValueError, RecursionError):
            shaped = self.reread(body)
        return self._command(shaped)

    def reread(self, body: bytes) -> Any:
        """What a body means that did not decode. It has a name twice, of which the last counts, or else
        this raises `Invalid`, with all that is wrong, or `MalformedJSON`."""
        try:
            value = json_in(body)
            if found := problems(self.shape, value):
                raise Invalid(*found)
            return msgspec.convert(value, self.shape)
        except RecursionError:
            raise MalformedJSON("it is nested too deeply") from None


def json_in(body: bytes) -> Any:
    """The value in a body. Raises `MalformedJSON`."""
    with contextlib.suppress(ValueError, RecursionError):
        return msgspec.json.decode(body)
    # Python's reader is slower, but tells where it stopped, and takes what `problems` has words for.
    try:
        return json.loads(str(body, "utf-8"), parse_constant=not_json, parse_float=finite)
    except json.JSONDecodeError as cause:
        raise MalformedJSON(str(cause)) from None
    except UnicodeDecodeError as cause:
        raise MalformedJSON(f"byte {cause.start} is not UTF-8") from None
    except ValueError:
        raise MalformedJSON("a number in it is too large to be read") from None


def not_json(name: str) -> None:
    """Python's reader takes NaN and Infinity, which JSON does not have."""
    raise MalformedJSON(f"{name} is not JSON")


def finite(digits: str) -> float:
    """A number, unless it is too large to be one."""
    number = float(digits)
    if isinf(number):
        raise ValueError
    return number


class ErrorReply(Struct, frozen=True):
    """An error on the wire: HTTP status, JSON body, and headers beyond the usual ones."""

    status: int
    body: Mapping[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Dialect(Struct, frozen=True, kw_only=True):
    """One wire form."""

    name: str
    operations: frozenset[str]
    """The names of the operations that exist in this form, as in `http.routes`."""
    bodies: Mapping[str, Body]
    id_prefixes: Mapping[str, str]
    """Path parameters whose form is checked before anything is looked up."""
    assistant: Callable[[StoredAssistant], str]
    assistant_file: Callable[[AssistantFile], str]
    message: Callable[[str], str]
    """From a stored body to JSON text; likewise the others from objects."""
    messages_change_with: str | None = None
    """Stored bodies without this text are served as they are; None where none is."""
    thread: Callable[[Thread], str]
    file: Callable[[File], str]
    message_file: Callable[[MessageFile], str]
    run: Callable[[Run], str]
    step: Callable[[RunStep], str]
    step_with_content: Callable[[RunStep], str]
    """With what a file search found, which `include[]` asks for."""
    events: Callable[[Sequence[Event]], bytes]
    """What happened in a run, as server-sent events (`wire.sse`)."""
    events_with_content: Callable[[Sequence[Event]], bytes]
    """Likewise with what a file search found."""
    errors: Mapping[type[ThreadkeepError], Callable[[Any], ErrorReply]]
    answers: Mapping[str, Any]
    """The Struct that each operation answers with (`bytes` where it is a file's content), and below the one
    of each error status; both only describe."""
    error_shapes: Mapping[int, type[Struct]]

    def deleted(self, object: str, id: str) -> str:
        """The answer to a deletion."""
        return text_of({"id": id, "object": f"{object}.deleted", "deleted": True})

    def file_deleted(self, id: str) -> str:
        """The Files API's answer to a deletion, which has a form of its own."""
        return text_of({"object": "file", "deleted": True, "id": id})

    def upload(self, upload: Upload) -> str:
        """An upload, whose form only v2 has."""
        return text_of(upload)

    def upload_part(self, part: UploadPart) -> str:
        """A part of one."""
        return text_of(part)

    def models(self, models: Sequence[Mapping[str, Any]]) -> str:
        """The list of models, which has no pages."""
        return text_of({"object": "list", "data": models})

    def model(self, model: Mapping[str, Any]) -> str:
        """One model."""
        return text_of(model)

    def vector_store(self, store: VectorStore) -> str:
        """A vector store; like what belongs to it, it has one form."""
        return text_of(store)

    def vector_store_file(self, file: VectorStoreFile) -> str:
        """A file in a vector store."""
        return text_of(file)

    def vector_store_file_batch(self, batch: FileBatch) -> str:
        """Files that were put into a vector store together."""
        return text_of(batch)

    async def vector_store_file_content(
        self, pieces: AsyncIterator[Sequence[str]]
    ) -> AsyncGenerator[bytes, None]:
        """A file's text, as it is searched: bit by bit, since it may be too long to hold."""
        before, after = encode(FileContents(data=[])).split(b"[]")
        yield before + b"["
        comma = b""
        async for texts in pieces:
            yield comma + encode([FileContent("text", text) for text in texts])[1:-1]
            comma = b","
        yield b"]" + after

    def search_results(self, results: SearchResults) -> str:
        """What a search in a vector store has found."""
        return text_of(results)

    def page(self, page: Page[Any], render: Callable[[Any], str]) -> str:
        """A list."""
        ends = f'"first_id":{quoted(page.first_id)},"last_id":{quoted(page.last_id)}'
        more = "true" if page.has_more else "false"
        items = [*map(render, page.items)] or [""]
        items[0] = '{"object":"list","data":[' + items[0]
        items[-1] += f'],{ends},"has_more":{more}}}'
        return ",".join(items)

    def messages(self, page: Page[str]) -> str:
        """A list of messages."""
        if self.messages_change_with is not None:  # one look at all of them costs less than one at each
            text = self.page(page, str)
            if self.messages_change_with not in text:
                return text
        return self.page(page, self.message)

    def error(self, problem: ThreadkeepError) -> ErrorReply:
        """What to answer when `problem` was raised."""
        for kind in type(problem).__mro__:
            if reply := self.errors.get(kind):
                return reply(problem)
        raise LookupError(f"{self.name} has no words for {type(problem).__name__}")


def quoted(id: str | None) -> str:
    """An id as JSON; ids need no escapes."""
    return "null" if id is None else f'"{id}"'
