"""How the work on a file of a vector store is written down: each function is part of one transaction.

A file's row in a store is the job of making it searchable: `due_at` says when somebody should look at it
next, now for a file that nobody works, the end of the lease for one that is worked, null once it is over.
Whoever works it names its claim. A claim that is lost (`Lost`) means that another process has the file, that
it was taken from the store, or that it is over: the worker undoes its transaction and stops without a word.

`attempt` counts claims for ever, since others tell by it that a file was read anew. Two columns that serve
`reembedding` once the file is completed serve here until then: `embedding_failures` counts the claims that
came to no end, and `embedding_due_at` says since when the file is put off, 0 where it is not.
"""

from collections.abc import Sequence

from threadkeep.errors import ThreadkeepError
from threadkeep.storage.database import Params, Transaction, Value
from threadkeep.vector_stores import files, store
from threadkeep.vector_stores.model import (
    Claim,
    FailureCode,
    FileStatus,
    Ingestion,
    LastError,
    key_of,
    moved,
    text_of,
)

CHANNEL = files.CHANNEL
"""Woken when there is work."""


class Lost(ThreadkeepError):
    """The claim is another's, or there is no such file in the store any more."""


DUE = """
    SELECT store_id, file_id FROM vector_store_files WHERE due_at IS NOT NULL AND due_at <= :now
    ORDER BY due_at, store_id, file_id LIMIT :rows
"""


async def due(transaction: Transaction, now: int, rows: int) -> list[str]:
    """The ids of what is to be worked, `store_id/file_id`, the longest due first."""
    found = await transaction.all(DUE, {"now": now, "rows": rows})
    return [key_of(store_id, file_id) for store_id, file_id in found]


CLAIM = """
    UPDATE vector_store_files
    SET owner = :owner, attempt = attempt + 1, due_at = :until, embedding_failures = embedding_failures + 1
    WHERE store_id = :store_id AND file_id = :file_id AND due_at <= :now
    AND store_id IN (SELECT id FROM vector_stores WHERE id = :store_id)
    RETURNING attempt, project_id, max_tokens, overlap_tokens, embedding_failures, embedding_due_at
"""
OF_FILE = "SELECT filename, bytes, sha256 FROM files WHERE id = :file_id"


async def claim(transaction: Transaction, key: str, owner: str, now: int, until: int) -> Ingestion | None:
    """Take a file that is due; None where another process was quicker, or the file or its store is gone."""
    store_id, _, file_id = key.partition("/")
    params: Params = {"store_id": store_id, "file_id": file_id, "owner": owner, "now": now, "until": until}
    row = await transaction.one(CLAIM, params)
    file = await transaction.one(OF_FILE, {"file_id": file_id})
    if row is None or file is None:
        return None
    return Ingestion(
        claim=Claim(store_id, file_id, owner, row[0]),
        project_id=row[1],
        store_id=store_id,
        file_id=file_id,
        filename=file[0],
        bytes=file[1],
        sha256=file[2],
        max_tokens=row[2],
        overlap_tokens=row[3],
        tries=row[4],
        put_off_since=row[5] or None,
    )


_CLAIMED = "store_id = :store_id AND file_id = :file_id AND owner = :owner AND attempt = :attempt"
RENEW = f"UPDATE vector_store_files SET due_at = :until WHERE {_CLAIMED} RETURNING attempt"
RELEASE = f"""
    UPDATE vector_store_files SET owner = NULL, due_at = :now, embedding_failures = embedding_failures - 1
    WHERE {_CLAIMED}
"""
PUT_OFF = f"""
    UPDATE vector_store_files
    SET owner = NULL, due_at = :until, embedding_failures = embedding_failures - 1, embedding_due_at = :since
    WHERE {_CLAIMED}
"""
HOLD = f"UPDATE vector_store_files SET attempt = attempt WHERE {_CLAIMED} RETURNING attempt"


def of_claim(claim: Claim) -> dict[str, Value | list[Value]]:
    return {
        "store_id": claim.store_id,
        "file_id": claim.file_id,
        "owner": claim.owner,
        "attempt": claim.attempt,
    }


async def renew(transaction: Transaction, claims: Sequence[Claim], until: int) -> set[Claim]:
    """Prolong claims; those that are lost."""
    ordered = sorted(claims, key=lambda one: (one.store_id, one.file_id))
    renewed = [await transaction.one(RENEW, {**of_claim(one), "until": until}) for one in ordered]
    return {one for one, row in zip(ordered, renewed, strict=True) if row is None}


async def release(transaction: Transaction, claim: Claim, now: int) -> None:
    """Hand a file over to whoever takes it, if it still is the claim's."""
    await transaction.run(RELEASE, {**of_claim(claim), "now": now})
    await transaction.wake(CHANNEL)


async def put_off(transaction: Transaction, claim: Claim, since: int, until: int) -> None:
    """Leave a file alone until then, as it has been `since`, if it still is the claim's."""
    await transaction.run(PUT_OFF, {**of_claim(claim), "since": since, "until": until})


async def hold(transaction: Transaction, claim: Claim) -> None:
    """Lock a claimed file's row until the transaction ends: to be called before its chunks are written, so
    that whoever removes them locks in the same order. Raises `Lost`."""
    if await transaction.one(HOLD, of_claim(claim)) is None:
        raise Lost


async def completed(
    transaction: Transaction, claim: Claim, usage_bytes: int, now: int, embedded_by: str = ""
) -> None:
    """A claimed file is searchable, and takes so much; its vectors come from `embedded_by`, if it has any.
    Raises `Lost`."""
    await finish(transaction, claim, "completed", usage_bytes, None, now, embedded_by)


async def failed(transaction: Transaction, claim: Claim, code: FailureCode, message: str, now: int) -> None:
    """A claimed file cannot be made searchable. Raises `Lost`."""
    await finish(transaction, claim, "failed", 0, LastError(code, message), now)


FINISH = f"""
    UPDATE vector_store_files
    SET status = :status, usage_bytes = :usage_bytes, last_error = :last_error, owner = NULL, due_at = NULL,
        embedded_by = :embedded_by, embedding_claim = NULL, embedding_due_at = 0, embedding_failures = 0
    WHERE {_CLAIMED}
    RETURNING COALESCE(batch_id, '')
"""


async def finish(
    transaction: Transaction,
    claim: Claim,
    status: FileStatus,
    usage_bytes: int,
    error: LastError | None,
    now: int,
    embedded_by: str = "",
) -> None:
    """End the work on a file, and count it."""
    params: Params = {
        **of_claim(claim),
        "status": status,
        "usage_bytes": usage_bytes,
        "last_error": None if error is None else text_of(error),
        "embedded_by": embedded_by,
    }
    row = await transaction.one(FINISH, params)
    change = moved("in_progress", status, usage_bytes)
    if row is None or not await store.recount(transaction, claim.store_id, row[0], change, now):
        raise Lost


# ---------------------------------------------------------------- what is left of work that was called off

CANCELLED_LEFT = """
    SELECT store_id, file_id FROM vector_store_files f
    WHERE batch_id = :batch_id AND status = 'cancelled' AND EXISTS (
        SELECT 1 FROM chunks c WHERE c.store_id = f.store_id AND c.file_id = f.file_id
    )
    ORDER BY position LIMIT 1
"""
HOLD_CANCELLED = """
    UPDATE vector_store_files SET attempt = attempt
    WHERE store_id = :store_id AND file_id = :file_id AND status = 'cancelled'
    RETURNING file_id
"""


async def cancelled_left(transaction: Transaction, batch_id: str) -> tuple[str, str] | None:
    """A cancelled file of a batch that has chunks, as the ids of its store and its own; None for no more."""
    row = await transaction.one(CANCELLED_LEFT, {"batch_id": batch_id})
    return None if row is None else (row[0], row[1])


async def hold_cancelled(transaction: Transaction, store_id: str, file_id: str) -> bool:
    """Lock a cancelled file's row until the transaction ends; False where it is no longer cancelled."""
    params: Params = {"store_id": store_id, "file_id": file_id}
    return await transaction.one(HOLD_CANCELLED, params) is not None
