"""Virtual keys, and how their secrets are kept from whoever reads the database."""

import base64
import binascii
import os
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a name looks like; it travels in a header."""
SHORTEST_KEY = 32
"""Characters of an encryption key that nobody can guess."""
PURPOSE = b"threadkeep virtual keys"
NONCE = 12
FORM = "1:"
"""How a sealed secret begins: so that another form can come after this one."""


class VirtualKey(Struct, frozen=True):
    """A virtual key without its secret. `place` is a provider's name in the settings, or a base URL."""

    id: str
    name: str
    place: str
    created_at: int


class SealedKey(Struct, frozen=True):
    """A virtual key with its secret, encrypted."""

    key: VirtualKey
    sealed: str


class CannotOpen(Exception):
    """The encryption key is not the one that the secret was sealed with, or the row was tampered with."""


def seal(secret: str, key: VirtualKey, encryption_key: str) -> str:
    """A secret, encrypted with AES-256-GCM. It opens for the same id and place only, so that nobody who can
    write to the database has it sent elsewhere."""
    nonce = os.urandom(NONCE)
    data = cipher(encryption_key).encrypt(nonce, secret.encode(), bound_to(key))
    return FORM + base64.b64encode(nonce + data).decode()


def opened(sealed: SealedKey, encryption_key: str) -> str:
    """The secret. Raises `CannotOpen`."""
    from cryptography.exceptions import InvalidTag

    try:
        data = base64.b64decode(sealed.sealed.removeprefix(FORM), validate=True)
        nonce, data = data[:NONCE], data[NONCE:]
        return bytes(cipher(encryption_key).decrypt(nonce, data, bound_to(sealed.key))).decode()
    except (InvalidTag, binascii.Error, ValueError) as problem:
        raise CannotOpen(sealed.key.name) from problem


def cipher(encryption_key: str) -> "AESGCM":
    """What encrypts with a key that is derived from the setting. A fast derivation will do: the setting is
    random, not a password."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # not loaded without need
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE)
    return AESGCM(derive.derive(encryption_key.encode()))


def bound_to(key: VirtualKey) -> bytes:
    return f"{key.id}\n{key.place}".encode()
