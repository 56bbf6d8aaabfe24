"""The same create and list, written the usual way: FastAPI, pydantic and SQLAlchemy's ORM on SQLite.

`python -m bench.reference --port N --database FILE` makes the tables and the threads that the benchmark
writes to and reads from, then serves. It is meant to be fair: the same validation, the same durability
(WAL, synchronous=FULL, one commit a create), an index for the pages, keyset paging, uvicorn with uvloop
and httptools, no access log. It does less than Threadkeep elsewhere: the key is checked in memory,
positions come from the primary key, there is one dialect and one form of error.

Of the two usual ways the faster was kept: plain `def` endpoints in FastAPI's thread pool. `async def`
endpoints with aiosqlite reached 0.6 to 0.7 times as many requests a second. The pool has two threads, the
best of 1, 2, 4 and 8 over both operations; the default of 40 and SQLite's one writer get in each other's
way. Calling SQLAlchemy from `async def`, so that the event loop stands still meanwhile, which FastAPI's
documentation advises against, would give 1.2 to 1.3 times as many requests at a far longer p99.
"""
