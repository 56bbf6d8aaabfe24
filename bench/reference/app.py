"""The two operations."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from bench.reference.shapes import CreateMessage, MessageList, MessageOut, Order, new_message
from bench.reference.tables import Message, Thread

PROJECT = "proj_bench"
WORKERS = 2
"""Threads for endpoints."""


def application(engine: Engine, key: str) -> FastAPI:
    """Two operations over the tables of `engine`, for the caller that knows `key`."""
    new_session = sessionmaker(engine, expire_on_commit=False)
    projects = {hashlib.sha256(key.encode()).hexdigest(): PROJECT}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = WORKERS
        yield

    async def caller(authorization: Annotated[str, Header()] = "") -> str:
        secret = authorization.removeprefix("Bearer ")
        project = projects.get(hashlib.sha256(secret.encode()).hexdigest())
        if project is None:
            raise HTTPException(401, "Incorrect API key provided.")
        return project

    Project = Annotated[str, Depends(caller)]
    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/threads/{thread_id}/messages")
    def create_message(thread_id: str, body: CreateMessage, project: Project) -> MessageOut:
        with new_session() as session:
            require_thread(session, project, thread_id)
            created = new_message(thread_id, body)
            session.add(created)
            session.commit()
            return MessageOut.model_validate(created)

    @app.get("/v1/threads/{thread_id}/messages")
    def list_messages(
        thread_id: str,
        project: Project,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> MessageList:
        with new_session() as session:
            require_thread(session, project, thread_id)
            rows = page(session, thread_id, limit, order, after, before)
        data = [MessageOut.model_validate(row) for row in rows[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return MessageList(data=data, first_id=first, last_id=last, has_more=len(rows) > limit)

    return app


def require_thread(session: Session, project: str, thread_id: str) -> None:
    """404, unless the thread exists and is the caller's."""
    thread = session.get(Thread, thread_id)
    if thread is None or thread.project_id != project:
        raise HTTPException(404, f"No thread found with id '{thread_id}'.")


def page(
    session: Session, thread_id: str, limit: int, order: Order, after: str | None, before: str | None
) -> Sequence[Message]:
    """The rows of a page and one more, so that the caller sees whether there is more."""
    place = Message.position
    statement = select(Message).where(Message.thread_id == thread_id)
    for cursor, forward in ((after, order == "asc"), (before, order == "desc")):
        if cursor is not None:
            known = select(place).where(Message.thread_id == thread_id, Message.id == cursor)
            position = session.scalar(known)
            if position is None:
                raise HTTPException(404, f"No message found with id '{cursor}'.")
            statement = statement.where(place > position if forward else place < position)
    statement = statement.order_by(place if order == "asc" else place.desc())
    return session.scalars(statement.limit(limit + 1)).all()
