"""Large bodies that break rules by the hundred thousand: refused at once, in few words."""

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from threadkeep.errors import Invalid, ThreadkeepError
from threadkeep.http.caller import DIALECTS
from threadkeep.wire.base import encode

SIZE = 1_000_000
SECONDS = 1.0
"""Of a processor. About a hundredth is needed; a walk over all of it took between three and fourteen."""
LONGEST_ANSWER = 20_000
VERSIONS = {one.name: one for one in DIALECTS}

USER = '{"role":"user","content":'
GOOD = USER + '"x"}'
FILE = '{"file_id":"file-a"}'


def many(before: str, item: str, after: str) -> bytes:
    """A body filled with one item, over and over."""
    return f"{before}{','.join([item] * (SIZE // (len(item) + 1)))}{after}".encode()


def numbered(before: str, item: str, after: str) -> bytes:
    """Likewise with items that have a number in them."""
    items = (item.replace("#", str(number)) for number in range(SIZE // (len(item) + 6)))
    return f"{before}{','.join(items)}{after}".encode()


ITEMS = many(USER + "[", "1", "]}")
PARTS = many(USER + "[", "{}", "]}")
ATTACHMENTS = many(USER + '"x","attachments":[', "{}", "]}")
FILE_IDS = many(USER + '"x","file_ids":[', "1", "]}")
UNKNOWN = numbered(USER + '"x",', '"k#":1', "}")
PAIRS = numbered(USER + '"x","metadata":{', '"k#":[]', "}}")
DEEP = many(USER + '"x","metadata":{"a":[', "[[[[[[1]]]]]]", "]}}")
HALVES = many(USER + "[", '"\\ud800"', "]}")
LATE_HALF = many(USER + "[", "[]", ',"\\ud800"]}')
FILTERS = b'{"query":"x","filters":' + many('{"type":"and","filters":[', '{"type":"eq"}', "]}") + b"}"
LAST_MESSAGE = many('{"messages":[', GOOD, ',{"role":"user"}]}')
LAST_ATTACHMENT = many(USER + '"x","attachments":[', FILE, ",1]}")

REFUSED = [
    *((version, "create_message", ITEMS) for version in VERSIONS),
    *((version, "create_message", PARTS) for version in VERSIONS),
    *((version, "create_message", ATTACHMENTS) for version in VERSIONS),
    *((version, "create_message", FILE_IDS) for version in VERSIONS),
    *((version, "create_message", UNKNOWN) for version in VERSIONS),
    *((version, "create_message", PAIRS) for version in VERSIONS),
    *((version, "create_message", DEEP) for version in VERSIONS),
    *((version, "create_message", HALVES) for version in VERSIONS),
    *((version, "create_message", LATE_HALF) for version in VERSIONS),
    *((version, "create_thread", LAST_MESSAGE) for version in VERSIONS),
    ("openai_v2", "create_message", LAST_ATTACHMENT),
    ("openai_v2", "search_vector_store", FILTERS),
]


def refusal(version: str, operation: str, body: bytes) -> ThreadkeepError:
    with pytest.raises(ThreadkeepError) as caught:
        VERSIONS[version].bodies[operation].parse(body)
    return caught.value


def problem(version: str, operation: str, body: bytes) -> tuple[Any, str]:
    """The only one of a body: its path and its kind."""
    refused = refusal(version, operation, body)
    assert isinstance(refused, Invalid)
    (found,) = refused.problems
    return found.path, found.kind


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look through all that the other tests have left."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.promise("errors.large-bodies")
@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("version", "operation", "body"), REFUSED, ids=[f"{v}-{o}-{b[:48]!r}" for v, o, b in REFUSED]
)
def test_a_large_body_is_refused_at_once_and_in_few_words(version: str, operation: str, body: bytes) -> None:
    before = time.process_time()
    refused = refusal(version, operation, body)
    reply = VERSIONS[version].error(refused)
    assert len(encode(reply.body)) < LONGEST_ANSWER
    assert time.process_time() - before < SECONDS


@pytest.mark.promise("errors.large-bodies")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_fault_at_the_end_of_many_items_is_found(version: str) -> None:
    last = LAST_MESSAGE.count(b"role") - 1
    assert problem(version, "create_thread", LAST_MESSAGE) == (("messages", last, "content"), "missing")


@pytest.mark.promise("errors.large-bodies")
def test_faults_far_from_each_other_are_all_found() -> None:
    items = [FILE] * 1000
    wrong = [0, 1, 254, 255, 256, 257, 511, 998, 999]
    for index in wrong:
        items[index] = '{"file_id":" - at `$[9]`"," - at `$[8]`":1,"tools":1}'
    body = f'{USER}"x","attachments":[{",".join(items)}]}}'
    refused = refusal("openai_v2", "create_message", body.encode())
    assert isinstance(refused, Invalid)
    assert [one.path for one in refused.problems] == [("attachments", index, "tools") for index in wrong]


@pytest.mark.promise("errors.large-bodies")
@pytest.mark.parametrize("version", ["openai_v1", "rubra"])
def test_a_hundred_problems_are_told(version: str) -> None:
    refused = refusal(version, "create_message", UNKNOWN)
    assert isinstance(refused, Invalid)
    assert [one.path for one in refused.problems] == [(f"k{number}",) for number in range(100)]


@pytest.mark.promise("errors.large-bodies")
def test_what_is_too_long_is_not_looked_into() -> None:
    assert problem("openai_v1", "create_message", FILE_IDS) == (("file_ids",), "array_too_long")
    assert problem("rubra", "create_message", PAIRS) == (("metadata",), "properties_too_many")


@pytest.mark.promise("errors.large-bodies")
def test_the_first_of_many_faults_is_named_and_missing_fields_before_it() -> None:
    assert refusal_of(ITEMS) == ("invalid_type", "content[0]")
    assert refusal_of(PARTS) == ("missing_required_parameter", "content[0].type")
    assert refusal_of(UNKNOWN) == ("unknown_parameter", "k0")
    assert refusal_of(many('{"role":1,"content":[', FILE, '],"x":1}')) == (
        "missing_required_parameter",
        "content[0].type",
    )


def refusal_of(body: bytes) -> tuple[str, str]:
    """The code and the param of v2's answer."""
    error = VERSIONS["openai_v2"].error(refusal("openai_v2", "create_message", body)).body["error"]
    return error["code"], error["param"]


@pytest.mark.promise("errors.lone-surrogate")
def test_half_a_surrogate_pair_after_very_many_values_is_told_of_the_whole() -> None:
    assert problem("openai_v2", "create_message", LATE_HALF) == ((), "surrogate")


@pytest.mark.promise("errors.malformed-json")
def test_filters_in_filters_beyond_reason_are_refused_as_such() -> None:
    body = b'{"type":"and","filters":[' * 100 + b"1" + b"]}" * 100
    refused = refusal("openai_v2", "search_vector_store", b'{"query":"x","filters":' + body + b"}")
    assert str(refused) == "it is nested too deeply"
