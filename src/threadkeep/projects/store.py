"""Rows of projects and api_keys."""

from threadkeep.projects.model import ApiKey, Project
from threadkeep.storage.database import Transaction

PROJECT_OF_SECRET = """
    SELECT project_id FROM api_keys WHERE secret_hash = :secret_hash AND revoked_at IS NULL
"""


async def project_of_secret(transaction: Transaction, secret_hash: str) -> str | None:
    """The id of the project that a live key opens."""
    row = await transaction.one(PROJECT_OF_SECRET, {"secret_hash": secret_hash})
    return row[0] if row else None


PROJECT_BY_NAME = "SELECT id, name, created_at FROM projects WHERE name = :name"


async def project_by_name(transaction: Transaction, name: str) -> Project | None:
    row = await transaction.one(PROJECT_BY_NAME, {"name": name})
    return Project(*row) if row else None


INSERT_PROJECT = "INSERT INTO projects (id, name, created_at) VALUES (:id, :name, :created_at)"


async def insert_project(transaction: Transaction, project: Project) -> None:
    await transaction.run(
        INSERT_PROJECT, {"id": project.id, "name": project.name, "created_at": project.created_at}
    )


INSERT_KEY = """
    INSERT INTO api_keys (id, project_id, name, secret_hash, hint, created_at)
    VALUES (:id, :project_id, :name, :secret_hash, :hint, :created_at)
"""


async def insert_key(transaction: Transaction, project: Project, key: ApiKey, secret_hash: str) -> None:
    await transaction.run(
        INSERT_KEY,
        {
            "id": key.id,
            "project_id": project.id,
            "name": key.name,
            "secret_hash": secret_hash,
            "hint": key.hint,
            "created_at": key.created_at,
        },
    )


KEYS = """
    SELECT k.id, p.name, k.name, k.hint, k.created_at, k.revoked_at
    FROM api_keys k JOIN projects p ON p.id = k.project_id
    ORDER BY k.id
"""


async def keys(transaction: Transaction) -> list[ApiKey]:
    """Every key of every project, the oldest first."""
    return [ApiKey(*row) for row in await transaction.all(KEYS, {})]


KEY_OF_SECRET = """
    SELECT k.id, p.name, k.name, k.hint, k.created_at, k.revoked_at
    FROM api_keys k JOIN projects p ON p.id = k.project_id
    WHERE k.secret_hash = :secret_hash
"""


async def key_of_secret(transaction: Transaction, secret_hash: str) -> ApiKey | None:
    row = await transaction.one(KEY_OF_SECRET, {"secret_hash": secret_hash})
    return ApiKey(*row) if row else None


REVOKE = """
    UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id
"""


async def revoke(transaction: Transaction, id: str, now: int) -> bool:
    """True where a live key of that id was revoked."""
    return await transaction.one(REVOKE, {"id": id, "now": now}) is not None


DELETE_OTHERS_NAMED = """
    DELETE FROM api_keys WHERE name = :name AND secret_hash <> :secret_hash AND revoked_at IS NULL
"""


async def delete_others_named(transaction: Transaction, name: str, secret_hash: str) -> None:
    """Forget every live key of that name but one."""
    await transaction.run(DELETE_OTHERS_NAMED, {"name": name, "secret_hash": secret_hash})


IS_IN_PLACE_OF_OTHERS = """
    SELECT 1 FROM api_keys WHERE secret_hash = :secret_hash AND revoked_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM api_keys o
        WHERE o.name = :name AND o.secret_hash <> :secret_hash AND o.revoked_at IS NULL
    )
"""


async def is_in_place_of_others(transaction: Transaction, name: str, secret_hash: str) -> bool:
    """Whether a key is live, and no other live one has that name."""
    row = await transaction.one(IS_IN_PLACE_OF_OTHERS, {"name": name, "secret_hash": secret_hash})
    return row is not None
