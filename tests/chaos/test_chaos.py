"""The short form of `make chaos`, and what its verdict notices."""

import pytest

from tests.chaos.load import Ledger, Sent
from tests.chaos.rounds import run
from tests.chaos.verdict import in_thread


@pytest.mark.promise("server.chaos.nothing-lost")
@pytest.mark.promise("server.chaos.nothing-doubled")
@pytest.mark.promise("server.chaos.order-kept")
def test_nothing_acknowledged_is_lost_or_doubled_while_processes_and_the_database_die(tmp_path, capsys):
    counts, wrong = run(tmp_path, rounds=3, seed=20260826)
    with capsys.disabled():
        print("\n" + "\n".join(counts.lines()))
    assert wrong == []
    assert (counts.crashes, counts.kills, counts.restarts) == (2, 3, 3)
    assert counts.stored == counts.acknowledged


UP = [("m1", "a 1"), ("m2", "b 1"), ("m3", "a 2")]
STORED = [(1, "m1"), (2, "m2"), (3, "m3")]
WRONG = {
    "nothing": (UP, UP[::-1], STORED),
    "1 acknowledged messages are not there": (UP[:2], UP[1::-1], STORED[:2]),
    "1 messages are doubled": ([*UP, ("m4", "a 2")], [("m4", "a 2"), *UP[::-1]], [*STORED, (4, "m4")]),
    "1 messages were never acknowledged": (
        [*UP, ("m4", "a 3")],
        [("m4", "a 3"), *UP[::-1]],
        [*STORED, (4, "m4")],
    ),
    "newest first is not the reverse": (UP, UP[1::-1], STORED),
    "positions have gaps": (UP, UP[::-1], [(1, "m1"), (2, "m2"), (4, "m3")]),
    "a 1 stands after a 2": (UP[::-1], UP, [(1, "m3"), (2, "m2"), (3, "m1")]),
    "a 1 stands after a message that was sent": (
        [UP[1], UP[0], UP[2]],
        [UP[2], UP[0], UP[1]],
        [(1, "m2"), (2, "m1"), (3, "m3")],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_verdict_notices(wrong):
    ledger = Ledger()
    for moment, (id, text) in enumerate(UP):
        ledger.messages[text] = Sent("t", id, sent=moment, acknowledged=moment + 0.5)
    found = list(in_thread(ledger, "t", *WRONG[wrong]))
    assert any(one.startswith(wrong) for one in found) if wrong != "nothing" else found == []
