"""Rows of uploads and of their parts."""

from threadkeep.errors import BadUpload, NotFound, UploadNotPending
from threadkeep.storage.database import Params, Row, Transaction
from threadkeep.uploads.model import MAX_PARTS, Status, StoredPart, StoredUpload, Upload

NOUN = "upload"


def stored_of(row: Row) -> StoredUpload:
    upload = Upload(
        id=row[0],
        bytes=row[1],
        created_at=row[2],
        filename=row[3],
        purpose=row[4],
        status=row[5],
        expires_at=row[6],
    )
    return StoredUpload(upload, row[7])


INSERT = """
    INSERT INTO uploads (id, project_id, bytes, created_at, filename, purpose, status, expires_at,
                         file_expires_after, parts, bytes_received)
    VALUES (:id, :project_id, :bytes, :created_at, :filename, :purpose, :status, :expires_at,
            :file_expires_after, 0, 0)
"""


async def insert(transaction: Transaction, project_id: str, stored: StoredUpload) -> None:
    upload = stored.upload
    await transaction.run(
        INSERT,
        {
            "id": upload.id,
            "project_id": project_id,
            "bytes": upload.bytes,
            "created_at": upload.created_at,
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": upload.status,
            "expires_at": upload.expires_at,
            "file_expires_after": stored.file_expires_after,
        },
    )


_COLUMNS = "id, bytes, created_at, filename, purpose, status, expires_at, file_expires_after"
GET = f"SELECT {_COLUMNS} FROM uploads WHERE id = :id AND project_id = :project_id"


async def pending(transaction: Transaction, project_id: str, id: str, now: int) -> StoredUpload:
    """An upload that can still be added to. Raises `NotFound` and `UploadNotPending`."""
    row = await transaction.one(GET, {"id": id, "project_id": project_id})
    if row is None:
        raise NotFound(NOUN, id)
    stored = stored_of(row)
    status, expires_at = stored.upload.status, stored.upload.expires_at
    if status != "pending" or expires_at <= now:
        raise UploadNotPending("expired" if status == "pending" else status)
    return stored


# Whoever changes a pending upload holds its row till the commit, so that no part is added to one that ends.
END = f"""
    UPDATE uploads SET status = :status
    WHERE id = :id AND project_id = :project_id AND status = 'pending' AND expires_at > :now
    RETURNING {_COLUMNS}
"""


async def end(transaction: Transaction, project_id: str, id: str, status: Status, now: int) -> StoredUpload:
    """Give a pending upload its last status. Raises `NotFound` and `UploadNotPending`."""
    params: Params = {"id": id, "project_id": project_id, "status": status, "now": now}
    row = await transaction.one(END, params)
    if row is None:
        raise await why_not(transaction, project_id, id, now)
    return stored_of(row)


async def why_not(transaction: Transaction, project_id: str, id: str, now: int) -> Exception:
    """What kept a change of an upload from being made."""
    try:
        await pending(transaction, project_id, id, now)
    except (NotFound, UploadNotPending) as refusal:
        return refusal
    return AssertionError(f"the upload {id} is pending, yet it was not changed")


EXPIRE = """
    UPDATE uploads SET status = 'expired'
    WHERE id = :id AND project_id = :project_id AND status = 'pending' AND expires_at <= :now
"""


async def expire(transaction: Transaction, project_id: str, id: str, now: int) -> None:
    """Note that an upload's time was over before it was completed, if that is so."""
    await transaction.run(EXPIRE, {"id": id, "project_id": project_id, "now": now})


COUNT_PART = """
    UPDATE uploads SET parts = parts + 1, bytes_received = bytes_received + :bytes
    WHERE id = :id AND project_id = :project_id AND status = 'pending' AND expires_at > :now
    RETURNING parts, bytes_received
"""
INSERT_PART = """
    INSERT INTO upload_parts (upload_id, id, created_at, bytes, sha256)
    VALUES (:upload_id, :id, :created_at, :bytes, :sha256)
"""


async def add_part(
    transaction: Transaction, project_id: str, upload_id: str, part: StoredPart, now: int, most: int
) -> None:
    """Add a part to a pending upload, which takes `most` bytes in all.

    Raises `NotFound`, `UploadNotPending` and `BadUpload`.
    """
    params: Params = {"id": upload_id, "project_id": project_id, "now": now, "bytes": part.bytes}
    row = await transaction.one(COUNT_PART, params)
    if row is None:
        raise await why_not(transaction, project_id, upload_id, now)
    if row[0] > MAX_PARTS:
        raise BadUpload(f"The upload has {MAX_PARTS} parts already, and may have no more.", "data")
    if row[1] > most:
        raise BadUpload(f"The parts of an upload may have {most} bytes in all.", "data")
    await transaction.run(
        INSERT_PART,
        {
            "upload_id": upload_id,
            "id": part.id,
            "created_at": now,
            "bytes": part.bytes,
            "sha256": part.sha256,
        },
    )


PARTS = "SELECT id, bytes, sha256 FROM upload_parts WHERE upload_id = :upload_id ORDER BY id"


async def parts(transaction: Transaction, upload_id: str) -> dict[str, StoredPart]:
    """Every part of an upload by its id, at most `MAX_PARTS`."""
    rows = await transaction.all(PARTS, {"upload_id": upload_id})
    return {row[0]: StoredPart(row[0], row[1], row[2]) for row in rows}


DELETE_SOME = """
    DELETE FROM upload_parts WHERE upload_id = :upload_id AND id IN (
        SELECT id FROM upload_parts WHERE upload_id = :upload_id ORDER BY id LIMIT :rows
    )
    RETURNING id
"""


async def delete_some_parts(transaction: Transaction, upload_id: str, rows: int) -> list[str]:
    """Remove some parts' rows; their ids, fewer than `rows` where none are left."""
    return [row[0] for row in await transaction.all(DELETE_SOME, {"upload_id": upload_id, "rows": rows})]
