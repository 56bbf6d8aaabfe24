"""The time, handed in from outside so that tests can set it."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since 1970, with a fraction."""

system_clock: Clock = time.time
