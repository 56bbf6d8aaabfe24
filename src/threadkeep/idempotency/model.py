"""Idempotency keys: what they stand for, and what is kept under them."""

import hashlib

from msgspec import Struct

from threadkeep.errors import BadIdempotencyKey

KEPT_FOR = 24 * 3600
"""Seconds for which a key keeps its answer."""
LONGEST_KEY = 255


class IdempotencyKey(Struct, frozen=True):
    """A key as a request brings it, and where the request went: method, path and dialect."""

    value: str
    target: str


class Claim(Struct, frozen=True):
    """A project's key, and the SHA-256 of the request that it stands for."""

    project_id: str
    key: str
    request_hash: str


class Answer(Struct, frozen=True):
    """What a request was answered with."""

    status: int
    body: str


def key_in(header: bytes) -> str:
    """The key in a header. Raises `BadIdempotencyKey`."""
    key = header.decode("latin-1").strip()
    if not 1 <= len(key) <= LONGEST_KEY:
        raise BadIdempotencyKey(len(key), LONGEST_KEY)
    return key


def hash_of(target: str, content: bytes) -> str:
    """The SHA-256 by which a request is known again. A target has no line break."""
    return hashlib.sha256(target.encode() + b"\n" + content).hexdigest()
