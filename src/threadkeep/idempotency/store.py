"""Rows of idempotency keys: each holds the answer that its request was given."""

from threadkeep.errors import IdempotencyKeyReused
from threadkeep.idempotency.model import Answer, Claim
from threadkeep.storage.database import Params, Transaction

# Where another transaction holds the key, this waits until that one ends: it then finds the answer,
# or, if that one failed, takes the key itself. A key that has expired is as good as a new one.
CLAIM = """
    INSERT INTO idempotency_keys (project_id, key, request_hash, status, body, expires_at)
    VALUES (:project_id, :key, :request_hash, 0, '', :expires_at)
    ON CONFLICT (project_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, expires_at = excluded.expires_at
    WHERE idempotency_keys.expires_at <= :now
    RETURNING key
"""


async def claim(transaction: Transaction, one: Claim, now: int, expires_at: int) -> bool:
    """Take a key for this transaction, which must `keep` an answer; False if it has one already."""
    params: Params = {
        "project_id": one.project_id,
        "key": one.key,
        "request_hash": one.request_hash,
        "now": now,
        "expires_at": expires_at,
    }
    return await transaction.one(CLAIM, params) is not None


KEEP = """
    UPDATE idempotency_keys SET status = :status, body = :body
    WHERE project_id = :project_id AND key = :key
"""


async def keep(transaction: Transaction, one: Claim, answer: Answer) -> None:
    """Store the answer under a key that this transaction has claimed."""
    params: Params = {
        "project_id": one.project_id,
        "key": one.key,
        "status": answer.status,
        "body": answer.body,
    }
    await transaction.run(KEEP, params)


GET = """
    SELECT request_hash, status, body FROM idempotency_keys
    WHERE project_id = :project_id AND key = :key
"""


async def get(transaction: Transaction, one: Claim) -> Answer:
    """The answer under a key that could not be claimed. Raises `IdempotencyKeyReused`."""
    row = await transaction.one(GET, {"project_id": one.project_id, "key": one.key})
    if row is None or row[0] != one.request_hash:
        raise IdempotencyKeyReused(one.key)
    return Answer(row[1], row[2])


# Where another transaction is just claiming a key anew, this waits for it, and then looks at the outer
# condition alone once more: the inner one has chosen already.
FORGET_EXPIRED = """
    DELETE FROM idempotency_keys WHERE (project_id, key) IN (
        SELECT project_id, key FROM idempotency_keys WHERE expires_at <= :now
        ORDER BY expires_at, project_id, key LIMIT :rows
    ) AND expires_at <= :now
    RETURNING key
"""


async def forget_expired(transaction: Transaction, now: int, rows: int) -> bool:
    """Remove some keys that have expired; whether none are left."""
    return len(await transaction.all(FORGET_EXPIRED, {"now": now, "rows": rows})) < rows
