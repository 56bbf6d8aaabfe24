"""Many rows with few statements, of which there are few texts: what is asked for often is prepared once."""

from collections.abc import Iterator

SOME, MANY = 50, 500
WIDTHS = (1, SOME, MANY)
"""How many rows a statement names. Where there are fewer, the last one is named again."""


def portions(count: int, most: int = MANY) -> Iterator[list[int]]:
    """Indices below `count`, as many at a time as one statement names, and no more than `most`: all of them,
    in their order, the last one perhaps several times."""
    start = 0
    while start < count:
        left = count - start
        width = 1 if left == 1 else SOME if left <= MANY // 2 else most
        yield [min(start + index, count - 1) for index in range(width)]
        start += width


def names(width: int) -> str:
    """The parameters `:id0` and so on of a statement that names so many ids."""
    return ", ".join(f":id{index}" for index in range(width))


def named(ids: list[str], indices: list[int]) -> dict[str, str]:
    """The values of these parameters."""
    return {f"id{n}": ids[index] for n, index in enumerate(indices)}
