"""The short form of `make chaos`."""

import pytest

from tests.chaos.rounds import run


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
