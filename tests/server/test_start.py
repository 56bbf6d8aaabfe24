"""`threadkeep serve`: what it says, where it listens, how it is refused, how soon it answers."""

import resource
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.server.conftest import Visit
from tests.support.child import Child, command
from threadkeep.cli import main

SECONDS_TO_FIRST_ANSWER = 1.5
IDLE_MIB = 70


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.promise("server.start.says-address-and-key")
def test_the_first_start_says_where_it_is_and_the_key(visit: Visit):
    first, _, key, *_ = visit.child.output.splitlines()
    assert first == f"Threadkeep 0.1.0 serves the Assistants API on {visit.child.address}/v1"
    assert key == f"  API key: {visit.key}"


@pytest.mark.promise("server.start.sample")
def test_the_sample_works_when_pasted(tmp_path):
    with Child(tmp_path) as child:
        sample = child.output[child.output.index("  curl ") : child.output.index("\nStop with")]
        program, address, *options = shlex.split(sample.replace("\\\n", ""))
        pairs = list(zip(options[::2], options[1::2], strict=True))
        headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
        (data,) = [value for option, value in pairs if option == "-d"]
        answer = httpx.post(address, headers=headers, content=data)
    assert (program, answer.status_code, answer.json()["object"]) == ("curl", 200, "thread")


@pytest.mark.promise("server.start.says-address-and-key")
def test_a_second_start_says_no_key_and_takes_the_first_one(visit: Visit):
    with Child(visit.child.directory) as second:
        assert second.key is None
        assert visit.key not in second.output
        answer = httpx.get(f"{second.address}/v1/files", headers={"Authorization": f"Bearer {visit.key}"})
    assert len(answer.json()["data"]) == 1


def slowdown() -> float:
    """How much longer than its processor time a process takes here and now: 1 on a machine with time to
    spare."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio, http.client, uvicorn"], check=True)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return max(1.0, (ended - begun) / processor)


@pytest.mark.promise("server.start.second-within-1.5-s")
def test_a_second_start_answers_within_a_second_and_a_half(visit: Visit, capsys):
    """The best of three, since other processes may want the processor just then."""
    taken: list[float] = []
    while len(taken) < 3 and min(taken, default=9.0) > SECONDS_TO_FIRST_ANSWER:
        begun = time.perf_counter()
        with Child(visit.child.directory) as child:
            answer = httpx.get(f"{child.address}/v1/files", headers={"Authorization": f"Bearer {visit.key}"})
            taken.append((time.perf_counter() - begun) / slowdown())
        assert answer.status_code == 200
    with capsys.disabled():
        print(f"\nsecond start to first answer: {min(taken):.2f} s")
    assert min(taken) <= SECONDS_TO_FIRST_ANSWER


@pytest.mark.promise("server.memory.idle")
def test_an_idle_server_holds_little_memory(visit: Visit, capsys):
    with capsys.disabled():
        print(f"\nidle: {visit.resident_mib:.1f} MiB")
    assert visit.resident_mib <= IDLE_MIB


@pytest.mark.promise("server.bind.loopback")
def test_it_listens_on_loopback_and_nowhere_else(tmp_path):
    with Child(tmp_path) as child:
        assert child.address.startswith("http://127.0.0.1:")
        with pytest.raises(OSError, match=r"refused|assign|unreachable|timed out"):
            socket.create_connection(("127.0.0.2", child.port), timeout=2)


@pytest.mark.promise("server.bind.host-and-port")
@pytest.mark.promise("server.keys.no-anonymous-access")
def test_host_and_port_are_honoured_and_nobody_is_let_in_without_a_key(tmp_path, taken):
    port = str(taken.getsockname()[1])
    taken.close()
    with Child(tmp_path, "--host", "0.0.0.0", "--port", port) as child:
        assert child.address == f"http://0.0.0.0:{port}"
        assert httpx.get(f"http://127.0.0.1:{port}/v1/threads").status_code == 401
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


@pytest.mark.promise("server.bind.host-and-port")
def test_the_environment_names_host_and_port_too(tmp_path, taken):
    port = str(taken.getsockname()[1])
    refused = command(tmp_path, "serve", THREADKEEP_PORT=port, THREADKEEP_HOST="127.0.0.1")
    assert refused.stderr == f"threadkeep: Cannot listen on 127.0.0.1, port {port}: Address already in use.\n"


@pytest.mark.promise("server.start.refusals")
def test_a_port_in_use_is_refused_in_one_sentence(tmp_path, taken):
    port = str(taken.getsockname()[1])
    refused = command(tmp_path, "serve", "--port", port)
    sentence = f"threadkeep: Cannot listen on 127.0.0.1, port {port}: Address already in use.\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", sentence)


UNUSABLE = {
    "a port that is no number": (["--config", "bad.toml"], "port = 'abc'", "port"),
    "a port out of range": (["--port", "70000"], "", "port"),
    "an unknown setting": (["--config", "bad.toml"], "colour = 'red'", "colour"),
    "a file that is no TOML": (["--config", "bad.toml"], "= 1", "bad.toml"),
    "a configuration that is not there": (["--config", "nowhere.toml"], "", "nowhere.toml"),
    "a host that is none": (["--host", "no host"], "", "no host"),
}


@pytest.mark.promise("server.start.refusals")
@pytest.mark.parametrize("name", UNUSABLE)
def test_settings_that_cannot_be_used_are_refused_in_one_sentence(here, capsys, name):
    flags, config, named = UNUSABLE[name]
    (here / "bad.toml").write_text(config)
    assert main(["serve", *flags]) == 1
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith("threadkeep: ")
    assert error.endswith(".\n")
    assert error.count("\n") == 1
    assert named in error


UNOPENABLE = {
    "a database of another kind": (["--database", "mysql://x"], "database_url is 'mysql://x'"),
    "files somewhere else": (["--files", "ftp://x"], "files_url is 'ftp://x'"),
    "no database": (["--database", "sqlite:///text.txt"], "The database text.txt cannot be opened"),
    "a directory": (["--database", "sqlite:///folder"], "The database folder cannot be opened"),
    "no directory for it": (
        ["--database", "sqlite:///text.txt/x.db"],
        "database_url: the directory text.txt",
    ),
    "no directory for files": (["--files", "file:///text.txt/x"], "files_url: the directory text.txt/x"),
}


@pytest.mark.promise("server.start.refusals")
@pytest.mark.parametrize("name", UNOPENABLE)
def test_storage_that_cannot_be_opened_is_refused_in_one_sentence(here, name):
    flags, sentence = UNOPENABLE[name]
    (here / "text.txt").write_text("This is no database. " * 100)
    (here / "folder").mkdir()
    refused = command(here, "serve", "--port", "0", *flags)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"threadkeep: {sentence}")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("library", ["aiohttp", "asyncpg", "onnxruntime", "pypdf"])
def test_what_no_setting_asks_for_is_not_loaded(library: str):
    found = f"import sys, threadkeep.app, threadkeep.serving; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], timeout=60).returncode == 0
