"""`python -m bench.reference`: prepare the database and serve."""

import argparse
import time
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from bench.reference.app import PROJECT, WORKERS, application
from bench.reference.shapes import CreateMessage, new_message
from bench.reference.tables import Base, Thread, connect
from bench.servers import serve
from bench.workload import KEY, METADATA, REFERENCE_LISTED, REFERENCE_WRITTEN, SHORT_THREAD, TEXT


def prepare(engine: Engine) -> None:
    """Make the tables, the threads to write to and the thread to read from."""
    Base.metadata.create_all(engine)
    body = CreateMessage(role="user", content=TEXT, metadata=METADATA)
    with Session(engine) as session:
        for thread_id in REFERENCE_WRITTEN + REFERENCE_LISTED:
            session.add(Thread(id=thread_id, project_id=PROJECT, created_at=int(time.time())))
        session.flush()
        for thread_id in REFERENCE_LISTED:
            session.add_all(new_message(thread_id, body) for _ in range(SHORT_THREAD))
        session.commit()


def main() -> None:
    """Prepare the database and serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m bench.reference")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    options = parser.parse_args()
    engine = connect(options.database, WORKERS)
    prepare(engine)
    serve(application(engine, KEY), options.port, lifespan="on")


if __name__ == "__main__":
    main()
