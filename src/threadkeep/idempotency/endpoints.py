"""Between a request and its endpoint, where the request brings an `Idempotency-Key`.

The endpoint runs as it is, but with a database whose every write takes part in the one transaction
that also stores its answer. So the two come and go together, whenever the server stops.
"""

from collections.abc import Awaitable, Callable

from threadkeep.http.request import Request, Response
from threadkeep.idempotency import actions
from threadkeep.idempotency.model import Answer, Claim, hash_of
from threadkeep.storage.database import Transaction

Endpoint = Callable[[Request], Awaitable[Response]]
REPLAYED = (b"idempotent-replayed", b"true")


async def once(request: Request, content: bytes, endpoint: Endpoint) -> Response:
    """What `endpoint` answers, at the first time; after that the same again, marked as `REPLAYED`.

    `content` is all by which requests to one place differ. The endpoint awaits nothing but its
    database, may be run again from its start, and answers whole JSON without headers of its own.
    Raises `IdempotencyKeyReused`.
    """
    if request.idempotency_key is None:
        return await endpoint(request)
    key = request.idempotency_key
    claim = Claim(request.project_id, key.value, hash_of(key.target, content))

    async def work(transaction: Transaction) -> Answer:
        response = await endpoint(request.within(transaction))
        assert not response.headers, "headers are not kept: whoever has some adds them to what this returns"
        return Answer(response.status, response.body.decode())

    answer, before = await actions.once(request.context, claim, work)
    return Response(answer.status, answer.body.encode(), headers=(REPLAYED,) if before else ())
