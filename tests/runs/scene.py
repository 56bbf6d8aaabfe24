"""A project, an assistant whose model does as it is told, a thread: and what is left of a run there."""

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from tests.support.clock import SetClock
from tests.support.event_order import Named, check, letter_of, of_sse
from tests.support.house import House
from tests.support.plain import plain
from tests.support.upstream import Turn, Upstream, closed_port
from tests.support.waiting import SECONDS, until
from threadkeep.runs import claims
from threadkeep.settings import ProviderSettings

SECRET = "sk-a-secret-of-the-provider-0123456789"
SILENCE = 0.2
"""Seconds without a word after which the models `impatient-...` are given up."""
WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "weather"}}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "time"}}
QUESTION = "Good morning"
HELD_POLL = {"X-Stainless-Poll-Helper": "true"}
_numbers = itertools.count()


SMALL = (4096, 8192, 16384)
"""Tokens that the models `4096-...` and so on can read."""


class WeatherHouse(House):
    """A server whose models are all at one scripted upstream; what their names begin with says how they are
    reached. One retry each, so that no test waits for long."""

    def __init__(self, directory: Path, database: str, upstream: Upstream, **settings: Any) -> None:
        self.upstream = upstream
        usual: dict[str, Any] = {"max_retries": 1, "read_timeout": 20.0}
        providers = {
            "sky": ProviderSettings(base_url=upstream.url, api_key=SECRET, **usual),
            "impatient": ProviderSettings(base_url=upstream.url, **{**usual, "read_timeout": SILENCE}),
            "gone": ProviderSettings(base_url=closed_port(), **usual),
        }
        for tokens in SMALL:
            small = ProviderSettings(base_url=upstream.url, context_tokens=tokens, **usual)
            providers[str(tokens)] = small
        models = {f"{name}-*": name for name in providers}
        self.time = SetClock()
        super().__init__(directory, database, clock=self.time, providers=providers, models=models, **settings)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the engine see that at once rather than within a second."""
        self.time.advance(seconds)
        self.wake()

    def wake(self) -> None:
        async def work(transaction: Any) -> None:
            await transaction.wake(claims.CHANNEL)

        self.call(lambda: self.context.database.write(work))


class Left(Struct, frozen=True):
    """What a run that is over left behind; everything in the order in which it was made."""

    run: dict[str, Any]
    steps: list[tuple[str, str]]
    """Type and status."""
    messages: list[tuple[str, str | None]]
    """Text of each message that the run has written, and why it is incomplete."""

    @property
    def status(self) -> str:
        return str(self.run["status"])

    @property
    def tokens(self) -> tuple[int, int]:
        return self.run["usage"]["prompt_tokens"], self.run["usage"]["completion_tokens"]


class Stream:
    """The events of a run as they come."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        self._text = response.iter_text()
        self._unread = ""
        self.events: list[Named] = []
        """Those that were read."""

    @property
    def run_id(self) -> str:
        return str(next(data for name, data in self.events if re.fullmatch(r"thread\.run\.\w+", name))["id"])

    def _read(self) -> bool:
        """Take up what comes next; whether there is more."""
        text = next(self._text, "")
        whole, _, self._unread = (self._unread + text).rpartition("\n\n")
        self.events += of_sse(whole)
        return bool(text)

    def until(self, letter: str) -> "Stream":
        """Read up to an event of that kind (`event_order.LETTERS`), or some events further."""
        while not any(letter_of(*event) == letter for event in self.events):
            assert self._read(), f"the stream ended without {letter}: {self.events}"
        return self

    def rest(self, *, may_break_off: bool = False) -> str:
        """Read to the end; the order of all events, with the pieces of one text as one."""
        while self._read():
            pass
        return re.sub("([dD])+", r"\1", check(self.events, may_break_off=may_break_off))


class Scene:
    """A thread with one message in a project of its own, and an assistant with a model of its own."""

    def __init__(self, house: Any, upstream: Upstream, kind: str = "sky", key: str = "") -> None:
        number = next(_numbers)
        self.house, self.upstream, self.model = house, upstream, f"{kind}-{number}"
        self.key = key or house.new_key(f"scene {number}")
        self.http = client_of(house, self.key)
        self.assistant = self._make("/v1/assistants", {"model": self.model, "tools": [WEATHER, TIME]})
        self.thread = self._make("/v1/threads", {"messages": [{"role": "user", "content": QUESTION}]})
        self.runs = f"/v1/threads/{self.thread}/runs"

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def seen_at(self, house: Any) -> "Scene":
        """The same scene at another server on the same database."""
        other = copy(self)
        other.house, other.http = house, client_of(house, self.key)
        return other

    def _make(self, path: str, body: Any) -> str:
        return str(self.post(path, body)["id"])

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer = self.http.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # -------------------------------------------------------------- the model

    def says(self, *turns: Turn) -> None:
        self.upstream.script(*turns, model=self.model)

    @property
    def asked(self) -> list[Any]:
        """The body of each request for the model."""
        return [body for body in self.upstream.bodies if body["model"] == self.model]

    # -------------------------------------------------------------- runs

    def start(self, **given: Any) -> str:
        """A new run."""
        return self._make(self.runs, {"assistant_id": self.assistant, **given})

    @contextmanager
    def watched(self, **given: Any) -> Iterator[Stream]:
        """A new run's events, while the block lasts."""
        body = {"assistant_id": self.assistant, "stream": True, **given}
        with self.http.stream("POST", self.runs, json=body) as response:
            yield Stream(response)

    @contextmanager
    def answered(self, run: str, *outputs: str) -> Iterator[Stream]:
        """The events after these outputs were handed in, one for each call that the run waits for."""
        body = {"tool_outputs": self.outputs(run, *outputs), "stream": True}
        path = f"{self.runs}/{run}/submit_tool_outputs"
        with self.http.stream("POST", path, json=body) as response:
            yield Stream(response)

    def outputs(self, run: str, *outputs: str) -> list[dict[str, str]]:
        calls = self.calls(run)
        return [
            {"tool_call_id": call["id"], "output": output}
            for call, output in zip(calls, outputs, strict=True)
        ]

    def calls(self, run: str) -> list[dict[str, Any]]:
        """The calls that a run waits for."""
        action = self.get(f"{self.runs}/{run}")["required_action"]
        return list(action["submit_tool_outputs"]["tool_calls"])

    def whole(self, **given: Any) -> tuple[str, str]:
        """Watch a run to the end of its stream; its id, and the order of its events."""
        with self.watched(**given) as stream:
            order = stream.rest()
        return stream.run_id, order

    def cancel(self, run: str) -> None:
        assert self.post(f"{self.runs}/{run}/cancel")["status"] == "cancelling"

    def now(self, run: str) -> str:
        """The run's status."""
        return str(self.get(f"{self.runs}/{run}")["status"])

    def reaches(self, run: str, *statuses: str) -> str:
        """Wait for a status, as poll helpers do."""
        until(lambda: self.get(f"{self.runs}/{run}", HELD_POLL)["status"] in statuses)
        return self.now(run)

    def left(self, run: str) -> Left:
        """What a run left, once it is over: among others, a thread that is free."""
        self.reaches(run, "completed", "incomplete", "failed", "cancelled", "expired")
        found = self.get(f"{self.runs}/{run}")
        assert found["usage"] is not None
        assert (found["required_action"], found["expires_at"]) == (None, None)
        assert (found["last_error"] is None) == (found["status"] != "failed")
        steps = self.get(f"{self.runs}/{run}/steps?order=asc")["data"]
        assert all(step["usage"] is not None and step["expires_at"] is None for step in steps)
        messages = self.get(f"/v1/threads/{self.thread}/messages?order=asc&run_id={run}")["data"]
        made = [one["step_details"]["message_creation"]["message_id"] for one in steps if is_message(one)]
        assert made == [one["id"] for one in messages]
        self.post(f"/v1/threads/{self.thread}/messages", {"role": "user", "content": "The thread is free."})
        return Left(found, [(one["type"], one["status"]) for one in steps], [said(one) for one in messages])


def client_of(house: Any, key: str) -> httpx.Client:
    """Plain HTTP to a server, which may be silent for longer than clients usually bear."""
    http = plain(house, key)
    http.timeout = httpx.Timeout(SECONDS)
    return http


def is_message(step: dict[str, Any]) -> bool:
    return bool(step["type"] == "message_creation")


def said(message: dict[str, Any]) -> tuple[str, str | None]:
    assert (message["status"] == "incomplete") == (message["incomplete_details"] is not None)
    parts = [part.get("refusal") or part["text"]["value"] for part in message["content"]]
    return "".join(parts), (message["incomplete_details"] or {}).get("reason")
