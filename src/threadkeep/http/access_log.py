"""One line a request on standard error, as `key=value` pairs.

Lines are collected for a quarter of a second and written together: a write for each would cost a
twentieth of a request.
"""

import asyncio
import sys
import time

SECONDS = 0.25


class AccessLog:
    """Lines that wait to be written."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(
        self,
        request_id: str,
        method: str,
        path: bytes,
        status: int,
        milliseconds: float,
        project_id: str,
        dialect: str,
        trace: str | None,
    ) -> None:
        """Note one answered request. `path` is the raw path, still percent-encoded."""
        traced = f" trace={trace}" if trace else ""
        self._lines.append(
            f"time={time.time():.3f} event=request request={request_id} project={project_id or '-'} "
            f"dialect={dialect} method={method} path={path.decode('latin-1')} status={status} "
            f"ms={milliseconds:.1f}{traced}\n"
        )
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(SECONDS, self.flush)

    def flush(self) -> None:
        """Write what there is."""
        lines, self._lines = self._lines, []
        if lines:
            sys.stderr.write("".join(lines))
            sys.stderr.flush()
