"""What all tests share: a real server on either database, and a fresh project for each test."""

import itertools
import os
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import settings
from openai import DefaultHttpxClient, OpenAI

from tests.support import postgres
from tests.support.house import DATABASES, House
from tests.support.shapes import check_response

_numbers = itertools.count()
# The same cases at every run, however long one takes.
settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.load_profile("suite")
# Tests start processes by the hundred; each would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def no_postgres_stays() -> Iterator[None]:
    """The PostgreSQL that was started, if any, ends with the tests."""
    yield
    if postgres.server.cache_info().currsize:
        postgres.server().close()


@pytest.fixture(scope="session", params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """What kind of database a server works on: whoever asks for this is run on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[House]:
    """A running server with default settings."""
    with House(tmp_path_factory.mktemp("house"), database) as running:
        yield running


@pytest.fixture
def key(house: House) -> str:
    """The key of a project that no other test has."""
    return house.new_key(f"project {next(_numbers)}")


@pytest.fixture
def other_key(house: House) -> str:
    """The key of another project."""
    return house.new_key(f"project {next(_numbers)}")


@pytest.fixture
def client(house: House, key: str) -> Iterator[OpenAI]:
    """The official client, unmodified but for its address. Every answer is held against its schema."""
    # Without `verify=False` each client would first read all certificates, for 30 ms a test.
    checking = DefaultHttpxClient(event_hooks={"response": [check_response]}, verify=False)
    with OpenAI(base_url=house.base_url, api_key=key, max_retries=0, http_client=checking) as one:
        yield one


@pytest.fixture
def http(house: House, key: str) -> Iterator[httpx.Client]:
    """Plain HTTP, with the key and the v2 header; paths begin at the server's root. Every answer is held
    against its schema."""
    headers = {"Authorization": f"Bearer {key}", "OpenAI-Beta": "assistants=v2"}
    hooks = {"response": [check_response]}
    with httpx.Client(base_url=house.address, headers=headers, event_hooks=hooks, verify=False) as one:
        yield one
