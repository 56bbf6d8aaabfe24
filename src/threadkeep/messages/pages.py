"""Pages of a thread's messages, by position.

A cursor keeps its place when its message is deleted. Pages that are asked for together are read together.
"""

from collections.abc import Mapping
from functools import cache

from threadkeep.errors import NotFound
from threadkeep.messages.model import id_in
from threadkeep.messages.store import require_thread
from threadkeep.paging import FIRST, LAST, Page, PageQuery, between, cut
from threadkeep.storage.database import Database, Params, Question, Transaction

# Where a cursor stands, also that of a message that was deleted since; one that waits comes last. One that
# never was stands nowhere: no position compares with NULL, so the page is empty, and then it is asked why.
_PLACE = """CASE WHEN {cursor} IS NULL THEN {outside} ELSE COALESCE(
        (SELECT position FROM messages WHERE id = {cursor} AND thread_id = {thread_id}),
        (SELECT position FROM tombstones WHERE id = {cursor} AND parent_id = {thread_id}),
        (SELECT {last} FROM waiting_messages WHERE id = {cursor} AND thread_id = {thread_id})) END"""
_BETWEEN = f"""
    AND position > {_PLACE.format(cursor="{low}", outside=FIRST, last=LAST - 1, thread_id="{thread_id}")}
    AND position < {_PLACE.format(cursor="{high}", outside=LAST, last=LAST - 1, thread_id="{thread_id}")}
"""
_OF_RUN = """
    AND run_id = :run_id
"""
_PAGE = """
    SELECT body FROM messages
    WHERE thread_id = (SELECT id FROM threads WHERE id = {thread_id} AND project_id = {project_id})
    {conditions} ORDER BY position {direction} LIMIT {rows}
"""
_PARAMETERS = {
    "thread_id": ":thread_id",
    "project_id": ":project_id",
    "low": "CAST(:low AS TEXT)",
    "high": "CAST(:high AS TEXT)",
    "rows": ":rows",
}
_COLUMNS = {name: f"i.{name}" for name in _PARAMETERS}
_MANY = """
    SELECT NULLIF(ARRAY({page}), '{{}}') FROM unnest(
        :thread_ids::text[], :project_ids::text[], :lows::text[], :highs::text[], :limits::bigint[]
    ) WITH ORDINALITY AS i (thread_id, project_id, low, high, rows, number) ORDER BY i.number
"""


def page_text(names: Mapping[str, str], down: bool, cursors: bool, of_run: bool) -> str:
    conditions = _BETWEEN.format(**names) * cursors + _OF_RUN * of_run
    return _PAGE.format(conditions=conditions, direction="DESC" if down else "ASC", **names)


# One text for each way through a thread, so that each is prepared once and walks the primary key.
@cache
def page_of(down: bool, cursors: bool, of_run: bool) -> str:
    """The statement that reads a page."""
    return page_text(_PARAMETERS, down, cursors, of_run)


@cache
def pages_of(down: bool, cursors: bool) -> Question:
    """The statement that reads many."""
    text = _MANY.format(page=page_text(_COLUMNS, down, cursors, of_run=False))
    return Question(text, ("thread_ids", "project_ids", "lows", "highs", "limits"))


async def page(
    transaction: Transaction, project_id: str, thread_id: str, query: PageQuery, run_id: str | None = None
) -> Page[str]:
    """The bodies of one page. Raises `NotFound` for the thread or a cursor."""
    return cut(query, await bodies(transaction, project_id, thread_id, query, run_id), id_in)


async def page_beside_others(
    database: Database, project_id: str, thread_id: str, query: PageQuery
) -> Page[str]:
    """As `page`, read together with other pages that are asked for at the same time."""
    low, high = between(query, query.after, query.before, None, None)
    question = pages_of(query.walks_down, bool(low or high))
    row = (thread_id, project_id, low, high, query.limit + 1)

    async def alone(transaction: Transaction) -> list[str]:
        return await bodies(transaction, project_id, thread_id, query, None)

    return cut(query, await database.ask(question, row, alone), id_in)


async def bodies(
    transaction: Transaction, project_id: str, thread_id: str, query: PageQuery, run_id: str | None
) -> list[str]:
    """One more than the page has, where more follow."""
    low, high = between(query, query.after, query.before, None, None)
    params: Params = {
        "thread_id": thread_id,
        "project_id": project_id,
        "low": low,
        "high": high,
        "run_id": run_id,
        "rows": query.limit + 1,
    }
    sql = page_of(query.walks_down, bool(low or high), run_id is not None)
    rows = await transaction.all(sql, params)
    if not rows:
        await require_thread(transaction, project_id, thread_id)
        await require_cursor(transaction, thread_id, query.after)
        await require_cursor(transaction, thread_id, query.before)
    return [row[0] for row in rows]


CURSOR = """
    SELECT 1 FROM messages WHERE id = :id AND thread_id = :thread_id
    UNION ALL
    SELECT 1 FROM tombstones WHERE id = :id AND parent_id = :thread_id
    UNION ALL
    SELECT 1 FROM waiting_messages WHERE id = :id AND thread_id = :thread_id
"""


async def require_cursor(transaction: Transaction, thread_id: str, cursor: str | None) -> None:
    """A cursor is a message of the thread, or was one."""
    if cursor is None:
        return
    if await transaction.one(CURSOR, {"id": cursor, "thread_id": thread_id}) is None:
        raise NotFound("message", cursor)
