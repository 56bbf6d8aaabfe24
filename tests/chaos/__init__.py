"""Nothing acknowledged is lost or doubled while processes die: `python -m tests.chaos --rounds 20`."""
