"""Object ids: `prefix` + 24 characters of [0-9A-Za-z], in the order of their making.

Eight characters are the milliseconds since 1970, sixteen hold 90 random bits. Within one
process an id is always greater than the one before it, so that a list ordered by id is in
insertion order and indexes over ids grow at one end. Across processes the order is that of their
clocks; `above` keeps it where it must not depend on them.
"""

import os
import threading
from collections.abc import Callable, Iterator

from threadkeep.clock import Clock

IdMaker = Callable[[str], str]
"""Called with a prefix such as `msg_`, returns a new id."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS = {character: value for value, character in enumerate(ALPHABET)}
PAIRS = [left + right for left in ALPHABET for right in ALPHABET]
RANDOM_BITS = 90
_PAIR, _FOUR, _EIGHT = 62**2, 62**4, 62**8


def eight_characters(number: int) -> str:
    """`number`, below 62 ** 8, in base 62 with leading zeros."""
    high, low = divmod(number, _FOUR)
    return PAIRS[high // _PAIR] + PAIRS[high % _PAIR] + PAIRS[low // _PAIR] + PAIRS[low % _PAIR]


def number(text: str) -> int:
    """The number that is written in base 62."""
    value = 0
    for character in text:
        value = value * len(ALPHABET) + DIGITS[character]
    return value


def in_hexadecimal(id: str) -> str:
    """An id in the form that some kinds have: `prefix` + 32 hexadecimal digits, in the same order.

    Twelve digits are the milliseconds, twenty hold the first 80 of the random bits.
    """
    time, random = number(id[-24:-16]), number(id[-16:])
    return f"{id[:-24]}{time:012x}{random >> (RANDOM_BITS - 80) & (1 << 80) - 1:020x}"


def above(id: str, floor: str) -> str:
    """`id` where it is greater than `floor`, which is of the same kind; else one that is, by a random step
    which `id` gives. For what is in order whether or not its makers' clocks agree."""
    if id > floor:
        return id
    step = 1 + number(id[-16:]) % (1 << 64)
    high, low = divmod(number(floor[-16:]) + step, _EIGHT)
    return floor[:-16] + eight_characters(high) + eight_characters(low)


def random_integers() -> Iterator[int]:
    """Integers of 96 random bits, from the system's generator by the kilobyte."""
    while True:
        pool = os.urandom(12 * 128)
        for start in range(0, len(pool), 12):
            yield int.from_bytes(pool[start : start + 12])


def id_maker(clock: Clock) -> IdMaker:
    """A source of ids for one process, whichever of its threads asks."""
    milliseconds, random, head = 0, 0, ""
    chance = random_integers()
    lock = threading.Lock()

    def new_id(prefix: str) -> str:
        nonlocal milliseconds, random, head
        now = int(clock() * 1000)
        with lock:
            if now > milliseconds:
                milliseconds, head = now, eight_characters(now)
                random = next(chance) >> (96 - RANDOM_BITS)
            else:  # the same millisecond, or a clock set back: a random step up keeps order and secrecy
                random += 1 + (next(chance) >> 32)
            time, (high, low) = head, divmod(random, _EIGHT)
        return prefix + time + eight_characters(high) + eight_characters(low)

    return new_id
