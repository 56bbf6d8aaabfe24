"""What KNIME's node gives a person, from the shell: `threadkeep api` against this server.

The node's result format "Raw Response" is one row with the columns `body` and `status`.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.dialects.steps import done, new_message, new_thread
from tests.support.house import House
from threadkeep.cli import main


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The output read as CSV."""
        return list(csv.DictReader(io.StringIO(self.out, newline="")))


Api = Callable[..., Outcome]


@pytest.fixture
def api(
    house: House, key: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Api:
    """Runs `threadkeep api` with the server and the key in the environment, as a person would."""
    monkeypatch.setenv("THREADKEEP_BASE_URL", house.base_url)
    monkeypatch.setenv("THREADKEEP_API_KEY", key)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: str) -> Outcome:
        status = main(["api", *words])
        out, err = capfdbinary.readouterr()
        return Outcome(status, out.decode(), err.decode())

    return run


@pytest.fixture
def body_file(tmp_path: Path) -> str:
    """`@body.json`, which holds a message."""
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"role": "user", "content": 'Hello, "world"\n世界', "metadata": {"a": "b"}}))
    return f"@{path}"


@pytest.mark.promise("knime.api-raw")
def test_raw_is_one_row_of_body_and_status(api: Api, v2: httpx.Client, body_file: str) -> None:
    path = f"/threads/{new_thread(v2)}/messages"
    outcome = api("POST", path, "--body", body_file, "--output", "raw")
    [stored] = done(v2.get(path))["data"]
    [row] = outcome.rows
    assert (outcome.status, outcome.err, list(row)) == (0, "", ["body", "status"])
    assert (json.loads(row["body"]), row["status"]) == (stored, "200")


@pytest.mark.promise("knime.api-raw")
def test_a_refusal_is_the_same_row_with_its_status(api: Api, v2: httpx.Client) -> None:
    outcome = api("POST", f"/threads/{new_thread(v2)}/messages", "--body", '{"role": "user"}')
    [row] = outcome.rows
    assert (outcome.status, row["status"]) == (1, "400")
    assert json.loads(row["body"])["error"]["message"] == "Missing required parameter: 'content'."


@pytest.mark.promise("knime.api-json")
def test_json_is_the_message_indented(api: Api, v2: httpx.Client, body_file: str) -> None:
    path = f"/threads/{new_thread(v2)}/messages"
    outcome = api("POST", path, "--body", body_file, "--output", "json")
    [stored] = done(v2.get(path))["data"]
    assert (outcome.status, json.loads(outcome.out)) == (0, stored)
    assert outcome.out.startswith('{\n  "id": "msg_')


@pytest.mark.promise("knime.api-csv")
def test_csv_of_a_list_has_a_row_a_message(api: Api, v2: httpx.Client) -> None:
    thread_id = new_thread(v2)
    made = [new_message(v2, thread_id, text) for text in ("one", 'two, "2"\n2')]
    outcome = api("GET", f"/threads/{thread_id}/messages", "--query", "order=asc", "--output", "csv")
    assert list(outcome.rows[0]) == list(made[0])
    assert [(row["id"], row["role"], row["content"]) for row in outcome.rows] == [
        (made[0]["id"], "user", "one"),
        (made[1]["id"], "user", 'two, "2"\n2'),
    ]


@pytest.mark.promise("knime.api-table")
def test_a_table_shows_ids_and_texts(api: Api, v2: httpx.Client) -> None:
    thread_id = new_thread(v2)
    made = [new_message(v2, thread_id, text) for text in ("one", "two")]
    outcome = api("GET", f"/threads/{thread_id}/messages", "--query", "order=asc", "--output", "table")
    head, *rows = outcome.out.splitlines()
    assert head.split() == list(made[0])
    assert [row.split()[0] for row in rows] == [one["id"] for one in made]
    assert [("one" in row, "two" in row) for row in rows] == [(True, False), (False, True)]


@pytest.mark.promise("knime.api-csv")
def test_csv_of_a_refusal_says_what_is_wrong(api: Api, v2: httpx.Client) -> None:
    body = '{"role": "user", "content": "x", "extra": 1}'
    outcome = api("POST", f"/threads/{new_thread(v2)}/messages", "--body", body, "--output", "csv")
    assert outcome.status == 1
    assert outcome.rows == [
        {
            "message": "Unknown parameter: 'extra'.",
            "type": "invalid_request_error",
            "param": "extra",
            "code": "unknown_parameter",
            "status": "400",
        }
    ]


@pytest.mark.promise("knime.api-beta")
@pytest.mark.parametrize(
    ("beta", "field"), [("v1", "file_ids"), ("v2", "attachments"), ("none", "attachments")]
)
def test_the_version_header_can_be_chosen(
    api: Api, v2: httpx.Client, body_file: str, beta: str, field: str
) -> None:
    path = f"/threads/{new_thread(v2)}/messages"
    outcome = api("POST", path, "--body", body_file, "--beta", beta, "--output", "json")
    message: dict[str, Any] = json.loads(outcome.out)
    assert (outcome.status, message[field]) == (0, [])


@pytest.mark.promise("knime.api-dialects")
def test_every_dialect_can_be_called(api: Api, v2: httpx.Client) -> None:
    thread_id = new_thread(v2)
    outcome = api("POST", f"/rubra/threads/{thread_id}/messages", "--body", "{}", "--output", "csv")
    assert [(row["param"], row["message"]) for row in outcome.rows] == [
        ("body.role", "Field required"),
        ("body.content", "Field required"),
    ]
