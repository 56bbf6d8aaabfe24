"""The same load from `wrk`, where it is installed.

pgbench is written in C and costs next to nothing; a generator in Python would take a good part of the two
cores that are to be compared, and be counted as Threadkeep's slowness.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.load import HOST, Job, LoadFailed, Result

SCRIPT = """
local requests = {{
{requests}
}}
local turn = 0
request = function()
    turn = turn % #requests + 1
    return requests[turn]
end
done = function(summary, latency, _)
    local wrong = summary.errors
    io.write(string.format("answers %d\\nmicroseconds %d\\np50 %f\\np99 %f\\nrefused %d\\nlost %d\\n",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), wrong.status,
        wrong.connect + wrong.read + wrong.write + wrong.timeout))
end
"""
LINE = re.compile(r"^(answers|microseconds|p50|p99|refused|lost) ([\d.]+)$", re.MULTILINE)


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def run(job: Job) -> Result:
    """Carry the job out with `wrk`, for whole seconds. Raises LoadFailed."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "requests.lua")
        script.write_text(SCRIPT.format(requests=",\n".join(map(quoted, job.requests))), "utf-8")
        command = [
            "wrk",
            "-t1",
            f"-c{job.connections}",
            f"-d{max(1, round(job.seconds))}s",
            "-s",
            str(script),
        ]
        said = subprocess.run(
            [*command, f"http://{HOST}:{job.port}"], capture_output=True, text=True, timeout=job.seconds + 60
        )
    found = {name: float(number) for name, number in LINE.findall(said.stdout)}
    if said.returncode or not found.get("answers"):
        raise LoadFailed(said.stdout + said.stderr)
    if found["refused"] or found["lost"]:
        raise LoadFailed(f"{found['refused']:.0f} answers were refused, {found['lost']:.0f} requests lost")
    p50, p99 = found["p50"] / 1000, found["p99"] / 1000
    return Result(int(found["answers"]), found["microseconds"] / 1e6, [spread(p50, p99)])


def spread(p50: float, p99: float) -> list[float]:
    """A hundred latencies with these percentiles, which are all that `wrk` tells."""
    return [p50] * 99 + [p99]


def quoted(request: bytes) -> str:
    """A string of Lua."""
    return '"' + "".join(f"\\{byte:03d}" for byte in request) + '"'
