"""`threadkeep` in a process of its own, for what only a process can show: signals, output, a kill."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import threadkeep

SECONDS = 30
ADDRESS = re.compile(r"http://[0-9.]+:\d+")
KEY = re.compile(r"API key: (sk-\S+)")
LAST_LINE = "Stop with Ctrl-C.\n"


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of a server, but with `variables`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("THREADKEEP_")}
    source = str(Path(threadkeep.__file__).parent.parent)
    return {**plain, "PYTHONPATH": source, **variables}


def command(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `threadkeep` with these arguments in a directory, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "threadkeep", *arguments],
        cwd=directory,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


class Child:
    """`with Child(directory) as child:` serves on `child.address` until the block ends or it is stopped.

    The server keeps its data in `directory`/data. `variables` are its environment.
    """

    def __init__(self, directory: Path, *flags: str, **variables: str) -> None:
        self.directory, self._flags, self._variables = directory, flags, variables
        self.output = ""

    def __enter__(self) -> "Child":
        flags = self._flags if "--port" in self._flags else (*self._flags, "--port", "0")
        self._log = (self.directory / "log.txt").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "threadkeep", "serve", *flags],
            cwd=self.directory,
            env=environment(**self._variables),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.output = self._welcome()
        found = ADDRESS.search(self.output)
        assert found, f"the server did not start: {self.log}"
        self.address = found[0]
        return self

    def _welcome(self) -> str:
        assert self.process.stdout
        watchdog = threading.Timer(SECONDS, self.process.kill)
        watchdog.start()
        said = ""
        while not said.endswith(LAST_LINE) and (line := self.process.stdout.readline()):
            said += line
        watchdog.cancel()
        return said

    def told(self) -> list[str]:
        """What the log says beyond requests, and beyond what every start without embeddings says."""
        usual = ("event=request", "event=no_embeddings")
        return [line for line in self.log.splitlines() if not any(one in line for one in usual)]

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout
        self.process.stdout.close()
        self._log.close()

    @property
    def key(self) -> str | None:
        """The key that it printed, if it did."""
        found = KEY.search(self.output)
        return found[1] if found else None

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What every server in this directory has logged so far."""
        return (self.directory / "log.txt").read_text(encoding="utf-8")

    @property
    def database(self) -> Path:
        return self.directory / "data" / "threadkeep.db"

    def kill(self) -> None:
        """End it without a chance to do anything more."""
        self.process.kill()
        self.process.wait(SECONDS)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit status once it has."""
        self.process.send_signal(by)
        return self.process.wait(SECONDS)
