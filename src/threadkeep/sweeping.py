"""What is left to do after a deletion was answered, and what time removes: see `storage.sweeps`."""

from functools import partial

from threadkeep.context import Context
from threadkeep.errors import NoSuchFile
from threadkeep.files import actions as files
from threadkeep.files import store as file_rows
from threadkeep.idempotency import actions as idempotency
from threadkeep.messages import store as messages
from threadkeep.runs import store as runs
from threadkeep.storage.database import Transaction
from threadkeep.storage.sweeps import (
    BLOB,
    FILE,
    THREAD,
    UPLOAD,
    VECTOR_STORE,
    VECTOR_STORE_BATCH,
    VECTOR_STORE_FILE,
    Handler,
    Routine,
)
from threadkeep.uploads import actions as uploads
from threadkeep.vector_stores import actions as vector_stores

ROWS = 500
"""Messages removed in one transaction, few enough for other writers not to notice."""
RUNS = 50
"""Likewise runs, each with its steps."""


def handlers(context: Context) -> dict[str, Handler]:
    """How each kind of deletion is finished."""

    async def sweep_thread(thread_id: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            if await messages.delete_some(transaction, thread_id, ROWS):
                return False
            if await runs.delete_some(transaction, thread_id, RUNS):
                return False
            await messages.forget_thread(transaction, thread_id)
            await file_rows.forget_uses_of_thread(transaction, thread_id)
            return True

        return await context.database.write_behind(work)

    async def sweep_blob(key: str) -> bool:
        await context.blobs.delete(key)
        return True

    async def sweep_file(key: str) -> bool:
        project_id, file_id = key.split("/")
        try:
            await files.expire(context, project_id, file_id)
        except NoSuchFile:
            return True
        return True

    async def sweep_upload(item: str) -> bool:
        project_id, upload_id = item.split("/")
        return await uploads.clear(context, project_id, upload_id)

    return {
        THREAD: sweep_thread,
        BLOB: sweep_blob,
        FILE: sweep_file,
        UPLOAD: sweep_upload,
        VECTOR_STORE: partial(vector_stores.sweep_deleted, context),
        VECTOR_STORE_BATCH: partial(vector_stores.sweep_cancelled, context),
        VECTOR_STORE_FILE: partial(vector_stores.sweep_detached, context),
    }


def routines(context: Context) -> dict[str, Routine]:
    """What is looked after without a plan, by names that stay the same from release to release."""

    async def tidy_database() -> bool:
        await context.database.tidy(context.now())
        return True

    return {
        "idempotency keys": partial(idempotency.forget_expired, context),
        "database": tidy_database,
        "expired vector stores": partial(vector_stores.sweep_expired, context),
    }
