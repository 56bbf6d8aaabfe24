"""`make bench`: Threadkeep beside a bare ASGI app and the usual FastAPI + SQLAlchemy, in one table."""
