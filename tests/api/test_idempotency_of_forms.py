"""What counts of a form that is sent again with its key. The rest is in test_idempotency.py."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.promise("idempotency.uploads")
MARK = "idempotent-replayed"


def sent(http: httpx.Client, path: str, **form: Any) -> httpx.Response:
    return http.post(path, headers={"Idempotency-Key": "form"}, **form)


def test_of_a_part_its_bytes_count_alone(http: httpx.Client) -> None:
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 3, "mime_type": "text/plain"}
    parts = f"/v1/uploads/{http.post('/v1/uploads', json=new).json()['id']}/parts"
    first = sent(http, parts, files={"data": ("one", b"abc")})
    again = sent(http, parts, files={"data": ("two", b"abc")}, data={"more": "x"})
    assert (again.content, again.headers[MARK]) == (first.content, "true")
    assert sent(http, parts, files={"data": ("one", b"xyz")}).status_code == 409


def test_of_a_file_only_fields_count_that_are_known(http: httpx.Client) -> None:
    file = {"file": ("a.txt", b"abc")}
    life = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    first = sent(http, "/v1/files", files=file, data={"purpose": "vision"})
    again = sent(http, "/v1/files", files=file, data={"purpose": "vision", "more": "x"})
    assert (again.content, again.headers[MARK]) == (first.content, "true")
    assert sent(http, "/v1/files", files=file, data={"purpose": "vision", **life}).status_code == 409
