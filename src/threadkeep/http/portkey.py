"""The `x-portkey-*` headers: a gateway's way to bring the key, and a trace id for the log.

Portkey's client sends a dummy bearer token beside its own header, so the gateway's header wins
(protocol section 13). The virtual key chooses the provider for what the request starts; the rest is
accepted and has no effect.
"""

from collections.abc import Mapping


def secret_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The API key in `x-portkey-api-key`."""
    value = headers.get(b"x-portkey-api-key")
    return value.decode("latin-1").strip() if value else None


def virtual_key_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The name in `x-portkey-virtual-key`."""
    value = headers.get(b"x-portkey-virtual-key")
    return value.decode("latin-1").strip() or None if value else None


def trace_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The caller's own id for what it is doing, fit for a line of the log."""
    value = headers.get(b"x-portkey-trace-id")
    if not value:
        return None
    return "".join(c if c.isprintable() and c not in ' "=' else "_" for c in value.decode("latin-1"))[:128]
