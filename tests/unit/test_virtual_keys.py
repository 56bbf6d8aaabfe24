"""How secrets of virtual keys are sealed, and which virtual keys there are: asked once for everybody."""

import asyncio
import base64
from contextlib import asynccontextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.errors import Unavailable, UnknownVirtualKey
from threadkeep.virtual_keys.actions import Ring
from threadkeep.virtual_keys.model import CannotOpen, SealedKey, VirtualKey, opened, seal

KEY = VirtualKey("vkey_1", "openai-1", "openai", 1)
ENCRYPTION_KEY = "k" * 32


def sealed(secret: str = "sk-secret", key: VirtualKey = KEY) -> SealedKey:
    return SealedKey(key, seal(secret, key, ENCRYPTION_KEY))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(alphabet="abc", min_size=1))
def test_what_was_sealed_opens(secret, encryption_key):
    assert opened(SealedKey(KEY, seal(secret, KEY, encryption_key)), encryption_key) == secret


def test_a_secret_never_looks_the_same_twice():
    assert sealed().sealed != sealed().sealed
    assert "secret" not in sealed().sealed


def test_another_encryption_key_does_not_open_it():
    with pytest.raises(CannotOpen):
        opened(sealed(), "K" * 32)


@pytest.mark.parametrize("change", [{"id": "vkey_2"}, {"place": "https://elsewhere.example/v1"}])
def test_it_opens_for_its_own_id_and_place_alone(change):
    moved = msgspec.structs.replace(sealed(), key=msgspec.structs.replace(KEY, **change))
    with pytest.raises(CannotOpen):
        opened(moved, ENCRYPTION_KEY)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    form, _, text = sealed().sealed.partition(":")
    data = bytearray(base64.b64decode(text))
    data[place % len(data)] ^= change
    with pytest.raises(CannotOpen):
        opened(SealedKey(KEY, f"{form}:{base64.b64encode(data).decode()}"), ENCRYPTION_KEY)


@pytest.mark.parametrize("text", ["", "1:", "1:AAAA", "not base64", "1:" + "A" * 15])
def test_what_was_never_sealed_does_not_open(text):
    with pytest.raises(CannotOpen):
        opened(SealedKey(KEY, text), ENCRYPTION_KEY)


# ---------------------------------------------------------------- which there are


class Rows:
    """A database with these names, or in trouble."""

    def __init__(self, *names: str) -> None:
        self.names: tuple[str, ...] | Exception = names
        self.asked, self.go = 0, asyncio.Event()
        self.go.set()

    @asynccontextmanager
    async def read(self):
        self.asked += 1
        yield self

    async def all(self, sql, params):
        await self.go.wait()
        if isinstance(self.names, Exception):
            raise self.names
        return [(name, f"id of {name}") for name in self.names]


def ring(rows: Rows, now: list[float]) -> Ring:
    return Ring(rows, lambda: now[0])  # type: ignore[arg-type]  # it only reads


def test_callers_of_one_moment_share_a_look_up():
    async def scenario():
        rows = Rows("a", "b")
        rows.go.clear()
        asked = ring(rows, [1.0])
        callers = [asyncio.create_task(asked.id_of(name)) for name in ("a", "b", "a")]
        await asyncio.sleep(0)
        rows.go.set()
        assert await asyncio.gather(*callers) == ["id of a", "id of b", "id of a"]
        assert await asked.id_of("a") == "id of a"
        assert rows.asked == 1

    asyncio.run(scenario())


def test_what_was_deleted_is_gone_after_20_milliseconds():
    async def scenario():
        rows, now = Rows("a", "b"), [1.0]
        asked = ring(rows, now)
        assert await asked.id_of("a") == "id of a"
        rows.names = ("b",)
        now[0] += Ring.SECONDS + 0.001
        with pytest.raises(UnknownVirtualKey):
            await asked.id_of("a")

    asyncio.run(scenario())


def test_what_was_just_made_is_there_at_once():
    async def scenario():
        rows = Rows("a")
        asked = ring(rows, [1.0])
        await asked.id_of("a")
        rows.names = ("a", "b")
        assert await asked.id_of("b") == "id of b"

    asyncio.run(scenario())


def test_trouble_is_not_remembered():
    async def scenario():
        rows = Rows()
        rows.names = Unavailable("it is down")
        asked = ring(rows, [1.0])
        with pytest.raises(Unavailable):
            await asked.id_of("a")
        rows.names = ()
        assert await asked.id_of("a") is None

    asyncio.run(scenario())
