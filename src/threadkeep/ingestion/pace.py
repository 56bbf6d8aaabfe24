"""How much goes into one transaction: as much as the database does in a certain time, whatever machine it
runs on and whatever else it has to do. Others wait no longer for it then."""

from math import ceil

GROWTH = 1.5
"""It becomes larger by no more than this at a time."""


class Pace:
    """How many `rows` the next transaction should have, from 1 to `most`."""

    def __init__(self, rows: int, most: int) -> None:
        self.rows = rows
        self._most = most

    def took(self, rows: int, seconds: float, aim: float) -> None:
        """The statements of a transaction with so many rows took so long; those of the next should take `aim`
        seconds."""
        fitting = rows * aim / max(seconds, 1e-6)
        between = round((self.rows + fitting) / 2)
        self.rows = max(1, min(between, ceil(GROWTH * self.rows), self._most))
