"""The access log: one line a request, with what an operator asks for and nothing secret."""

import re
import socket

import httpx
import pytest

from tests.server.conftest import WRONG_KEY, Visit
from tests.support.child import Child
from tests.support.waiting import SECONDS

LINE = re.compile(
    r"time=\d+\.\d{3} event=request request=(?P<request>req_[0-9a-f]{32}) project=(?P<project>\S+) "
    r"dialect=(?P<dialect>\S+) method=(?P<method>[A-Z]+) path=(?P<path>\S+) status=(?P<status>\d{3}) "
    r"ms=\d+\.\d(?P<trace> trace=\S+)?"
)


def lines(log: str) -> dict[str, re.Match[str]]:
    """Every line of the access log by its request id; all of them have the form, and there are no others but
    what the start says."""
    found = [LINE.fullmatch(line) for line in log.split("\n") if line and "event=no_embeddings" not in line]
    assert None not in found
    return {one["request"]: one for one in found if one}


@pytest.mark.promise("server.log.line")
def test_every_answer_has_its_line(visit: Visit):
    logged = lines(visit.child.log)
    told = {
        name: (answer.request.method, answer.url.raw_path.split(b"?")[0].decode(), str(answer.status_code))
        for name, answer in visit.answers.items()
    }
    found = {
        name: logged[answer.headers["x-request-id"]].group("method", "path", "status")
        for name, answer in visit.answers.items()
    }
    assert found == told


@pytest.mark.promise("server.log.line")
def test_a_line_names_project_and_dialect(visit: Visit):
    logged = lines(visit.child.log)
    project = visit.answers["v2"].headers["openai-project"]
    found = {
        name: logged[answer.headers["x-request-id"]].group("project", "dialect")
        for name, answer in visit.answers.items()
    }
    assert found == {
        "v2": (project, "openai_v2"),
        "v1": (project, "openai_v1"),
        "rubra": (project, "rubra"),
        "basic": (project, "openai_v2"),
        "gateway": (project, "openai_v2"),
        "file": (project, "openai_v2"),
        "wrong key": ("-", "openai_v2"),
        "no key": ("-", "openai_v2"),
        "unknown": (project, "openai_v2"),
        "health": ("-", "openai_v2"),
    }


@pytest.mark.promise("server.log.trace")
def test_a_gateways_trace_id_is_logged_and_cannot_forge_a_line(visit: Visit):
    line = lines(visit.child.log)[visit.answers["gateway"].headers["x-request-id"]]
    assert line["trace"] == " trace=my_trace__1___2J"


@pytest.mark.promise("server.log.no-secrets")
def test_no_secret_and_no_content_is_logged(visit: Visit):
    for secret in (visit.key, WRONG_KEY, "some bytes", "limit=7"):
        assert secret not in visit.child.log


STRANGE = [b"\xc2\x85\xe2\x80\xa8", b"\x9b2J", b"a\x0cb", b"\x7f", b"%0a%1b%5b2J%e2%80%a8"]
"""Bytes that a terminal or a reader of the log could take for more than text; the last are escaped."""


@pytest.mark.promise("server.log.line")
def test_a_path_cannot_forge_a_line(tmp_path):
    with Child(tmp_path) as child:
        for path in STRANGE:
            with socket.create_connection(("127.0.0.1", child.port), SECONDS) as raw:
                raw.sendall(b"GET /v1/" + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while raw.recv(4096):
                    pass
        child.stop()
    assert child.log.isascii()
    assert [c for c in child.log.replace("\n", "") if c < " " or c == "\x7f"] == []
    (line,) = [line for line in child.log.splitlines() if "event=request" in line]
    assert "path=/v1/%0a%1b%5b2J%e2%80%a8 status=401" in line


def test_the_log_may_be_turned_off(tmp_path):
    (tmp_path / "threadkeep.toml").write_text("access_log = false\n")
    with Child(tmp_path) as child:
        httpx.get(child.address + "/healthz")
        child.stop()
        assert child.told() == []
        assert "event=request" not in child.log
