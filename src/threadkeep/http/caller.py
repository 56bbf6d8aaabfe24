"""Who calls, and in which dialect: read from headers and path."""

import base64
from collections.abc import Mapping

from threadkeep.errors import MissingBeta, NoKey, UnknownBeta
from threadkeep.http import portkey
from threadkeep.wire import openai_v1, openai_v2, rubra
from threadkeep.wire.base import Dialect

Headers = Mapping[bytes, bytes]

VERSIONS: dict[bytes, Dialect] = {
    b"assistants=v2": openai_v2.DIALECT,
    b"assistants=v1": openai_v1.DIALECT,
}
WITHOUT_BETA = frozenset({"files", "models", "uploads"})
"""The first segment of paths that never asked for the header, in any version."""


def secret_of(headers: Headers) -> str:
    """The key that a request brings, in the first of these places that has one: the gateway's header,
    `Authorization` (Bearer, or Basic with the key as password), `api-key`. Raises `NoKey`."""
    secret = portkey.secret_of(headers) or from_authorization(headers.get(b"authorization", b""))
    if not secret:
        secret = headers.get(b"api-key", b"").decode("latin-1").strip()
    if not secret:
        raise NoKey
    return secret


def from_authorization(value: bytes) -> str:
    """The secret in an Authorization header, or ''."""
    if value.startswith(b"Bearer "):
        return value[7:].decode("latin-1").strip()
    scheme, _, rest = value.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode("utf-8", "replace").partition(":")[2]
        except ValueError:
            return ""
    return ""


def beta_of(headers: Headers, required: bool) -> Dialect:
    """The version that `OpenAI-Beta` names; v2 without the header. Raises `MissingBeta`, `UnknownBeta`."""
    value = headers.get(b"openai-beta")
    if value is None or not value.strip():
        if required:
            raise MissingBeta
        return openai_v2.DIALECT
    if dialect := VERSIONS.get(value):
        return dialect
    for part in value.split(b","):
        if dialect := VERSIONS.get(part.strip().lower()):
            return dialect
    raise UnknownBeta(value.decode("latin-1"))


RUBRA = rubra.DIALECT
DEFAULT = openai_v2.DIALECT
DIALECTS = (openai_v2.DIALECT, openai_v1.DIALECT, rubra.DIALECT)
