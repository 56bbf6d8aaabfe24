"""Rows of virtual keys, which belong to the server and not to a project."""

from threadkeep.storage.database import Transaction
from threadkeep.virtual_keys.model import SealedKey, VirtualKey

INSERT = """
    INSERT INTO virtual_keys (id, name, provider, sealed, created_at)
    VALUES (:id, :name, :provider, :sealed, :created_at)
    ON CONFLICT DO NOTHING
    RETURNING id
"""


async def insert(transaction: Transaction, sealed: SealedKey) -> bool:
    """False where the name is taken."""
    key = sealed.key
    params = {"id": key.id, "name": key.name, "provider": key.place, "sealed": sealed.sealed}
    return await transaction.one(INSERT, {**params, "created_at": key.created_at}) is not None


IDS = "SELECT name, id FROM virtual_keys ORDER BY name"


async def ids(transaction: Transaction) -> dict[str, str]:
    """The id of every virtual key, by its name."""
    return {row[0]: row[1] for row in await transaction.all(IDS, {})}


_KEYS = "SELECT id, name, provider, created_at, sealed FROM virtual_keys\n"
ALL = _KEYS + "ORDER BY name"
GET = _KEYS + "WHERE id = :id"


async def all_of_them(transaction: Transaction) -> list[SealedKey]:
    """Every virtual key, by name."""
    return [SealedKey(VirtualKey(*row[:4]), row[4]) for row in await transaction.all(ALL, {})]


async def get(transaction: Transaction, id: str) -> SealedKey | None:
    row = await transaction.one(GET, {"id": id})
    return None if row is None else SealedKey(VirtualKey(*row[:4]), row[4])


DELETE = "DELETE FROM virtual_keys WHERE name = :name RETURNING id"


async def delete(transaction: Transaction, name: str) -> bool:
    """Whether there was one of that name."""
    return await transaction.one(DELETE, {"name": name}) is not None
