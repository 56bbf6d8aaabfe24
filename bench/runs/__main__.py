"""`python -m bench.runs`: what streams cost, beside a bare proxy in front of the same upstream.

Upstream and readers share one core, the server under test has the other (where there are two). Prints a
table and the goals, and writes bench/latest-runs.json. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import load
from bench.load import HOST, Job
from bench.report import Goal
from bench.runs.streams import Seen, Streams, percentile, run
from bench.servers import Server, threadkeep
from bench.workload import KEY

HERE = Path(__file__).resolve().parent.parent
RATE = 30
"""Tokens a second of a stream, as a reader of a good model sees them."""
LEVELS = ((1, RATE, 120), (100, RATE, 150), (500, 10, 120))
"""Streams at once, tokens a second and tokens of each."""
SATURATED = (50, 0, 2000)
CREATES = 200
SETTLED = 1.0
"""Seconds for a server to become quiet."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. Delays are ms over the upstream's own sending, `end_ms` from its last token to
    `completed`; `events` counts tokens."""

    name: str
    events: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    end_ms: float | None = None


class House:
    """The servers and the process that reads."""

    def __init__(self, threadkeep: Server, proxy: Server, generator: Executor) -> None:
        self.threadkeep, self.proxy, self.generator = threadkeep, proxy, generator
        body = json.dumps({"model": "echo", "name": "bench", "instructions": "Count."}).encode()
        self.assistant = json.loads(threadkeep.ask("POST", "/v1/assistants", body).body)["id"]

    def requests(self, server: Server, streams: int, rate: float, tokens: int) -> list[bytes]:
        """One request for each stream."""
        model = f"{tokens}-{rate:g}"
        if server is self.proxy:
            messages = [{"role": "user", "content": "Count."}]
            body = {"model": model, "stream": True, "messages": messages}
            path = "/v1/chat/completions"
        else:
            thread = {"messages": [{"role": "user", "content": "Count."}]}
            body = {"assistant_id": self.assistant, "model": model, "stream": True, "thread": thread}
            path = "/v1/threads/runs"
        return [load.request("POST", path, KEY, json.dumps(body).encode())] * streams

    def streams(self, server: Server, streams: int, rate: float, tokens: int) -> tuple[Seen, float]:
        """Read so many streams; what was seen, and the server's CPU seconds."""
        job = Streams(server.port, self.requests(server, streams, rate, tokens))
        before = server.cpu_seconds()
        seen = self.generator.submit(run, job).result()
        return seen, server.cpu_seconds() - before

    def line(self, server: Server, streams: int, rate: float, tokens: int) -> Line:
        """A row of the table."""
        seen, cpu = self.streams(server, streams, rate, tokens)
        if seen.tokens != streams * tokens:
            raise RuntimeError(f"{server.name}: {seen.tokens} tokens came instead of {streams * tokens}")
        pace = f"{rate:g}/s" if rate else "full speed"
        end = percentile(seen.ends, 0.5) if seen.ends else None
        return Line(
            f"{server.name}: {streams} x {pace}",
            seen.tokens / seen.seconds,
            cpu / seen.tokens * 1e6,
            seen.percentile(0.5),
            seen.percentile(0.99),
            end,
        )


def medians(lines: Sequence[Line]) -> Line:
    """The median of each number over the rounds."""

    def middle(name: str) -> float | None:
        values = [value for line in lines if (value := getattr(line, name)) is not None]
        return median(values) if values else None

    events, cpu, p50, p99 = (middle(name) or 0.0 for name in ("events", "cpu_us", "p50_ms", "p99_ms"))
    return Line(lines[0].name, events, cpu, p50, p99, middle("end_ms"))


def lists_beside(house: House, seconds: float) -> load.Result:
    """One unrelated list after the other over two connections."""
    thread = json.loads(house.threadkeep.ask("POST", "/v1/threads", b"{}").body)["id"]
    for _ in range(20):
        house.threadkeep.ask(
            "POST", f"/v1/threads/{thread}/messages", b'{"role":"user","content":"' + b"x" * 200 + b'"}'
        )
    request = load.request("GET", f"/v1/threads/{thread}/messages", KEY)
    return load.run(Job(house.threadkeep.port, [request], connections=2, seconds=seconds))


def beside_streams(house: House, streams: int) -> tuple[float, float, float, float]:
    """p99 of lists alone, beside equal load by others, and beside streams (ms); MiB with these open."""
    server = house.threadkeep
    idle = lists_beside(house, 3.0).percentile(0.99)
    tokens = 120
    job = Streams(server.port, house.requests(server, streams, 10, tokens))
    reading = house.generator.submit(run, job)
    time.sleep(streams * job.apart + 2 * SETTLED)  # until every stream is open
    before, started = server.cpu_seconds(), time.monotonic()
    time.sleep(2 * SETTLED)
    share = (server.cpu_seconds() - before) / (time.monotonic() - started)
    beside = lists_beside(house, 3.0).percentile(0.99)
    open_mib = server.resident_mib()
    reading.result()
    return idle, equally_loaded(house, share), beside, open_mib


def equally_loaded(house: House, share: float) -> float:
    """p99 of lists while other requests keep the server's core as busy as the streams did."""
    thread = json.loads(house.threadkeep.ask("POST", "/v1/threads", b"{}").body)["id"]
    request = load.request("GET", f"/v1/threads/{thread}", KEY)
    stopped = threading.Event()

    def burn() -> None:
        """Short bursts of requests, as many a second as fill the share."""
        while not stopped.is_set():
            before, started = house.threadkeep.cpu_seconds(), time.monotonic()
            load.run(Job(house.threadkeep.port, [request], connections=16, seconds=0.05))
            used = house.threadkeep.cpu_seconds() - before
            rest = used / max(share, 0.05) - (time.monotonic() - started)
            stopped.wait(max(rest, 0))

    burning = threading.Thread(target=burn)
    burning.start()
    try:
        return lists_beside(house, 3.0).percentile(0.99)
    finally:
        stopped.set()
        burning.join()


def creates(house: House) -> tuple[float, float]:
    """p50 and p99, in ms, of creating a thread and a run that is not streamed, one after the other."""
    thread = {"messages": [{"role": "user", "content": "Count."}]}
    body = {"assistant_id": house.assistant, "model": "1-0", "thread": thread}
    request = load.request("POST", "/v1/threads/runs", KEY, json.dumps(body).encode())
    result = load.run(Job(house.threadkeep.port, [request], connections=1, count=CREATES, seconds=30))
    return result.percentile(0.5), result.percentile(0.99)


@contextmanager
def running(folder: Path) -> Iterator[House]:
    """All servers, each on its core where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        upstream = stack.enter_context(Server("upstream", ["bench.runs.upstream"], folder))
        address = f"http://{HOST}:{upstream.port}/v1"
        settings = {
            "THREADKEEP_UPSTREAM_BASE_URL": address,
            "THREADKEEP_UPSTREAM_API_KEY": "none",
        }
        database = f"sqlite:///{folder / 'threadkeep.db'}"
        house = stack.enter_context(threadkeep(folder, database, settings=settings))
        proxy = ["bench.runs.proxy", "--upstream", f"{address}/chat/completions"]
        bare = stack.enter_context(Server("bare proxy", proxy, folder))
        generator = stack.enter_context(load.generator())
        generator.submit(os.getpid).result()
        if len(cores) > 1:
            for server in (house, bare):
                pin(server, cores[1])
            pin(upstream, cores[0])
            os.sched_setaffinity(0, {cores[0]})
            generator.submit(os.sched_setaffinity, 0, {cores[0]}).result()
        yield House(house, bare, generator)


def pin(server: Server, core: int) -> None:
    """Keep all threads of a server on one core."""
    assert server.process is not None
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def table(lines: Sequence[Line]) -> str:
    """The rows as text."""
    head = f"{'':<30}{'tokens/s':>10}{'CPU us/token':>14}{'p50 ms':>9}{'p99 ms':>9}{'end ms':>9}"
    body = [
        f"{one.name:<30}{one.events:>10,.0f}{one.cpu_us:>14.1f}{one.p50_ms:>9.2f}{one.p99_ms:>9.2f}"
        + (f"{one.end_ms:>9.2f}" if one.end_ms is not None else "")
        for one in lines
    ]
    return "\n".join([head, *body])


def measure(folder: Path, rounds: int) -> None:
    """Every level in turn on both servers, then what happens beside streams; tell."""
    with running(folder) as house:
        house.line(house.threadkeep, 20, 0, 20)
        house.line(house.proxy, 20, 0, 20)
        time.sleep(SETTLED)
        idle_mib = house.threadkeep.resident_mib()
        rows: dict[str, list[Line]] = {}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds} ...", flush=True)
            for level in (*LEVELS, SATURATED):
                for server in (house.proxy, house.threadkeep):
                    line = house.line(server, *level)
                    rows.setdefault(line.name, []).append(line)
        lines = [medians(of_level) for of_level in rows.values()]
        queued = creates(house)
        idle, equal, beside, open_mib = beside_streams(house, LEVELS[-1][0])
    print()
    print(table(lines))
    print()
    print(f"create thread and run, answered `queued`: p50 {queued[0]:.2f} ms, p99 {queued[1]:.2f} ms")
    open_mib -= idle_mib
    print(f"memory idle {idle_mib:.0f} MiB; a stream {open_mib / LEVELS[-1][0] * 1024:.0f} KiB")
    print(f"list: p99 idle {idle:.2f} ms, at equal load {equal:.2f} ms, beside 500 streams {beside:.2f} ms")
    print()
    by_name = {line.name: line for line in lines}
    for streams, rate, _ in LEVELS[1:]:
        name = f"{streams} x {rate:g}/s"
        ratio = by_name[f"threadkeep: {name}"].cpu_us / by_name[f"bare proxy: {name}"].cpu_us
        print(Goal(f"CPU a token of the proxy's, {name}", ratio, 2, False, "x"))
    name = f"{SATURATED[0]} x full speed"
    ratio = by_name[f"threadkeep: {name}"].cpu_us / by_name[f"bare proxy: {name}"].cpu_us
    print(Goal(f"CPU a token of the proxy's, {name}", ratio, 2, False, "x"))
    print(Goal("p99 added, 100 streams", by_name[f"threadkeep: 100 x {RATE}/s"].p99_ms, 20, False, " ms"))
    print(Goal("memory of 500 open streams", open_mib, 100, False, " MiB"))
    print(Goal("list beside 500 streams, p99 of equal load's", beside / equal, 3, False, "x"))
    (HERE / "latest-runs.json").write_text(
        json.dumps({"rows": [asdict(line) for line in lines]}, indent=2) + "\n", "utf-8"
    )


def main() -> None:
    """Read the arguments and measure in a temporary folder on the checkout's own disk."""
    parser = argparse.ArgumentParser(prog="python -m bench.runs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of (3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".work-", dir=HERE) as folder:
        measure(Path(folder), options.rounds)


if __name__ == "__main__":
    main()
