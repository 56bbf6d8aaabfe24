"""How much one transaction of ingestion holds."""

import pytest

from threadkeep.ingestion.pace import Pace

AIM = 0.01


def settled(pace: Pace, fixed: float, each: float) -> int:
    """The rows of a transaction on a database that takes so long for any, and for each row."""
    for _ in range(50):
        pace.took(pace.rows, fixed + each * pace.rows, AIM)
    return pace.rows


@pytest.mark.promise("ingestion.gentle")
@pytest.mark.parametrize(("each", "rows"), [(0.0001, 100), (0.001, 10), (0.05, 1), (0.0, 256)])
def test_transactions_take_as_long_as_they_may(each, rows):
    assert abs(settled(Pace(8, 256), 0.0, each) - rows) <= 1


@pytest.mark.promise("ingestion.gentle")
def test_a_database_that_becomes_slower_gets_less_at_once():
    pace = Pace(8, 256)
    fast = settled(pace, 0.001, 0.0002)
    slow = settled(pace, 0.001, 0.002)
    assert 1 <= slow < fast / 5
    assert settled(pace, 0.001, 0.0002) > 5 * slow


def test_one_row_is_the_least_however_long_it_takes():
    assert settled(Pace(8, 256), 5.0, 1.0) == 1
