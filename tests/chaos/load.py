"""The load: writers that send every message until it is acknowledged, and a follower that reads along."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

KEY = "sk-key-of-the-chaos-test"
HEADERS = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}
SECONDS_FOR_AN_ANSWER = 30.0
SECONDS_TO_BACK_OFF = 0.05
ATTEMPTS = 1000
"""For one request; far more than any outage lasts."""
SHARED = "shared"


@dataclass
class Sent:
    """A message that was acknowledged: where, as what, and between which moments."""

    thread: str
    id: str
    sent: float
    """Before its first attempt."""
    acknowledged: float


@dataclass
class Counts:
    """What happened."""

    acknowledged: int = 0
    replayed: int = 0
    """Acknowledged by a later attempt, with the answer that the first one was given."""
    failures: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated: by status, or by what befell the connection."""
    kills: int = 0
    restarts: int = 0
    crashes: int = 0
    """Of PostgreSQL, stopped in immediate mode."""
    stored: int = 0
    doubled: int = 0

    def lines(self) -> list[str]:
        retries = sum(self.failures.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        return [
            f"acknowledged messages   {self.acknowledged}, {self.replayed} of them by a repeated answer",
            f"stored messages         {self.stored}, {self.doubled} of them doubled",
            f"retries                 {retries} ({kinds or 'none'})",
            f"503                     {self.failures['503']}",
            f"processes killed -9     {self.kills}, restarted {self.restarts}",
            f"PostgreSQL crashes      {self.crashes}",
        ]


class Ledger:
    """What the servers have promised, and where they are to be found."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.threads: dict[str, str] = {}
        """Ids by name: each writer's own thread, and the shared one."""
        self.messages: dict[str, Sent] = {}
        """By text."""
        self.counts = Counts()
        self.over = asyncio.Event()
        """Set when nothing more is to be written."""
        self.quiet = asyncio.Event()
        """Set when nothing more is being written."""
        self._changed = asyncio.Condition()

    async def note(self, text: str, sent: Sent, replayed: bool) -> None:
        self.messages[text] = sent
        self.counts.acknowledged += 1
        self.counts.replayed += replayed
        await self._tell()

    async def note_failure(self, kind: str) -> None:
        self.counts.failures[kind] += 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def more_acknowledged(self, messages: int) -> None:
        """Wait for so many more of them."""
        goal = self.counts.acknowledged + messages
        async with self._changed:
            await self._changed.wait_for(lambda: self.counts.acknowledged >= goal)

    async def news(self, acknowledged: int) -> None:
        """Wait until there are more than so many, or will be no more."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.counts.acknowledged > acknowledged or self.quiet.is_set()
            )

    async def be_quiet(self) -> None:
        self.quiet.set()
        await self._tell()

    async def more_failures(self, attempts: int) -> None:
        """Wait for so many more of them."""
        goal = sum(self.counts.failures.values()) + attempts
        async with self._changed:
            await self._changed.wait_for(lambda: sum(self.counts.failures.values()) >= goal)


class Client:
    """Asks one process after the other until one answers."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger, self._turn = ledger, number
        self._http = httpx.AsyncClient(headers=HEADERS, timeout=SECONDS_FOR_AN_ANSWER, verify=False)

    async def ask(self, method: str, path: str, key: str = "", json: Any = None) -> httpx.Response:
        """The first answer that is no failure. Anything but a 200 then is a defect."""
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(ATTEMPTS):
            address = self._ledger.addresses[self._turn % len(self._ledger.addresses)]
            try:
                answer = await self._http.request(method, address + path, headers=headers, json=json)
                if answer.status_code == 200:
                    return answer
                assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
                await self._ledger.note_failure(str(answer.status_code))
            except httpx.TransportError as problem:
                await self._ledger.note_failure(type(problem).__name__)
            self._turn += 1
            await asyncio.sleep(SECONDS_TO_BACK_OFF)
        raise AssertionError(f"{method} {path} was never answered")

    async def close(self) -> None:
        await self._http.aclose()


async def write(ledger: Ledger, name: str, number: int) -> None:
    """Append numbered messages, in turn to a thread of one's own and to the shared one, until it is over."""
    client, count = Client(ledger, number), 0
    while not ledger.over.is_set():
        count += 1
        thread = ledger.threads[(name, SHARED)[count % 2]]
        text = f"{name} {count}"
        sent = time.monotonic()
        body = {"role": "user", "content": text}
        answer = await client.ask("POST", f"/v1/threads/{thread}/messages", f"key of {text}", body)
        acknowledged = Sent(thread, answer.json()["id"], sent, time.monotonic())
        await ledger.note(text, acknowledged, "idempotent-replayed" in answer.headers)
    await client.close()


async def follow(ledger: Ledger) -> list[str]:
    """The ids of the shared thread, read forward page by page while it is written to."""
    client, seen, complete = Client(ledger, 0), list[str](), False
    while not complete:
        quiet, acknowledged = ledger.quiet.is_set(), ledger.counts.acknowledged
        after = f"&after={seen[-1]}" if seen else ""
        path = f"/v1/threads/{ledger.threads[SHARED]}/messages?order=asc&limit=20{after}"
        page = (await client.ask("GET", path)).json()
        seen += [message["id"] for message in page["data"]]
        complete = quiet and not page["has_more"]
        if not page["has_more"]:
            await ledger.news(acknowledged)
    await client.close()
    return seen
