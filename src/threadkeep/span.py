"""A part of something that is made of bytes."""

from msgspec import Struct


class Span(Struct, frozen=True):
    """Its first and its last byte, both inside the whole, counted from 0."""

    first: int
    last: int
