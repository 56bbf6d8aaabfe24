"""Rows of the files in vector stores: each says how far its file is, and is the job of making it searchable.

Locks are taken in the order that `vector_stores.store` names.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from threadkeep.errors import NoSuchStoreFile
from threadkeep.paging import Page, PageQuery, by_position, cut, page_text
from threadkeep.portions import SOME, WIDTHS, named, names, portions
from threadkeep.storage import tombstones
from threadkeep.storage.database import Params, Row, Transaction, Value
from threadkeep.vector_stores.model import (
    Attributes,
    Change,
    Chunking,
    FileStatus,
    LastError,
    NewFile,
    StaticChunking,
    VectorStoreFile,
    attributes_of,
    moved,
    text_of,
)
from threadkeep.vector_stores.store import IN_STORE, require

CHANNEL = "threadkeep_ingestion"
"""Woken when there is a file to be made searchable."""

# ---------------------------------------------------------------- files in stores

_FILE = """
    file_id, store_id, created_at, status, usage_bytes, last_error, max_tokens, overlap_tokens, attributes
"""
last_error_of = msgspec.json.Decoder(LastError).decode


def file_of(row: Row) -> VectorStoreFile:
    return VectorStoreFile(
        id=row[0],
        usage_bytes=row[4],
        created_at=row[2],
        vector_store_id=row[1],
        status=row[3],
        last_error=None if row[5] is None else last_error_of(row[5]),
        chunking_strategy=StaticChunking(Chunking(row[6], row[7])),
        attributes=attributes_of(row[8]),
    )


GET_FILE = f"SELECT {_FILE} FROM vector_store_files WHERE {IN_STORE} AND file_id = :file_id"


async def get(transaction: Transaction, project_id: str, store_id: str, file_id: str) -> VectorStoreFile:
    """One file in a store. Raises `NotFound` for the store, `NoSuchStoreFile`."""
    row = await transaction.one(
        GET_FILE, {"store_id": store_id, "file_id": file_id, "project_id": project_id}
    )
    if row is None:
        await require(transaction, project_id, store_id)
        raise NoSuchStoreFile(file_id, store_id)
    return file_of(row)


SET_ATTRIBUTES = f"""
    UPDATE vector_store_files SET attributes = :attributes WHERE {IN_STORE} AND file_id = :file_id
    RETURNING {_FILE}
"""


async def set_attributes(
    transaction: Transaction, project_id: str, store_id: str, file_id: str, attributes: Attributes
) -> VectorStoreFile:
    """Give a file these attributes and no others. Raises `NotFound` for the store, `NoSuchStoreFile`."""
    params: Params = {
        "store_id": store_id,
        "file_id": file_id,
        "project_id": project_id,
        "attributes": text_of(attributes),
    }
    row = await transaction.one(SET_ATTRIBUTES, params)
    if row is None:
        await require(transaction, project_id, store_id)
        raise NoSuchStoreFile(file_id, store_id)
    return file_of(row)


PLACE = "SELECT position FROM vector_store_files WHERE store_id = :store_id AND file_id = :file_id"


async def place(transaction: Transaction, store_id: str, cursor: str | None) -> int | None:
    """Where a file stands in a store, or stood. Raises `NoSuchStoreFile`."""
    if cursor is None:
        return None
    row = await transaction.one(PLACE, {"store_id": store_id, "file_id": cursor})
    position = row[0] if row else await tombstones.place(transaction, store_id, cursor)
    if position is None:
        raise NoSuchStoreFile(cursor, store_id)
    return int(position)


class Listing(Struct, frozen=True):
    """Whose files are to be listed: a store's, of which only those of a batch or in a status."""

    store_id: str
    batch_id: str | None = None
    status: str | None = None


_OF_STORE = f"SELECT {_FILE} FROM vector_store_files WHERE store_id = :store_id"
_OF_BATCH = " AND batch_id = :batch_id"
_IN_STATUS = " AND status = :status"


async def page(transaction: Transaction, listing: Listing, query: PageQuery) -> Page[VectorStoreFile]:
    """One page of the files in a store that is the caller's. Raises `NoSuchStoreFile` for a cursor."""
    after = await place(transaction, listing.store_id, query.after)
    before = await place(transaction, listing.store_id, query.before)
    narrowed = _OF_BATCH * (listing.batch_id is not None) + _IN_STATUS * (listing.status is not None)
    sql = page_text(_OF_STORE + narrowed, "position", query.walks_down)
    params: Params = {**msgspec.structs.asdict(listing), **by_position(query, after, before)}
    return cut(query, [file_of(row) for row in await transaction.all(sql, params)], lambda file: file.id)


# ---------------------------------------------------------------- files that come


class Known(Struct, frozen=True):
    """A file that was in a store already, its row locked."""

    file_id: str
    batch_id: str | None
    status: FileStatus
    usage_bytes: int
    chunking: Chunking


def lock_files_text(number: int) -> str:
    return f"""
        UPDATE vector_store_files SET attempt = attempt
        WHERE store_id = :store_id AND file_id IN ({names(number)})
        RETURNING file_id, batch_id, status, usage_bytes, max_tokens, overlap_tokens
    """


def insert_files_text(number: int) -> str:
    rows = ",\n".join(
        f"(:store_id, :file_id{n}, :project_id, :position{n}, :batch_id, :now, 'in_progress', 0, "
        f":max_tokens{n}, :overlap_tokens{n}, :attributes{n}, 0, :now)"
        for n in range(number)
    )
    return f"""
        INSERT INTO vector_store_files (
            store_id, file_id, project_id, position, batch_id, created_at, status, usage_bytes,
            max_tokens, overlap_tokens, attributes, attempt, due_at
        ) VALUES {rows}
        ON CONFLICT DO NOTHING RETURNING file_id
    """


LOCK_FILES = {number: lock_files_text(number) for number in WIDTHS}
INSERT_FILES = {number: insert_files_text(number) for number in (1, SOME)}


async def lock(transaction: Transaction, store_id: str, file_ids: Sequence[str]) -> list[Known]:
    """Those of these files that are in a store, locked."""
    ids = sorted(file_ids)
    found: list[Known] = []
    for indices in portions(len(ids)):
        params: Params = {"store_id": store_id, **named(ids, indices)}
        rows = await transaction.all(LOCK_FILES[len(indices)], params)
        found.extend(Known(row[0], row[1], row[2], row[3], Chunking(row[4], row[5])) for row in rows)
    return found


SOME_FILES = """
    SELECT file_id FROM vector_store_files WHERE store_id = :store_id ORDER BY position LIMIT :rows
"""


async def some(transaction: Transaction, store_id: str, rows: int) -> list[str]:
    """The ids of the first files in a store."""
    return [row[0] for row in await transaction.all(SOME_FILES, {"store_id": store_id, "rows": rows})]


class Place(Struct, frozen=True):
    """Where files are put: behind which position of a store, with which batch, when."""

    store_id: str
    project_id: str
    batch_id: str | None
    last_position: int
    now: int


async def insert(transaction: Transaction, where: Place, files: Sequence[NewFile]) -> set[str]:
    """Put files into a store; the ids of those that were not there before."""
    added: set[str] = set()
    for indices in portions(len(files), SOME):
        params: dict[str, Value | list[Value]] = {
            "store_id": where.store_id,
            "project_id": where.project_id,
            "batch_id": where.batch_id,
            "now": where.now,
        }
        for n, index in enumerate(indices):
            file = files[index]
            params[f"file_id{n}"] = file.file_id
            params[f"position{n}"] = where.last_position + 1 + index
            params[f"max_tokens{n}"] = file.chunking.max_chunk_size_tokens
            params[f"overlap_tokens{n}"] = file.chunking.chunk_overlap_tokens
            params[f"attributes{n}"] = text_of(file.attributes or {})
        added.update(row[0] for row in await transaction.all(INSERT_FILES[len(indices)], params))
    return added


REJOIN = {
    number: f"""
    UPDATE vector_store_files SET batch_id = COALESCE(CAST(:batch_id AS TEXT), batch_id),
        attributes = COALESCE(CAST(:attributes AS TEXT), attributes)
    WHERE store_id = :store_id AND file_id IN ({names(number)})
"""
    for number in WIDTHS
}
BEGIN_ANEW = """
    UPDATE vector_store_files
    SET batch_id = :batch_id, attributes = COALESCE(CAST(:attributes AS TEXT), attributes),
        status = 'in_progress', usage_bytes = 0, last_error = NULL, max_tokens = :max_tokens,
        overlap_tokens = :overlap_tokens, created_at = :now, owner = NULL, due_at = :now, embedded_by = '',
        embedding_claim = NULL, embedding_due_at = 0, embedding_failures = 0
    WHERE store_id = :store_id AND file_id = :file_id
"""


async def rejoin(transaction: Transaction, where: Place, files: Sequence[NewFile]) -> None:
    """Locked files that are in the store already come again, and need no work for it."""
    same: dict[str | None, list[str]] = {}
    for file in files:
        attributes = None if file.attributes is None else text_of(file.attributes)
        same.setdefault(attributes, []).append(file.file_id)
    for attributes, ids in same.items():
        if attributes is None and where.batch_id is None:
            continue
        for indices in portions(len(ids)):
            params: Params = {
                "store_id": where.store_id,
                "batch_id": where.batch_id,
                "attributes": attributes,
                **named(ids, indices),
            }
            await transaction.run(REJOIN[len(indices)], params)


async def begin_anew(transaction: Transaction, where: Place, file: NewFile) -> None:
    """A locked file that is in the store already is made searchable once more, and leaves its batch."""
    params: Params = {
        "store_id": where.store_id,
        "file_id": file.file_id,
        "batch_id": where.batch_id,
        "attributes": None if file.attributes is None else text_of(file.attributes),
        "max_tokens": file.chunking.max_chunk_size_tokens,
        "overlap_tokens": file.chunking.chunk_overlap_tokens,
        "now": where.now,
    }
    await transaction.run(BEGIN_ANEW, params)


# ---------------------------------------------------------------- files that go


class Gone(Struct, frozen=True):
    """A file's row in a store that was removed."""

    store_id: str
    file_id: str
    position: int
    batch_id: str
    status: FileStatus
    usage_bytes: int

    def change(self) -> Change:
        return moved(self.status, None, -self.usage_bytes)


_GONE = "store_id, file_id, position, COALESCE(batch_id, ''), status, usage_bytes"
REMOVE = f"""
    DELETE FROM vector_store_files WHERE store_id = :store_id AND file_id = :file_id RETURNING {_GONE}
"""
REMOVE_EVERYWHERE = f"DELETE FROM vector_store_files WHERE file_id = :file_id RETURNING {_GONE}"


async def remove(transaction: Transaction, store_id: str, file_id: str) -> Gone:
    """Take a file's row from a store that is the caller's. Raises `NoSuchStoreFile`."""
    row = await transaction.one(REMOVE, {"store_id": store_id, "file_id": file_id})
    if row is None:
        raise NoSuchStoreFile(file_id, store_id)
    return Gone(*row)


async def remove_everywhere(transaction: Transaction, file_id: str) -> list[Gone]:
    """Take a file's rows from every store, in the order of these."""
    rows = await transaction.all(REMOVE_EVERYWHERE, {"file_id": file_id})
    return [Gone(*row) for row in sorted(rows)]


IS_THERE = "SELECT 1 FROM vector_store_files WHERE store_id = :store_id AND file_id = :file_id"


async def is_there(transaction: Transaction, store_id: str, file_id: str) -> bool:
    """Whether a store has a file."""
    return await transaction.one(IS_THERE, {"store_id": store_id, "file_id": file_id}) is not None


# ---------------------------------------------------------------- files that are left alone

CANCEL_FILES = """
    UPDATE vector_store_files SET status = 'cancelled', owner = NULL, due_at = NULL
    WHERE batch_id = :batch_id AND status = 'in_progress'
    RETURNING file_id
"""
CANCEL_SOME = """
    UPDATE vector_store_files SET status = 'cancelled', owner = NULL, due_at = NULL
    WHERE store_id = :store_id AND status = 'in_progress' AND file_id IN (
        SELECT file_id FROM vector_store_files WHERE store_id = :store_id AND status = 'in_progress'
        ORDER BY file_id LIMIT :rows
    )
    RETURNING COALESCE(batch_id, '')
"""


async def cancel(transaction: Transaction, batch_id: str) -> int:
    """Cancel what is in progress of a batch; how many files that were."""
    return len(await transaction.all(CANCEL_FILES, {"batch_id": batch_id}))


async def cancel_some(transaction: Transaction, store_id: str, rows: int) -> list[str]:
    """Cancel files in progress of a store; the batch of each, '' for none."""
    found = await transaction.all(CANCEL_SOME, {"store_id": store_id, "rows": rows})
    return [row[0] for row in found]


DELETE_SOME = """
    DELETE FROM vector_store_files WHERE store_id = :store_id AND file_id IN (
        SELECT file_id FROM vector_store_files WHERE store_id = :store_id ORDER BY file_id LIMIT :rows
    )
    RETURNING file_id
"""


async def delete_some(transaction: Transaction, store_id: str, rows: int) -> bool:
    """Remove files' rows of a store that is gone; whether there were any. Without its row nobody writes a
    chunk of a file any more."""
    return bool(await transaction.all(DELETE_SOME, {"store_id": store_id, "rows": rows}))
