"""A fault of the server's own: the documented 500, under a request id that the log has too."""

import msgspec
import pytest

from tests.support.house import House

PATHS = ["/v1/threads", "/rubra/threads"]


@pytest.fixture
def broken(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A server whose ids have run out, which cannot happen."""

    def new_id(_: str) -> str:
        raise ZeroDivisionError("no more ids")

    running = house.app._running
    assert running is not None
    context = msgspec.structs.replace(running.context, new_id=new_id)
    monkeypatch.setattr(running, "context", context)
    return house


def words(request_id: str) -> str:
    return (
        "The server had an error processing your request. Sorry about that! You can retry your request, or "
        "tell the operator of this server if the error persists. (Please include the request ID "
        f"{request_id}.)"
    )


@pytest.mark.promise("server.fault.500")
@pytest.mark.parametrize("version", ["assistants=v1", "assistants=v2"])
def test_a_fault_answers_the_documented_500_and_is_logged(broken, http, caplog, version):
    answer = http.post("/v1/threads", json={}, headers={"OpenAI-Beta": version})
    id = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {"message": words(id), "type": "server_error", "param": None, "code": None}
    }
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage() == f"event=internal_error request={id}"
    assert "no more ids" in caplog.text


@pytest.mark.promise("server.fault.500")
def test_rubra_clients_get_it_in_their_own_form(broken, http):
    answer = http.post("/rubra/threads", json={})
    assert answer.status_code == 500
    assert answer.json() == {"detail": words(answer.headers["x-request-id"])}


@pytest.mark.promise("server.fault.500")
def test_no_answer_shows_what_went_wrong_inside(broken, http):
    for path in PATHS:
        answer = http.post(path, json={})
        assert "ids have run out" not in answer.text
        assert "ZeroDivision" not in answer.text
        assert "Traceback" not in answer.text


def test_the_server_goes_on_after_a_fault(house, http, monkeypatch, broken):
    assert http.post("/v1/threads", json={}).status_code == 500
    monkeypatch.undo()
    assert http.post("/v1/threads", json={}).status_code == 200
