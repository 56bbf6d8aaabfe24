"""Rows of run steps. Whose a run is has been settled by `runs.store` before its steps are asked for."""

from threadkeep.errors import NotFound
from threadkeep.paging import Page, PageQuery, by_position, cut, page_text
from threadkeep.runs.model import RunStep, step_of, text_of
from threadkeep.storage.database import Params, Transaction

ADD = """
    INSERT INTO run_steps (run_id, position, id, body)
    SELECT CAST(:run_id AS TEXT), COALESCE(MAX(position), 0) + 1, CAST(:id AS TEXT), CAST(:body AS TEXT)
    FROM run_steps WHERE run_id = :run_id
"""
UPDATE = "UPDATE run_steps SET body = :body WHERE run_id = :run_id AND id = :id RETURNING id"


async def put(transaction: Transaction, step: RunStep) -> None:
    """Store a step, new or changed, of a run that this transaction has locked."""
    params: Params = {"run_id": step.run_id, "id": step.id, "body": text_of(step)}
    if await transaction.one(UPDATE, params) is None:
        await transaction.run(ADD, params)


_STEPS = "SELECT body FROM run_steps WHERE run_id = :run_id"
OF_RUN = f"{_STEPS} ORDER BY position"


async def of_run(transaction: Transaction, run_id: str) -> list[RunStep]:
    """Every step of a run, the first one first."""
    return [step_of(row[0]) for row in await transaction.all(OF_RUN, {"run_id": run_id})]


GET = "SELECT body, position FROM run_steps WHERE run_id = :run_id AND id = :id"


async def get(transaction: Transaction, run_id: str, id: str) -> RunStep:
    """One step of a run that is the caller's. Raises `NotFound`."""
    return (await at(transaction, run_id, id))[0]


async def at(transaction: Transaction, run_id: str, id: str) -> tuple[RunStep, int]:
    """One step and its place among the run's. Raises `NotFound`."""
    row = await transaction.one(GET, {"run_id": run_id, "id": id})
    if row is None:
        raise NotFound("run step", id)
    return step_of(row[0]), row[1]


async def place_of(transaction: Transaction, run_id: str, cursor: str | None) -> int | None:
    return None if cursor is None else (await at(transaction, run_id, cursor))[1]


async def page(transaction: Transaction, run_id: str, query: PageQuery) -> Page[RunStep]:
    """One page of the steps of a run that is the caller's. Raises `NotFound` for a cursor."""
    after = await place_of(transaction, run_id, query.after)
    before = await place_of(transaction, run_id, query.before)
    sql = page_text(_STEPS, "position", query.walks_down)
    rows = await transaction.all(sql, {"run_id": run_id, **by_position(query, after, before)})
    return cut(query, [step_of(row[0]) for row in rows], lambda step: step.id)
