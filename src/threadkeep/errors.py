"""What can go wrong, in the domain's own words.

No HTTP numbers and no wire texts: each dialect has its table for those (`wire`).
"""

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One broken rule of a request.

    `path` leads to the value (`("content", 0, "type")`), `kind` names the rule (see `wire.check`),
    `actual` is the offending value or its size, `limit` the bound that it breaks.
    """

    path: tuple[str | int, ...]
    kind: str
    expected: str = ""
    actual: object = None
    limit: int = 0
    choices: tuple[str, ...] = ()
    where: str = "body"


class ThreadkeepError(Exception):
    """Anything that a caller is told about."""


class Invalid(ThreadkeepError):
    """A request breaks rules; `problems` has at least one."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems)
        self.problems = problems


class MalformedJSON(ThreadkeepError):
    """The body is not JSON; `detail` says where."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnsupportedContentType(ThreadkeepError):
    """The body comes under a media type that this operation does not read."""

    def __init__(self, content_type: str, expected: str) -> None:
        super().__init__(content_type)
        self.content_type, self.expected = content_type, expected


class TooLarge(ThreadkeepError):
    """A body of more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class NotFound(ThreadkeepError):
    """No such object in the caller's project, whether it never was, is gone, or is another's."""

    def __init__(self, noun: str, id: str) -> None:
        super().__init__(noun, id)
        self.noun, self.id = noun, id


class NoSuchFile(NotFound):
    """The Files API's own way of not finding a file."""

    def __init__(self, id: str) -> None:
        super().__init__("file", id)


class NoSuchModel(NotFound):
    """No provider says that it has a model of this name."""

    def __init__(self, id: str) -> None:
        super().__init__("model", id)


class ModelNotDeletable(ThreadkeepError):
    """A model can only be deleted where it is, by who has made it: providers keep theirs."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class NoSuchStoreFile(NotFound):
    """A vector store has no such file in it."""

    def __init__(self, id: str, store_id: str) -> None:
        super().__init__("file", id)
        self.store_id = store_id


class VectorStoreExpired(ThreadkeepError):
    """A vector store that was not used for longer than it is kept: it takes no files and finds nothing."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class WrongPrefix(ThreadkeepError):
    """An id in the path that cannot name an object of that kind."""

    def __init__(self, param: str, id: str, prefix: str) -> None:
        super().__init__(param, id)
        self.param, self.id, self.prefix = param, id, prefix


class RunActive(ThreadkeepError):
    """A thread takes no messages while a run of it is not over."""

    def __init__(self, thread_id: str, run_id: str) -> None:
        super().__init__(thread_id, run_id)
        self.thread_id, self.run_id = thread_id, run_id


class ThreadHasActiveRun(ThreadkeepError):
    """A thread has one run at a time, and this one is not over."""

    def __init__(self, thread_id: str, run_id: str) -> None:
        super().__init__(thread_id, run_id)
        self.thread_id, self.run_id = thread_id, run_id


class NothingToRun(ThreadkeepError):
    """Neither the thread nor the instructions say anything that a model could answer."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id)
        self.thread_id = thread_id


class RunNotModifiable(ThreadkeepError):
    """A run is not changed by its client while it is worked."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class RunNotCancellable(ThreadkeepError):
    """A run that is over cannot be cancelled."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class NoOutputsExpected(ThreadkeepError):
    """Tool outputs for a run that does not wait for any."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class WrongOutputs(ThreadkeepError):
    """Tool outputs must be for each of the `expected` calls, once, and for no other."""

    def __init__(self, expected: tuple[str, ...], given: tuple[str, ...]) -> None:
        super().__init__(expected, given)
        self.expected, self.given = expected, given


class BadUpload(ThreadkeepError):
    """An upload that the Files API refuses; `param` names the form field."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.message, self.param = message, param


class UploadNotPending(ThreadkeepError):
    """An upload that is over takes no more parts, and is neither completed nor cancelled again."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class WrongCompletion(ThreadkeepError):
    """An upload cannot be completed as it was asked for, but otherwise; `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.message, self.param = message, param


class NotDownloadable(ThreadkeepError):
    """A file whose purpose keeps its content on the server."""

    def __init__(self, purpose: str) -> None:
        super().__init__(purpose)
        self.purpose = purpose


class BadRange(ThreadkeepError):
    """A part is asked for that lies outside the `size` bytes there are."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class BadIdempotencyKey(ThreadkeepError):
    """An Idempotency-Key of no character, or of more than `limit`."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(length, limit)
        self.length, self.limit = length, limit


class IdempotencyKeyReused(ThreadkeepError):
    """An Idempotency-Key under which another request has taken effect."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class NoKey(ThreadkeepError):
    """A request without a key."""


class BadKey(ThreadkeepError):
    """A request with a key that opens nothing; `hint` shows only its ends."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class UnknownVirtualKey(ThreadkeepError):
    """A request with a virtual key that the server does not have, while it has others."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class MissingBeta(ThreadkeepError):
    """No OpenAI-Beta header, on a server that demands one."""


class UnknownBeta(ThreadkeepError):
    """An OpenAI-Beta header that names no version of the Assistants API."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class UnknownRoute(ThreadkeepError):
    """No operation has this path."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method, path)
        self.method, self.path = method, path


class WrongMethod(ThreadkeepError):
    """The path exists, for other methods."""

    def __init__(self, method: str, path: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method, path)
        self.method, self.path, self.allowed = method, path, allowed


FAILING = "failing"


class Unavailable(ThreadkeepError):
    """The database cannot be used just now; the request may be sent again.

    `reason` is one word of those in `storage.health`; what the text says has no names in it.
    """

    def __init__(self, detail: str, reason: str = FAILING) -> None:
        super().__init__(detail)
        self.reason = reason


class FilesUnavailable(ThreadkeepError):
    """The storage of files' bytes cannot be used just now; the request may be sent again."""


class InternalError(ThreadkeepError):
    """A fault of the server's own; the log has it under `request_id`."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id
