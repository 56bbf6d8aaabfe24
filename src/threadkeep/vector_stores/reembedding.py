"""How the work of embedding files again is written down: each function is part of one transaction.

`embedded_by` names what all vectors of a file come from (`search.base.source_of`). A file is due where that
is not what is wanted, and belongs for a time to whoever put a name of its own into `embedding_claim`. A claim
is lost (`Lost`) when another process has the file, when it left the store or is read anew, and when something
else is wanted. Files keep their status meanwhile: they are searched as they are.

What is wanted stands in `embedding`, since processes may differ while one release or setting follows another:
the one that starts last decides, so that it comes to an end. Its wish holds as long as processes that share
it prolong it, so that none is left for which nobody works.
"""

from collections.abc import Sequence

from msgspec import Struct

from threadkeep.storage.database import Params, Transaction, Value
from threadkeep.vector_stores.model import key_of
from threadkeep.vector_stores.progress import Lost

SECONDS_WANTED = 600
"""How long a wish holds that nobody prolongs."""


class Claim(Struct, frozen=True):
    """A file that is one process's to embed again, for a time. `reading` is how often the file was claimed
    to be read; `source` what the vectors are to come from."""

    store_id: str
    file_id: str
    name: str
    reading: int
    source: str
    failures: int
    expires_at: int | None

    @property
    def id(self) -> str:
        return key_of(self.store_id, self.file_id)


# ---------------------------------------------------------------- what is wanted

WANTED = "SELECT wanted, until FROM embedding WHERE id = 1"
WANT = """
    INSERT INTO embedding (id, wanted, until) VALUES (1, :source, :until)
    ON CONFLICT (id) DO UPDATE SET wanted = excluded.wanted, until = excluded.until
    WHERE CAST(:anyway AS BIGINT) = 1 OR embedding.wanted = excluded.wanted OR embedding.until <= :now
    RETURNING wanted
"""


async def wanted(transaction: Transaction) -> tuple[str, int]:
    """What vectors are to come from, and until when that holds."""
    row = await transaction.one(WANTED, {})
    return ("", 0) if row is None else (row[0], row[1])


async def want(transaction: Transaction, source: str, now: int, anyway: bool) -> bool:
    """Have vectors come from this, whatever else is wanted (`anyway`), or unless something else still is;
    whether they do."""
    until = now + SECONDS_WANTED
    params: Params = {"source": source, "now": now, "until": until, "anyway": int(anyway)}
    return await transaction.one(WANT, params) is not None


def is_to_be_prolonged(until: int, now: int) -> bool:
    return until < now + SECONDS_WANTED // 2


# ---------------------------------------------------------------- what is due

_DUE = """
    SELECT store_id, file_id FROM vector_store_files
    WHERE status = 'completed' AND embedded_by {side} :source AND embedding_due_at <= :now
    ORDER BY embedded_by, store_id, file_id LIMIT :rows
"""
# Two walks along an index that find nothing at once, where nothing is due.
DUE = tuple(_DUE.format(side=side) for side in ("<", ">"))
NUMBER = "SELECT COUNT(*) FROM vector_store_files WHERE status = 'completed' AND embedded_by <> :source"


async def due(transaction: Transaction, source: str, now: int, rows: int) -> list[str]:
    """The ids of what is to be embedded again, `store_id/file_id`."""
    found: list[str] = []
    for statement in DUE:
        if left := rows - len(found):
            some = await transaction.all(statement, {"source": source, "now": now, "rows": left})
            found += [key_of(store_id, file_id) for store_id, file_id in some]
    return found


async def number(transaction: Transaction, source: str) -> int:
    """How many files are to be embedded again, those that are being worked among them."""
    row = await transaction.one(NUMBER, {"source": source})
    return row[0] if row else 0


FILES_ARE_READ = "SELECT 1 FROM vector_store_files WHERE due_at IS NOT NULL LIMIT 1"


async def files_are_read(transaction: Transaction) -> bool:
    """Whether files are being made searchable, or wait for it."""
    return await transaction.one(FILES_ARE_READ, {}) is not None


# ---------------------------------------------------------------- claims

_WANTED = "EXISTS (SELECT 1 FROM embedding WHERE id = 1 AND wanted = :source)"
CLAIM = f"""
    UPDATE vector_store_files SET embedding_claim = :name, embedding_due_at = :until
    WHERE store_id = :store_id AND file_id = :file_id AND status = 'completed' AND embedded_by <> :source
    AND embedding_due_at <= :now AND {_WANTED}
    RETURNING attempt, embedding_failures
"""
EXPIRY = "SELECT expires_at FROM vector_stores WHERE id = :store_id"


async def claim(
    transaction: Transaction, key: str, source: str, name: str, now: int, until: int
) -> Claim | None:
    """Take a file that is due; None where another process was quicker, or the file or its store is gone."""
    store_id, _, file_id = key.partition("/")
    params: Params = {
        "store_id": store_id,
        "file_id": file_id,
        "source": source,
        "name": name,
        "now": now,
        "until": until,
    }
    row = await transaction.one(CLAIM, params)
    store = await transaction.one(EXPIRY, {"store_id": store_id})
    if row is None or store is None:
        return None
    return Claim(store_id, file_id, name, row[0], source, row[1], store[0])


_CLAIMED = f"""
    store_id = :store_id AND file_id = :file_id AND embedding_claim = :name
    AND status = 'completed' AND attempt = :reading AND {_WANTED}
"""
_OURS = "store_id = :store_id AND file_id = :file_id AND embedding_claim = :name"
RENEW = f"UPDATE vector_store_files SET embedding_due_at = :until WHERE {_CLAIMED} RETURNING attempt"
HOLD = f"UPDATE vector_store_files SET attempt = attempt WHERE {_CLAIMED} RETURNING attempt"
RELEASE = f"UPDATE vector_store_files SET embedding_claim = NULL, embedding_due_at = :now WHERE {_OURS}"
PUT_OFF = f"""
    UPDATE vector_store_files
    SET embedding_claim = NULL, embedding_due_at = :until, embedding_failures = embedding_failures + 1
    WHERE {_OURS}
"""


def of_file(claim: Claim) -> dict[str, Value | list[Value]]:
    return {"store_id": claim.store_id, "file_id": claim.file_id}


def of_claim(claim: Claim) -> dict[str, Value | list[Value]]:
    return {**of_file(claim), "name": claim.name, "reading": claim.reading, "source": claim.source}


async def renew(transaction: Transaction, claims: Sequence[Claim], until: int) -> set[Claim]:
    """Prolong claims; those that are lost."""
    ordered = sorted(claims, key=lambda one: (one.store_id, one.file_id))
    renewed = [await transaction.one(RENEW, {**of_claim(one), "until": until}) for one in ordered]
    return {one for one, row in zip(ordered, renewed, strict=True) if row is None}


async def hold(transaction: Transaction, claim: Claim) -> None:
    """Lock a claimed file's row until the transaction ends, before its vectors are written. Raises `Lost`."""
    if await transaction.one(HOLD, of_claim(claim)) is None:
        raise Lost


async def release(transaction: Transaction, claim: Claim, now: int) -> None:
    """Leave a file to whoever takes it, if it still is the claim's."""
    await transaction.run(RELEASE, {**of_file(claim), "name": claim.name, "now": now})


async def put_off(transaction: Transaction, claim: Claim, until: int) -> None:
    """Leave a file alone until then, if it still is the claim's."""
    await transaction.run(PUT_OFF, {**of_file(claim), "name": claim.name, "until": until})


# ---------------------------------------------------------------- what is done

GROW_FILE = """
    UPDATE vector_store_files SET usage_bytes = usage_bytes + :more
    WHERE store_id = :store_id AND file_id = :file_id
"""
GROW_STORE = "UPDATE vector_stores SET usage_bytes = usage_bytes + :more WHERE id = :store_id"
FINISH = f"""
    UPDATE vector_store_files
    SET embedded_by = :source, embedding_claim = NULL, embedding_due_at = 0, embedding_failures = 0
    WHERE {_CLAIMED} RETURNING attempt
"""


async def grow(transaction: Transaction, claim: Claim, more: int) -> None:
    """A held file takes so many bytes more. This is no use of its store, which expires when it would."""
    if more:
        await transaction.run(GROW_FILE, {**of_file(claim), "more": more})
        await transaction.run(GROW_STORE, {"store_id": claim.store_id, "more": more})


async def finish(transaction: Transaction, claim: Claim) -> None:
    """All of a claimed file's vectors come from what is wanted. Raises `Lost`."""
    if await transaction.one(FINISH, of_claim(claim)) is None:
        raise Lost
