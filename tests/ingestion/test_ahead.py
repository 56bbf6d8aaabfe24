"""What is made ahead of its use: in order, not too much of it, and nothing that is left over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from threadkeep.ingestion.ahead import ahead

pytestmark = pytest.mark.anyio


class Source:
    """Numbers, of which it counts how many were taken."""

    def __init__(self, numbers: int, problem: Exception | None = None) -> None:
        self.numbers, self.problem = numbers, problem
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self.numbers):
            self.taken += 1
            yield number
        if self.problem is not None:
            raise self.problem


class Maker:
    """Makes strings of numbers, each when it is allowed to."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.may_end = asyncio.Event()
        self.broken: int | None = None

    async def make(self, number: int) -> str:
        self.under_way.add(number)
        try:
            await self.may_end.wait()
        finally:
            self.under_way.discard(number)
        if number == self.broken:
            raise ValueError(str(number))
        return str(number)


async def until_quiet() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_is_made_in_order():
    maker = Maker()
    maker.may_end.set()
    async with aclosing(ahead(aiter(Source(10)), maker.make, 3)) as made:
        assert [one async for one in made] == [str(number) for number in range(10)]


async def test_no_more_than_so_many_are_made_at_once():
    source, maker = Source(10), Maker()
    made = ahead(aiter(source), maker.make, 3)
    first = asyncio.ensure_future(anext(made))
    await until_quiet()
    assert maker.under_way == {0, 1, 2}
    assert source.taken == 3
    maker.may_end.set()
    assert await first == "0"
    await until_quiet()
    assert source.taken == 4  # what is being used leaves room for one
    await made.aclose()


async def test_nothing_goes_on_once_it_is_left():
    maker = Maker()
    made = ahead(aiter(Source(10)), maker.make, 3)
    first = asyncio.ensure_future(anext(made))
    await until_quiet()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await made.aclose()
    assert maker.under_way == set()


async def test_what_the_source_raises_comes_after_what_it_gave():
    maker = Maker()
    maker.may_end.set()
    made = ahead(aiter(Source(2, ValueError("the source"))), maker.make, 3)
    assert [await anext(made), await anext(made)] == ["0", "1"]
    with pytest.raises(ValueError, match="the source"):
        await anext(made)


async def test_what_the_maker_raises_comes_in_its_place():
    maker = Maker()
    maker.broken = 1
    maker.may_end.set()
    made = ahead(aiter(Source(5)), maker.make, 3)
    assert await anext(made) == "0"
    with pytest.raises(ValueError, match="1"):
        await anext(made)
    assert maker.under_way == set()
