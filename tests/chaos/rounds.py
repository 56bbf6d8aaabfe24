"""Three processes and a PostgreSQL, broken round by round. Counts decide when, not clocks."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

from tests.chaos.load import KEY, SHARED, Client, Counts, Ledger, follow, write
from tests.chaos.verdict import problems
from tests.support.child import Child
from tests.support.postgres import Postgres

PROCESSES, WRITERS = 3, 16
DATABASE = "chaos"
MOST_MESSAGES = 100
"""Acknowledged between two blows, at most."""
FAILURES = 8
"""Seen by writers before PostgreSQL comes back."""
SECONDS_A_ROUND, SECONDS_AROUND = 30, 60


class Cluster:
    """The processes, and the PostgreSQL that they share."""

    def __init__(self, directory: Path, postgres: Postgres, stack: ExitStack) -> None:
        self.postgres, self._stack = postgres, stack
        self.ledger = Ledger()
        self.ledger.addresses = [""] * PROCESSES
        self._children: dict[int, Child] = {}
        self._directories = [directory / str(number) for number in range(PROCESSES)]
        self._variables = {
            "THREADKEEP_API_KEY": KEY,
            "THREADKEEP_DATABASE_URL": postgres.empty(DATABASE),
            "THREADKEEP_FILES_URL": f"file:///{directory / 'files'}",
        }
        for one in self._directories:
            one.mkdir()

    async def start(self, *numbers: int) -> None:
        """Start these processes, all at the same time."""
        await asyncio.gather(*(asyncio.to_thread(self._start, number) for number in numbers))

    def _start(self, number: int) -> None:
        child = Child(self._directories[number], **self._variables)
        self._children[number] = child.__enter__()
        self._stack.push(child)
        self.ledger.addresses[number] = child.address

    async def restart(self, *numbers: int) -> None:
        await self.start(*numbers)
        self.ledger.counts.restarts += len(numbers)

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            self._children[number].kill()
            self.ledger.counts.kills += 1

    async def crash(self) -> None:
        """Stop PostgreSQL as a crash would."""
        await asyncio.to_thread(self.postgres.stop, "immediate")
        self.ledger.counts.crashes += 1

    async def recover(self) -> None:
        await asyncio.to_thread(self.postgres.start)


async def lose_a_process(cluster: Cluster, choose: random.Random) -> None:
    victim = choose.randrange(PROCESSES)
    cluster.kill(victim)
    await cluster.ledger.more_acknowledged(choose.randint(1, MOST_MESSAGES))
    await cluster.restart(victim)


async def lose_the_database(cluster: Cluster, choose: random.Random) -> None:
    await cluster.crash()
    await cluster.ledger.more_failures(FAILURES)
    await cluster.recover()


async def lose_nearly_everything(cluster: Cluster, choose: random.Random) -> None:
    victims = choose.sample(range(PROCESSES), PROCESSES - 1)
    cluster.kill(*victims)
    await cluster.crash()
    await cluster.ledger.more_failures(FAILURES)
    await cluster.recover()
    await cluster.restart(*victims)


BLOWS = (lose_the_database, lose_a_process, lose_nearly_everything)


@asynccontextmanager
async def writing(ledger: Ledger) -> AsyncIterator[list[str]]:
    """Sixteen writers and a follower at work; afterwards the list holds what the follower saw."""
    seen: list[str] = []
    async with asyncio.TaskGroup() as readers:
        follower = readers.create_task(follow(ledger))
        async with asyncio.TaskGroup() as writers:
            for number in range(WRITERS):
                writers.create_task(write(ledger, f"writer-{number}", number))
            yield seen
            ledger.over.set()
        await ledger.be_quiet()
    seen += follower.result()


async def make_threads(ledger: Ledger) -> None:
    client = Client(ledger, 0)
    for name in [SHARED, *(f"writer-{number}" for number in range(WRITERS))]:
        answer = await client.ask("POST", "/v1/threads", f"key of thread {name}", {})
        ledger.threads[name] = answer.json()["id"]
    await client.close()


async def play(cluster: Cluster, rounds: int, seed: int) -> list[str]:
    """Everything, from the first start to the verdict: what is wrong."""
    choose, ledger = random.Random(seed), cluster.ledger
    async with asyncio.timeout(rounds * SECONDS_A_ROUND + SECONDS_AROUND):
        await cluster.start(*range(PROCESSES))  # on an empty database: they migrate it together
        await make_threads(ledger)
        async with writing(ledger) as followed:
            for number in range(rounds):
                await ledger.more_acknowledged(choose.randint(1, MOST_MESSAGES))
                await BLOWS[number % len(BLOWS)](cluster, choose)
            await ledger.more_acknowledged(MOST_MESSAGES)
        rows = await asyncio.to_thread(cluster.postgres.execute, POSITIONS, DATABASE)
        return await problems(ledger, followed, rows)


POSITIONS = "SELECT thread_id, position, id FROM messages ORDER BY thread_id, position"


def run(
    directory: Path, rounds: int, seed: int, postgres: Callable[[], Postgres] = Postgres
) -> tuple[Counts, list[str]]:
    """The counts, and what is wrong, after so many rounds."""
    with closing(postgres()) as server, ExitStack() as stack:
        cluster = Cluster(directory, server, stack)
        wrong = asyncio.run(play(cluster, rounds, seed))
        return cluster.ledger.counts, wrong
