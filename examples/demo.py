"""`make demo`: start a server with storage of its own, run examples/quickstart.py against it, stop it.

Ends with the exit status of the quickstart.
"""

import http.client
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

QUICKSTART = Path(__file__).with_name("quickstart.py")
SECONDS_TO_START = 30
SECONDS_TO_STOP = 35
"""A little more than a server takes at most."""


def main() -> int:
    key = f"sk-{secrets.token_urlsafe(32)}"
    with tempfile.TemporaryDirectory() as name, running_server(Path(name), key) as address:
        print(f"A server with its own database and files runs on {address}", flush=True)
        client = {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": key}
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        status = subprocess.run([sys.executable, QUICKSTART], env=os.environ | client | direct).returncode
    print("\nThe server has stopped and its data is removed.")
    return status


@contextmanager
def running_server(directory: Path, key: str) -> Iterator[str]:
    """The address of a server that keeps everything in `directory` and is opened by `key`."""
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            command(directory), env=environment(key), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert server.stdout is not None
        found = re.search(r"http://[^/\s]+", server.stdout.readline())
        if found is None or not ready(found[0]):
            sys.exit(f"The server did not start.\n{(directory / 'log').read_text(errors='replace')}")
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=SECONDS_TO_STOP)


def command(directory: Path) -> list[str]:
    """A server on a free port. The empty file keeps it from reading a threadkeep.toml of yours."""
    config = directory / "threadkeep.toml"
    config.touch()
    database, files = f"sqlite:///{directory / 'threadkeep.db'}", f"file:///{directory / 'files'}"
    storage = ["--database", database, "--files", files, "--config", str(config)]
    return [sys.executable, "-m", "threadkeep", "serve", "--host", "127.0.0.1", "--port", "0", *storage]


def environment(key: str) -> dict[str, str]:
    """This environment, with no setting of a server but the key."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("THREADKEEP_")}
    return plain | {"THREADKEEP_API_KEY": key}


def ready(address: str) -> bool:
    """Whether the server says in time that it can work."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
