"""The server against its own description: GET /openapi.json, held to by schemathesis.

Requests are made from the description, valid ones and broken ones. Whatever comes back, its status,
content type, headers and body must be described; a broken request must not pass, and one that is
valid in its dialect must not be refused for its form.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.support.house import House
from threadkeep.http.openapi import document
from threadkeep.http.openapi.document import RUBRA, Family
from threadkeep.wire import openai_v1, openai_v2

bounded = settings(
    derandomize=True,
    max_examples=5,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
)


V2 = Family("openai", "/v1", (openai_v2.DIALECT,), ("assistants=v2",))
V1 = Family("openai", "/v1", (openai_v1.DIALECT,), ("assistants=v1",))
OF_V1_ALONE = "/v1/(assistants|threads)"  # files are the same in both versions
Document = dict[str, Any]


@cache
def whole() -> Document:
    return document()


def part_of(family: Family) -> Document:
    """One dialect's part of the description, without the header that chooses it."""
    part = document(families=[family])
    for path in part["paths"].values():
        for operation in path.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if "$ref" not in one]
    return part


@cache
def v2() -> Document:
    return part_of(V2)


@cache
def v1() -> Document:
    return part_of(V1)


@cache
def rubra() -> Document:
    return part_of(RUBRA)


@cache
def schema_of(described: Callable[[], Document]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(described())


def each_operation(described: Callable[[], Document], only: str = "") -> pytest.MarkDecorator:
    """Runs a test for each operation of a description whose path begins like that."""
    named = {
        f"{method.upper()} {path}": (described, method, path)
        for path, operations in described()["paths"].items()
        for method in operations
        if re.match(only, path)
    }
    return pytest.mark.parametrize("each_case", named.values(), ids=named, indirect=True)


Send = Callable[[Case], None]
MANY, ONE_IN = 40, 40
"""Of more cases of one operation every fortieth is sent: filters within filters make thousands."""


def some(send: Send) -> Send:
    """Sends the first cases, and of the others some."""
    numbers = itertools.count(1)

    def send_some(case: Case) -> None:
        number = next(numbers)
        if number <= MANY or number % ONE_IN == 0:
            send(case)

    return send_some


@pytest.fixture
def each_case(request: pytest.FixtureRequest) -> Callable[[Send], None]:
    """Has every case of an operation sent. `schema.parametrize` would make those of all operations while
    tests are collected, which takes as long as to send them, and which each process would do."""
    described, method, path = request.param
    schema = schema_of(described).include(method=method.upper(), path=path)

    def send_each(send: Send) -> None:
        (one,) = (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok))
        modes = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING]
        if described is not whole:
            modes.append(HypothesisTestMode.COVERAGE)
        config = HypothesisTestConfig(schema.config, modes)
        create_test(operation=one, test_func=bounded(some(send)), config=config)()

    return send_each


NOT_AT_ALL_TIMES = {
    "create_run",
    "create_thread_and_run",
    "submit_tool_outputs",
    "cancel_run",
    "add_upload_part",
    "complete_upload",
    "cancel_upload",
}
"""What the state of a thread, a run or an upload may refuse, whatever the request says."""
OF_MANY_FIELDS = {
    "create_vector_store",
    "create_vector_store_file",
    "create_vector_store_file_batch",
    "create_thread",
    "create_assistant",
}
"""What one field may refuse for another's sake: half of a chunk overlaps at most, files come in one way, and
a store is either named or made."""


def upload_of(size: int) -> dict[str, object]:
    """The body of a new upload."""
    return {"filename": "a", "purpose": "vision", "bytes": size, "mime_type": "text/plain"}


def has_whole_float(value: Any) -> bool:
    """Whether there is a 2.0 in a body: an integer to JSON Schema, but not to the service."""
    if isinstance(value, dict | list):
        return any(map(has_whole_float, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and value.is_integer()


def invalid(case: Case) -> set[ParameterLocation]:
    """The parts of a request that are meant to be refused. Headers alone may not be: the key in them is not
    the one that is sent, and HTTP trims the others. What they may hold has tests of its own."""
    parts = case.meta.components.items() if case.meta else ()
    return {place for place, part in parts if part.mode.is_negative}


class Things:
    """What paths name: each is made when it is first asked for, with what it needs. Fields are parameters."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def _made(self, path: str, **body: object) -> str:
        return str(self._http.post(path, json=body).json()["id"])

    @cached_property
    def file_id(self) -> str:
        file = {"file": ("a.txt", b"a")}
        return str(self._http.post("/v1/files", data={"purpose": "vision"}, files=file).json()["id"])

    @cached_property
    def thread_id(self) -> str:
        return self._made("/v1/threads")

    @cached_property
    def message_id(self) -> str:
        attached = [{"file_id": self.file_id}]
        return self._made(
            f"/v1/threads/{self.thread_id}/messages", role="user", content="Hi", attachments=attached
        )

    @cached_property
    def assistant_id(self) -> str:
        return self._made("/v1/assistants", model="echo")

    @cached_property
    def run_id(self) -> str:
        """Of one that is over."""
        runs = f"/v1/threads/{self.thread_id}/runs"
        asked = {"additional_messages": [{"role": "user", "content": "Hi"}], "stream": True}
        self._http.post(runs, json={"assistant_id": self.assistant_id, **asked}).read()
        return str(self._http.get(runs).json()["data"][0]["id"])

    @cached_property
    def step_id(self) -> str:
        steps = f"/v1/threads/{self.thread_id}/runs/{self.run_id}/steps"
        return str(self._http.get(steps).json()["data"][0]["id"])

    @cached_property
    def vector_store_id(self) -> str:
        return self._made("/v1/vector_stores", file_ids=[self.file_id])

    @cached_property
    def batch_id(self) -> str:
        return self._made(f"/v1/vector_stores/{self.vector_store_id}/file_batches", file_ids=[self.file_id])

    @cached_property
    def upload_id(self) -> str:
        return self._made("/v1/uploads", **upload_of(6))

    model = "echo"


class Aim:
    """Sends cases, most of them at a thread, a message and a file that exist."""

    def __init__(self, house: House, http: httpx.Client, key: str) -> None:
        self.house, self.http = house, http
        self.headers = {"Authorization": f"Bearer {key}"}
        self.session = requests.Session()
        self.turns = itertools.cycle([True, True, True, False])
        self.things = Things(http)

    def send(self, case: Case, excluded: list, **headers: str) -> None:
        generated = case.meta and case.meta.components.get(ParameterLocation.PATH)
        if generated and generated.mode.is_positive and next(self.turns):
            case.path_parameters = {name: getattr(self.things, name) for name in case.path_parameters}
        if case.operation.definition.raw["operationId"] in NOT_AT_ALL_TIMES | OF_MANY_FIELDS:
            excluded = [*excluded, positive_data_acceptance]
        if invalid(case) == {ParameterLocation.HEADER}:
            excluded = [*excluded, negative_data_rejection]
        if has_whole_float(case.body):
            excluded = [*excluded, positive_data_acceptance]
        if case.method == "DELETE":
            self.things = Things(self.http)
        case.call_and_validate(
            self.house.address,
            session=self.session,
            headers=self.headers | headers,
            excluded_checks=excluded,
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server on SQLite: which statuses and shapes there are does not depend on the database."""
    with House(tmp_path_factory.mktemp("described")) as running:
        yield running


@pytest.fixture
def aim(house: House, http: httpx.Client, key: str) -> Iterator[Aim]:
    one = Aim(house, http, key)
    with one.session:
        yield one


@pytest.mark.promise("server.openapi.exact")
@each_operation(whole)
def test_every_answer_is_described_whichever_version_the_header_names(each_case, aim: Aim) -> None:
    def send(case: Case) -> None:
        aim.send(
            case, [positive_data_acceptance]
        )  # the forms of both versions are valid here, each in its own

    each_case(send)


@pytest.mark.promise("server.openapi.exact")
@each_operation(v2, "/v1/")
def test_v2_takes_what_it_describes_and_nothing_else(each_case, aim: Aim) -> None:
    each_case(lambda case: aim.send(case, [ignored_auth], **{"OpenAI-Beta": "assistants=v2"}))


@each_operation(v1, OF_V1_ALONE)
def test_v1_takes_what_it_describes_and_nothing_else(each_case, aim: Aim) -> None:
    each_case(lambda case: aim.send(case, [ignored_auth], **{"OpenAI-Beta": "assistants=v1"}))


@each_operation(rubra, "/rubra/")
def test_rubra_takes_what_it_describes_and_nothing_else(each_case, aim: Aim) -> None:
    each_case(lambda case: aim.send(case, [ignored_auth]))
