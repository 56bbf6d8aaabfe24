"""The rule: a request with a key takes effect once, and its answer commits together with its effect."""

from threadkeep.context import Context
from threadkeep.idempotency import store
from threadkeep.idempotency.model import KEPT_FOR, Answer, Claim
from threadkeep.storage.database import Transaction, Work

ROWS = 500
"""Keys removed in one transaction."""


async def once(context: Context, claim: Claim, work: Work[Answer]) -> tuple[Answer, bool]:
    """What `work` answers, or what it answered under this key before; and whether it was before.

    While the same request is under way elsewhere, this waits for it. What `work` raises is not kept:
    the key is free again. Raises `IdempotencyKeyReused`.
    """
    now = context.now()

    async def whole(transaction: Transaction) -> tuple[Answer, bool]:
        if not await store.claim(transaction, claim, now, now + KEPT_FOR):
            return await store.get(transaction, claim), True
        answer = await work(transaction)
        await store.keep(transaction, claim, answer)
        return answer, False

    return await context.database.write(whole)


async def forget_expired(context: Context) -> bool:
    """Remove some of the answers that were kept long enough; whether none are left."""
    now = context.now()

    async def work(transaction: Transaction) -> bool:
        return await store.forget_expired(transaction, now, ROWS)

    return await context.database.write(work)
