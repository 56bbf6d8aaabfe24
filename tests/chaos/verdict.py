"""What must hold afterwards."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.chaos.load import SHARED, Client, Ledger, Sent

Row = tuple[str, int, str]
"""Thread, position, id."""


async def problems(ledger: Ledger, followed: list[str], rows: Sequence[Row]) -> list[str]:
    """Every promise that was broken, in words."""
    stored: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for thread, position, id in rows:
        stored[thread].append((position, id))
    wrong: list[str] = []
    client = Client(ledger, 0)
    for name, thread in ledger.threads.items():
        up, down = [await listed(client, thread, order) for order in ("asc", "desc")]
        found = dict(up)
        wrong += [f"{name}: {one}" for one in in_thread(ledger, thread, up, down, stored[thread])]
        if name == SHARED and followed != list(found):
            wrong.append(
                f"a reader who paged along saw {len(followed)} of {len(found)} messages, or another order"
            )
    await client.close()
    return wrong


async def listed(client: Client, thread: str, order: str) -> list[tuple[str, str]]:
    """The id and the text of every message, page by page."""
    found: list[tuple[str, str]] = []
    more = True
    while more:
        after = f"&after={found[-1][0]}" if found else ""
        path = f"/v1/threads/{thread}/messages?order={order}&limit=100{after}"
        page: Any = (await client.ask("GET", path)).json()
        found += [(one["id"], one["content"][0]["text"]["value"]) for one in page["data"]]
        more = page["has_more"]
    return found


def in_thread(
    ledger: Ledger,
    thread: str,
    up: list[tuple[str, str]],
    down: list[tuple[str, str]],
    stored: list[tuple[int, str]],
) -> Iterator[str]:
    """What is wrong with one thread."""
    promised = {text: sent for text, sent in ledger.messages.items() if sent.thread == thread}
    ids, texts = Counter(id for id, _ in up), Counter(text for _, text in up)
    ledger.counts.stored += len(up)
    doubled = sum(texts.values()) - len(texts)
    ledger.counts.doubled += doubled
    if lost := [text for text, sent in promised.items() if ids[sent.id] != 1]:
        yield f"{len(lost)} acknowledged messages are not there exactly once: {lost[:3]}"
    if doubled:
        yield f"{doubled} messages are doubled: {[text for text in texts if texts[text] > 1][:3]}"
    if unknown := set(texts) - set(promised):
        yield f"{len(unknown)} messages were never acknowledged: {sorted(unknown)[:3]}"
    if down != up[::-1]:
        yield "newest first is not the reverse of oldest first"
    if stored != [(place, id) for place, (id, _) in enumerate(up, start=1)]:
        yield "positions have gaps, or another order than the list"
    yield from out_of_order(promised, [text for _, text in up])


def out_of_order(promised: dict[str, Sent], texts: list[str]) -> Iterator[str]:
    """A writer's messages are in the order of their numbers; and what was acknowledged before another was
    sent stands before it."""
    last: dict[str, int] = defaultdict(int)
    latest = 0.0
    for text in texts:
        writer, number = text.split()
        if int(number) <= last[writer]:
            yield f"{text} stands after {writer} {last[writer]}"
        last[writer] = int(number)
        if text in promised:
            if promised[text].acknowledged < latest:
                yield f"{text} stands after a message that was sent when it had been acknowledged"
            latest = max(latest, promised[text].sent)
