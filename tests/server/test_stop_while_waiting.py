"""A server that stops keeps nobody waiting: neither streams nor polls that are held."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.child import Child
from tests.support.upstream import Gate, Say, Upstream
from tests.support.waiting import SECONDS

KEY = "sk-key-of-a-listener"
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.promise("streams.stop")
def test_streams_end_and_polls_are_answered_when_the_server_stops(tmp_path: Path) -> None:
    gate = Gate()
    ends: dict[str, Any] = {}
    with Upstream() as upstream, Child(tmp_path, THREADKEEP_API_KEY=KEY, **provider(upstream)) as child:
        upstream.script(Say("Hel", gate, "lo."))
        with httpx.Client(base_url=child.address + "/v1", headers=HEADERS, verify=False) as http:
            listener = threading.Thread(target=lambda: ends.update(stream=streamed(http)))
            listener.start()
            gate.wait()
            thread = http.get("/threads").json()["data"][0]["id"]
            run = http.get(f"/threads/{thread}/runs").json()["data"][0]["id"]
            poll = threading.Thread(
                target=lambda: ends.update(poll=polled(http, f"/threads/{thread}/runs/{run}"))
            )
            poll.start()
            child.stop()
            listener.join(SECONDS)
            poll.join(SECONDS)
    assert ends["stream"].endswith("event: done\ndata: [DONE]\n\n")
    assert "event: error\n" in ends["stream"]
    assert ends["poll"]["status"] == "in_progress"


def provider(upstream: Upstream) -> dict[str, str]:
    return {"THREADKEEP_UPSTREAM_BASE_URL": upstream.url, "THREADKEEP_UPSTREAM_API_KEY": "k"}


def streamed(http: httpx.Client) -> str:
    """All of a stream."""
    assistant = http.post("/assistants", json={"model": "gpt-4o"}).json()["id"]
    thread = {"messages": [{"role": "user", "content": "Hi"}]}
    body = {"assistant_id": assistant, "stream": True, "thread": thread}
    return http.post("/threads/runs", json=body, timeout=SECONDS).text


def polled(http: httpx.Client, run: str) -> Any:
    """The answer to a poll that is held."""
    return http.get(run, headers={"X-Stainless-Poll-Helper": "true"}, timeout=SECONDS).json()
