"""Ids: their form, and their order."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import SetClock
from threadkeep.ids import above, eight_characters, id_maker, in_hexadecimal

FORM = re.compile(r"msg_[0-9A-Za-z]{24}")
MANY = 2000


@pytest.mark.promise("answers.ids")
def test_an_id_is_its_prefix_and_24_letters_and_digits():
    new_id = id_maker(SetClock())
    assert all(FORM.fullmatch(new_id("msg_")) for _ in range(MANY))


def test_ids_of_one_millisecond_differ_and_keep_their_order():
    new_id = id_maker(SetClock())
    ids = [new_id("msg_") for _ in range(MANY)]
    assert ids == sorted(set(ids))


@given(st.lists(st.one_of(st.floats(-5, 5), st.floats(-0.002, 0.002)), max_size=50))
def test_every_id_is_greater_than_the_one_before_it_however_the_clock_is_set(steps):
    clock = SetClock()
    new_id = id_maker(clock)
    ids = []
    for step in steps:
        clock.advance(step)
        ids.append(new_id("msg_"))
    assert ids == sorted(set(ids))


def test_ids_of_later_milliseconds_are_greater_in_another_process_too():
    clock = SetClock()
    ids = []
    for _ in range(100):
        ids.append(id_maker(clock)("msg_"))
        clock.advance(0.002)
    assert ids == sorted(ids)


def test_two_processes_that_share_a_millisecond_make_different_ids():
    one, other = id_maker(SetClock()), id_maker(SetClock())
    assert {one("msg_") for _ in range(MANY)}.isdisjoint({other("msg_") for _ in range(MANY)})


def test_the_next_id_cannot_be_told_from_the_one_before_it():
    """The step between two ids of one millisecond is itself a random number of 64 bits."""
    steps = set()
    for _ in range(50):
        new_id = id_maker(SetClock())
        first, second = (number_of(new_id("")) for _ in range(2))
        steps.add(second - first)
    assert len(steps) == 50
    assert max(steps) > 2**60


@pytest.mark.parametrize("seconds", [-2.0, -0.001, 0.0, 0.002, 2.0])
def test_an_id_above_another_keeps_its_form_and_its_secret_whatever_the_clocks_say(seconds):
    floor, ids = id_maker(SetClock())("msg_"), []
    for _ in range(MANY):
        ids.append(above(id_maker(SetClock(SetClock().now + seconds))("msg_"), floor))
    assert all(FORM.fullmatch(id) and id > floor for id in ids)
    assert len(set(ids)) == MANY
    assert max(number_of(id[4:]) - number_of(floor[4:]) for id in ids) > 2**60


def test_an_id_that_is_above_another_already_stays_as_it_is():
    new_id = id_maker(SetClock())
    floor, id = new_id("msg_"), new_id("msg_")
    assert above(id, floor) == id


def test_ids_above_each_other_rise_for_long_behind_a_clock():
    late = id_maker(SetClock(SetClock().now - 2))
    ids = [id_maker(SetClock())("msg_")]
    for _ in range(MANY):
        ids.append(above(late("msg_"), ids[-1]))
    assert ids == sorted(set(ids))
    assert all(FORM.fullmatch(id) for id in ids)


def number_of(id: str) -> int:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for character in id:
        number = number * 62 + digits.index(character)
    return number


@given(st.integers(0, 62**8 - 1))
def test_eight_characters_are_the_number_in_base_62(number):
    assert len(eight_characters(number)) == 8
    assert number_of(eight_characters(number)) == number


def test_ids_rise_and_are_unique_across_threads() -> None:
    new_id = id_maker(SetClock())

    def some(_: int) -> list[str]:
        return [new_id("msg_") for _ in range(20_000)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(some, range(4)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({id for ids in made for id in ids}) == 80_000


@pytest.mark.promise("uploads.ids")
def test_an_id_in_hexadecimal_has_32_digits_and_keeps_its_order():
    clock = SetClock()
    new_id = id_maker(clock)
    ids = []
    for _ in range(MANY):
        ids.append(in_hexadecimal(new_id("part_")))
        clock.advance(0.0005)
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("part_[0-9a-f]{32}", id) for id in ids)
    assert int(ids[0][5:17], 16) == int(SetClock()() * 1000)
