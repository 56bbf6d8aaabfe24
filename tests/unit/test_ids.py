"""Ids, also where several threads ask for them: those that make objects in the writer's thread."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.clock import SetClock
from threadkeep.ids import id_maker


def test_ids_rise_and_are_unique_across_threads() -> None:
    new_id = id_maker(SetClock())

    def some(_: int) -> list[str]:
        return [new_id("msg_") for _ in range(20_000)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(some, range(4)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({id for ids in made for id in ids}) == 80_000
