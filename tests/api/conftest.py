"""What tests of the API share beyond `tests/conftest.py`."""

import httpx
import pytest


@pytest.fixture
def places(http: httpx.Client) -> dict[str, str]:
    """Paths of a thread and of a message in it."""
    message = {"role": "user", "content": "x"}
    thread = f"/v1/threads/{http.post('/v1/threads').json()['id']}"
    id = http.post(f"{thread}/messages", json=message).json()["id"]
    return {"thread": thread, "message": f"{thread}/messages/{id}"}
