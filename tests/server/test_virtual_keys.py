"""Virtual keys from the operator's side and from the caller's: made, listed, deleted, chosen and refused."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from portkey_ai import Portkey

from tests.support import postgres
from tests.support.house import House, database_url
from tests.support.plain import plain
from tests.support.upstream import Call, Say, Upstream
from tests.support.waiting import until
from threadkeep.cli import main
from threadkeep.settings import ProviderSettings

ENCRYPTION_KEY = "an encryption key of the tests' own"
HEADER = "x-portkey-virtual-key"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def address(database: str, tmp_path: Path) -> str:
    return database_url(database, tmp_path)


Operate = Callable[..., int]


@pytest.fixture
def operate(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> Operate:
    """`operate("create", "NAME", ..., secret="...")` runs `threadkeep virtual-keys`; its exit status."""
    config = tmp_path / "threadkeep.toml"
    config.write_text(f'[providers.tenant]\nbase_url = "{upstream.url}"\n')
    monkeypatch.setenv("THREADKEEP_ENCRYPTION_KEY", ENCRYPTION_KEY)

    def run(action: str, *arguments: str, secret: str = "sk-tenant") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(secret + "\n"))
        flags = ["--database", address, "--config", str(config)]
        return main(["virtual-keys", action, *arguments, *flags])

    return run


@pytest.fixture
def serve(address: str, tmp_path: Path, upstream: Upstream) -> Iterator[Callable[..., House]]:
    """`serve(**settings)` starts a server on the same database."""
    running: list[House] = []

    def start(**given: Any) -> House:
        settings: dict[str, Any] = {
            "database_url": address,
            "upstream_base_url": upstream.url,
            "upstream_api_key": "sk-everybody",
            "providers": {"tenant": ProviderSettings(base_url=upstream.url)},
            "encryption_key": ENCRYPTION_KEY,
        }
        house = House(tmp_path, **{**settings, **given})
        running.append(house)
        return house.__enter__()

    yield start
    for house in running:
        house.__exit__()


@pytest.fixture
def house(serve: Callable[..., House]) -> House:
    return serve()


@pytest.fixture
def http(house: House) -> Iterator[httpx.Client]:
    with plain(house, house.new_key("of the test")) as client:
        yield client


def run_to_its_end(http: httpx.Client, **headers: str) -> dict[str, Any]:
    """A run that says hello, and what became of it."""
    assistant = http.post("/v1/assistants", json={"model": "gpt-4o"}).json()["id"]
    thread = {"messages": [{"role": "user", "content": "Hello"}]}
    body = {"assistant_id": assistant, "thread": thread}
    run = http.post("/v1/threads/runs", json=body, headers=headers).json()
    return ended(http, run)


def ended(http: httpx.Client, run: dict[str, Any], *states: str) -> dict[str, Any]:
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    wanted = states or ("completed", "failed", "requires_action")
    until(lambda: http.get(path).json()["status"] in wanted)
    return dict(http.get(path).json())


def secrets_sent(upstream: Upstream) -> list[str]:
    return [asked.headers["Authorization"] for asked in upstream.requests]


def rows(address: str, database: str) -> str:
    """Everything that the table holds."""
    if database == "postgres":
        name = address.partition("?")[0].rpartition("/")[2]
        return repr(postgres.server().execute("SELECT * FROM virtual_keys", name))
    return Path(address.removeprefix("sqlite:///")).read_bytes().decode("latin-1")


# ---------------------------------------------------------------- the caller


@pytest.mark.promise("portkey.virtual-key.none")
def test_without_any_virtual_key_the_header_has_no_effect(http, upstream):
    upstream.script(Say("Hi"))
    assert run_to_its_end(http, **{HEADER: "openai-1"})["status"] == "completed"
    assert secrets_sent(upstream) == ["Bearer sk-everybody"]


@pytest.mark.promise("portkey.virtual-key.chosen")
@pytest.mark.parametrize("place", ["--provider", "--base-url"])
def test_the_header_chooses_provider_and_secret_of_a_run(http, upstream, operate, place):
    where = "tenant" if place == "--provider" else upstream.url
    assert operate("create", "tenant-1", place, where) == 0
    upstream.script(Say("Hi"), Say("Hi"))
    assert run_to_its_end(http, **{HEADER: "tenant-1"})["status"] == "completed"
    assert run_to_its_end(http)["status"] == "completed"
    assert secrets_sent(upstream) == ["Bearer sk-tenant", "Bearer sk-everybody"]


@pytest.mark.promise("portkey.virtual-key.chosen")
def test_portkeys_headers_as_its_client_sends_them(house, upstream, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    upstream.script(Say("Hi"))
    headers: dict[str, str | bytes] = {
        "Authorization": "Bearer OPENAI_API_KEY",
        "x-portkey-api-key": house.new_key("of portkey"),
        HEADER: "tenant-1",
        "x-portkey-trace-id": "trace-1",
        "x-portkey-metadata": '{"_user": "me"}',
        "x-portkey-strict-open-ai-compliance": "true",
        "x-portkey-package-version": "portkey-ai-2.0.0",
        "x-portkey-runtime": "python",
    }
    with plain(house, headers=headers) as http:
        assert run_to_its_end(http)["status"] == "completed"
    assert secrets_sent(upstream) == ["Bearer sk-tenant"]
    assert not any(name.lower().startswith("x-portkey") for name in upstream.requests[0].headers)


EVERYWHERE = [
    ("POST", "/v1/threads", {}),
    ("POST", "/v1/threads", {"OpenAI-Beta": "assistants=v1"}),
    ("GET", "/v1/files", {}),
    ("GET", "/v1/nowhere", {}),
    ("POST", "/rubra/threads", {}),
]


@pytest.mark.promise("portkey.virtual-key.unknown")
def test_an_unknown_name_is_refused_before_anything_is_written(http, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    for method, path, headers in EVERYWHERE:
        once = {"Idempotency-Key": "one"} if method == "POST" else {}
        refused = http.request(method, path, headers={**headers, **once, HEADER: "tenant-2"})
        assert refused.status_code == 401
        assert "tenant-2" in json.dumps(refused.json())
    known = {HEADER: "tenant-1", "Idempotency-Key": "one"}
    assert http.get("/v1/threads").json()["data"] == []
    assert http.post("/v1/threads", headers=known, json={"metadata": {"a": "b"}}).status_code == 200


@pytest.mark.promise("portkey.virtual-key.unknown")
def test_the_refusal_is_in_the_services_envelope(http, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    refused = http.get("/v1/threads", headers={HEADER: "tenant-2"})
    assert refused.json()["error"]["code"] == "unknown_virtual_key"
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_who_calls_is_asked_first(http, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    refused = http.get("/v1/threads", headers={HEADER: "tenant-2", "Authorization": "Bearer sk-wrong"})
    assert refused.json()["error"]["code"] == "invalid_api_key"


def test_the_public_paths_ask_for_neither(http, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    assert http.get("/healthz", headers={HEADER: "tenant-2"}).status_code == 200


# ---------------------------------------------------------------- the operator


@pytest.mark.promise("server.virtual-keys.at-once")
def test_what_the_operator_does_holds_at_once_on_the_running_server(http, operate):
    def status(name: str) -> int:
        return http.get("/v1/threads", headers={HEADER: name}).status_code

    assert status("tenant-1") == status("other") == 200
    operate("create", "tenant-1", "--provider", "tenant")
    until(lambda: status("other") == 401)
    assert status("tenant-1") == 200
    operate("delete", "tenant-1")
    until(lambda: status("other") == 200)


@pytest.mark.promise("server.virtual-keys.deleted")
def test_a_run_whose_virtual_key_was_deleted_fails_and_says_so(http, upstream, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    upstream.script(Say(Call("look", "{}", id="call_1")))
    tools = [{"type": "function", "function": {"name": "look"}}]
    assistant = http.post("/v1/assistants", json={"model": "gpt-4o", "tools": tools}).json()["id"]
    body = {"assistant_id": assistant, "thread": {"messages": [{"role": "user", "content": "Hello"}]}}
    run = http.post("/v1/threads/runs", json=body, headers={HEADER: "tenant-1"}).json()
    ended(http, run, "requires_action")
    operate("delete", "tenant-1")
    outputs = {"tool_outputs": [{"tool_call_id": "call_1", "output": "fine"}]}
    http.post(f"/v1/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs", json=outputs)
    failed = ended(http, run, "failed", "completed")
    assert failed["last_error"] == {
        "code": "server_error",
        "message": "The virtual key that this run was created with has been deleted.",
    }


@pytest.mark.promise("server.virtual-keys.encryption-key")
@pytest.mark.parametrize(
    ("key", "state"),
    [(None, "not set"), ("another encryption key of the tests", "not the one it was made with")],
)
def test_a_server_without_the_encryption_key_says_so_in_the_run(serve, operate, key, state):
    operate("create", "tenant-1", "--provider", "tenant")
    house = serve(encryption_key=key)
    with plain(house, house.new_key("of the test")) as http:
        failed = run_to_its_end(http, **{HEADER: "tenant-1"})
    assert failed["status"] == "failed"
    said = f"The virtual key 'tenant-1' cannot be opened: the server's THREADKEEP_ENCRYPTION_KEY is {state}."
    assert failed["last_error"]["message"] == said


@pytest.mark.promise("server.virtual-keys.secret")
def test_the_secret_is_neither_stored_nor_shown_nor_logged(
    house, http, upstream, operate, address, database, capsys, caplog
):
    secret = "sk-tenant-whose-secret-nobody-sees"
    operate("create", "tenant-1", "--provider", "tenant", secret=secret)
    operate("list")
    upstream.script(Say("Hi"))
    with caplog.at_level("DEBUG"):
        run_to_its_end(http, **{HEADER: "tenant-1"})
    assert secrets_sent(upstream) == [f"Bearer {secret}"]
    output = capsys.readouterr()
    for place in (output.out, output.err, caplog.text, rows(address, database)):
        assert secret not in place
    assert "tenant-1" in output.out


@pytest.mark.promise("server.virtual-keys.secret")
def test_the_secret_may_come_from_the_environment(http, upstream, operate, monkeypatch):
    monkeypatch.setenv("THE_SECRET", "sk-of-the-environment")
    assert operate("create", "tenant-1", "--provider", "tenant", "--secret-env", "THE_SECRET", secret="") == 0
    upstream.script(Say("Hi"))
    run_to_its_end(http, **{HEADER: "tenant-1"})
    assert secrets_sent(upstream) == ["Bearer sk-of-the-environment"]


def test_list_shows_names_and_places(operate, upstream, capsys):
    operate("create", "b", "--provider", "tenant")
    operate("create", "a", "--base-url", upstream.url)
    capsys.readouterr()
    assert operate("list") == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "PROVIDER", "CREATED"]
    assert [line.split()[:2] for line in lines] == [["a", upstream.url], ["b", "tenant"]]


def test_deleting_what_is_not_there_is_told(operate, capsys):
    assert operate("delete", "nobody") == 1
    assert "there is no virtual key nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["a b", "--provider", "tenant"], "sk", "A virtual key's name has 1 to 100 letters"),
        (["a", "--provider", "nobody"], "sk", "have no provider 'nobody' (they have: tenant)"),
        (["a", "--base-url", "ftp://x"], "sk", "have no provider 'ftp://x'"),
        (["a", "--provider", "tenant"], "", "The secret is empty."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(operate, capsys, arguments, secret, said):
    assert operate("create", *arguments, secret=secret) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_name_is_given_once(operate, capsys):
    assert operate("create", "a", "--provider", "tenant") == 0
    assert operate("create", "a", "--provider", "tenant") == 1
    assert "There is a virtual key 'a' already" in capsys.readouterr().err


@pytest.mark.promise("server.virtual-keys.encryption-key")
@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "Virtual keys need THREADKEEP_ENCRYPTION_KEY"),
        ("short", "must have at least 32 characters"),
        ("another encryption key of the tests", "is not the one with which the virtual key 'a' was made"),
    ],
)
def test_an_encryption_key_that_will_not_do_is_refused(operate, capsys, monkeypatch, key, said):
    operate("create", "a", "--provider", "tenant")
    if key is None:
        monkeypatch.delenv("THREADKEEP_ENCRYPTION_KEY")
    else:
        monkeypatch.setenv("THREADKEEP_ENCRYPTION_KEY", key)
    assert operate("create", "b", "--provider", "tenant") == 1
    error = capsys.readouterr().err
    assert said in error
    assert (key or ENCRYPTION_KEY) not in error


def test_a_secret_is_no_argument(operate, capsys):
    """Or everybody on the machine could read it."""
    with pytest.raises(SystemExit):
        operate("create", "a", "sk-secret", "--provider", "tenant")
    assert "sk-secret" not in capsys.readouterr().err


@pytest.mark.promise("portkey.virtual-key.chosen")
def test_portkeys_own_client(house, upstream, operate):
    operate("create", "tenant-1", "--provider", "tenant")
    upstream.script(Say("Hi"))
    with httpx.Client(verify=False) as http:
        key = house.new_key("of portkey")
        portkey: Any = Portkey(api_key=key, base_url=house.base_url, virtual_key="tenant-1", http_client=http)
        assistant = portkey.beta.assistants.create(model="gpt-4o")
        thread = portkey.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
        run = portkey.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
        with plain(house, key) as own:
            assert ended(own, {"id": run.id, "thread_id": thread.id})["status"] == "completed"
    assert secrets_sent(upstream) == ["Bearer sk-tenant"]
