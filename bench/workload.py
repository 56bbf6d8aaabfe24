"""What every server is asked: one message, the same for all, and the sizes of the threads."""

from __future__ import annotations

import json

KEY = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz"
TEXT = (
    "The parcel was promised for Tuesday, the tracking page still says that it waits in the depot. "
    "Could you find out where it is, and whether it will come before the weekend? I am at home from noon."
)
METADATA = {"channel": "web", "locale": "en-GB"}
MESSAGE = json.dumps({"role": "user", "content": TEXT, "metadata": METADATA}).encode()

THREADS = 200
LISTED_THREADS = 50
SHORT_THREAD = 30
LONG_THREAD = 1_000_000

REFERENCE_WRITTEN = [f"thread_written{number}" for number in range(THREADS)]
REFERENCE_LISTED = [f"thread_listed{number}" for number in range(LISTED_THREADS)]
"""The threads of the reference. Threadkeep gives its own ids."""
