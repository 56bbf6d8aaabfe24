"""Projects and keys, and the rules for secrets."""

import hashlib
import secrets

from msgspec import Struct

SECRET_PREFIX = "sk-"
"""Some clients refuse a key that begins with anything else."""


class Project(Struct, frozen=True):
    """The tenant. Every row belongs to one."""

    id: str
    name: str
    created_at: int


class ApiKey(Struct, frozen=True):
    """A key without its secret, which nobody can read back."""

    id: str
    project: str
    name: str
    hint: str
    created_at: int
    revoked_at: int | None


def new_secret() -> str:
    """256 random bits."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is stored. A plain SHA-256 will do: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def hint_of(secret: str) -> str:
    """Enough of a secret to recognise it, too little to use it."""
    return f"{secret[:3]}...{secret[-4:]}" if len(secret) > 15 else "..."
