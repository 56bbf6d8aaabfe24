"""A clock that a test sets."""


class SetClock:
    """Seconds since 1970, which stand still until a test moves them."""

    def __init__(self, now: float = 1_800_000_000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
