"""Who may enter: where a key may stand, and what happens without one. Reference: protocol 1.1, 13."""

import base64
from collections.abc import Callable

import pytest
from openai import AuthenticationError, AzureOpenAI, OpenAI

from tests.support.clock import SetClock
from tests.support.errors import answered, refusal
from tests.support.house import House
from tests.support.plain import plain
from threadkeep.projects.actions import Keys

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
    "auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're "
    "accessing the API from your browser and are prompted for a username and password."
)
BAD_KEY = (
    "Incorrect API key provided: {0}. You can find your API key at "
    "https://platform.openai.com/account/api-keys."
)
UNKNOWN = "sk-" + "x" * 40 + "wxyz"
PATHS = [
    "/v1/threads",
    "/v1/threads/thread_x",
    "/v1/files",
    "/v1/files/x",
    "/v1/foo",
    "/v1",
    "/rubra/threads",
]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ACCEPTED: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "bearer in small letters": lambda key: {"authorization": f"bearer  {key}"},
    "Basic without a user": lambda key: {"Authorization": basic("", key)},
    "Basic with a user": lambda key: {"Authorization": basic("me", key)},
    "api-key": lambda key: {"api-key": key},
    "api-key beside a bearer": lambda key: {"api-key": key, "Authorization": f"Bearer {key}"},
    "gateway": lambda key: {"x-portkey-api-key": key},
    "gateway beside a dummy": lambda key: {
        "x-portkey-api-key": key,
        "Authorization": "Bearer OPENAI_API_KEY",
    },
    "empty gateway": lambda key: {"x-portkey-api-key": "", "Authorization": f"Bearer {key}"},
}


@pytest.mark.promise("auth.places")
@pytest.mark.parametrize("headers", ACCEPTED.values(), ids=ACCEPTED)
def test_a_key_is_taken_from_where_clients_put_it(
    house: House, key: str, headers: Callable[[str], dict[str, str]]
) -> None:
    with plain(house, headers=headers(key)) as http:
        assert http.post("/v1/threads").status_code == 200


@pytest.mark.promise("auth.places")
def test_the_sdks_azure_client_is_let_in(house: House, key: str) -> None:
    with AzureOpenAI(base_url=house.base_url, api_key=key, api_version="2024-05-01-preview") as client:
        thread = client.beta.threads.create()
        assert client.beta.threads.retrieve(thread.id) == thread


WITHOUT: dict[str, dict[str, str]] = {
    "nothing": {},
    "empty bearer": {"Authorization": "Bearer"},
    "no scheme": {"Authorization": UNKNOWN},
    "unknown scheme": {"Authorization": f"Digest {UNKNOWN}"},
    "broken Basic": {"Authorization": "Basic !"},
    "Basic without a password": {"Authorization": basic("user", "")},
}


@pytest.mark.promise("auth.no-key")
@pytest.mark.parametrize("headers", WITHOUT.values(), ids=WITHOUT)
def test_without_a_key_nothing_is_served(house: House, headers: dict[str, str]) -> None:
    with plain(house, headers=headers) as http:
        for path in PATHS[:-1]:
            answer = http.get(path)
            assert answered(answer) == refusal(401, NO_KEY)
            assert answer.headers["www-authenticate"] == 'Bearer realm="OpenAI API"'
        assert http.get(PATHS[-1]).status_code == 401


UNKNOWN_KEYS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "bearer": ({"Authorization": f"Bearer {UNKNOWN}"}, "sk-...wxyz"),
    "Basic": ({"Authorization": basic("", UNKNOWN)}, "sk-...wxyz"),
    "short": ({"Authorization": "Bearer sk-1234"}, "..."),
    "not ASCII": ({"Authorization": b"Bearer \xff\xfe"}, "..."),
    "gateway": ({"x-portkey-api-key": UNKNOWN}, "sk-...wxyz"),
}


@pytest.mark.promise("auth.bad-key")
@pytest.mark.parametrize(("headers", "hint"), UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_and_not_repeated(
    house: House, headers: dict[str, str | bytes], hint: str
) -> None:
    with plain(house, headers=headers) as http:
        for path in PATHS[:-1]:
            answer = http.get(path)
            assert answered(answer) == refusal(401, BAD_KEY.format(hint), None, "invalid_api_key")
            assert answer.headers["www-authenticate"] == 'Bearer realm="OpenAI API"'
            assert UNKNOWN not in answer.text


@pytest.mark.promise("auth.gateway-header-wins")
def test_an_unknown_key_in_the_gateways_header_is_not_made_good_by_a_bearer(house: House, key: str) -> None:
    headers = {"x-portkey-api-key": UNKNOWN, "Authorization": f"Bearer {key}"}
    with plain(house, headers=headers) as http:
        assert http.get("/v1/threads").status_code == 401


@pytest.mark.promise("auth.bad-key")
def test_the_sdk_raises_its_own_error(house: House) -> None:
    with OpenAI(base_url=house.base_url, api_key=UNKNOWN, max_retries=0) as client:
        with pytest.raises(AuthenticationError) as caught:
            client.beta.threads.create()
        assert caught.value.code == "invalid_api_key"


@pytest.mark.promise("auth.checked-first")
@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/threads", {"Content-Type": "text/plain"}),
        ("POST", "/v1/threads", {"OpenAI-Beta": "assistants=v9"}),
        ("PATCH", "/v1/threads", {}),
        ("GET", "/v1/threads/undefined", {}),
        ("POST", "/v1/files", {}),
    ],
)
def test_the_key_is_looked_at_before_anything_else(
    house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    with plain(house, headers=headers) as http:
        answer = http.request(method, path, content=b"x" * 100_000)
        assert answered(answer) == refusal(401, NO_KEY)


@pytest.mark.promise("auth.public-paths")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/healthz/"])
def test_health_and_description_need_no_key(house: House, path: str) -> None:
    with plain(house) as http:
        assert http.get(path).status_code == 200


@pytest.mark.promise("auth.revoked-key")
def test_a_revoked_key_opens_nothing_any_more(
    tmp_path_factory: pytest.TempPathFactory, database: str
) -> None:
    clock = SetClock()
    with House(tmp_path_factory.mktemp("revoking"), database, clock=clock) as house:
        revoked, unused, kept = (house.new_key("one project") for _ in range(3))
        assert [status(house, revoked), status(house, kept)] == [200, 200]
        revoke(house, revoked)
        revoke(house, unused)
        assert status(house, unused) == 401
        clock.advance(0.021)  # keys seen just now are remembered for a moment
        assert [status(house, key) for key in (revoked, unused, kept)] == [401, 401, 200]


def status(house: House, key: str) -> int:
    with plain(house, key) as http:
        return http.get("/v1/threads").status_code


def revoke(house: House, secret: str) -> None:
    """Revoke the key whose ends those of `secret` are."""
    keys = Keys(house.context.database, house.clock, house.context.new_id)
    (id,) = [key.id for key in house.call(keys.list) if key.hint[-4:] == secret[-4:]]
    assert house.call(lambda: keys.revoke(id))
