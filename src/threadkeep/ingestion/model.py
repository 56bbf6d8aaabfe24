"""What goes between the server and the process that reads files."""

from typing import Literal

from msgspec import Struct

from threadkeep.storage.packing import Packed, Packing

Code = Literal["unsupported_file", "invalid_file", "server_error"]


class Failure(Exception):
    """A file that cannot be taken in, with the error that its row is to show. `passes`: whether it may be
    over after a while."""

    def __init__(self, code: Code, message: str, passes: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.passes = code, message, passes


class Task(Struct, frozen=True):
    """A file to be read; its `size` bytes follow. `filename` tells its type, the rest how it is cut and how
    its words are packed."""

    filename: str
    size: int
    max_tokens: int
    overlap_tokens: int
    packing: Packing


class Cut(Struct, frozen=True, tag=True):
    """The next chunks of the file, in their order, and the words of each."""

    texts: list[str]
    words: list[Packed]


class Refused(Struct, frozen=True, tag=True):
    """The file has failed, for now (`passes`) or for good. The process may be given another, unless this was
    its `last`."""

    code: Code
    message: str
    last: bool = False
    passes: bool = False


class Finished(Struct, frozen=True, tag=True):
    """That was all. `skipped` says how many pages could not be read."""

    skipped: int = 0


Answer = Cut | Refused | Finished
LENGTH = 4
"""Bytes, the highest first, before each task and each answer: how long it is."""
LONGEST = 64 * 1024 * 1024
"""No answer is longer. (One chunk of 4,096 tokens may be long: a token may be a line of spaces.)"""


def framed(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH, "big") + content
