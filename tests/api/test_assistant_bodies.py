"""Bodies of assistants that break a rule: each with words, `param` and `code`. Reference: protocol 1.6, 2."""

from typing import Any

import httpx
import pytest

from tests.api.test_validation import (
    METADATA,
    THREAD,
    Case,
    bad_value,
    missing,
    too_long,
    too_short,
    unknown,
    wrong_type,
)
from tests.support.errors import answered, refusal

OBJECTS = "an array of objects"
FORMAT = "one of 'auto' or object"
TOOLS = "one of 'cod...ter', 'file_search', or 'function'"
EFFORTS = "one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', or 'max'"
SEARCH, FUNCTION = "tools[0].file_search", "tools[0].function"


def tool(type: Any, **options: Any) -> dict[str, Any]:
    return {"tools": [{"type": type, **options}]}


def function(**options: Any) -> dict[str, Any]:
    return tool("function", function={"name": "f", **options})


def search(**options: Any) -> dict[str, Any]:
    return tool("file_search", file_search=options)


def schema(**options: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": options}}


def array_too_long(body: dict[str, Any], param: str, most: int) -> Case:
    message = (
        f"Invalid '{param}': array too long. Expected an array with maximum length {most}, but got an array "
        f"with length {most + 1} instead."
    )
    return body, message, param, "array_above_max_length"


def out_of_range(body: dict[str, Any], param: str, limit: int, actual: float) -> Case:
    kind = "integer" if param.endswith("max_num_results") else "decimal"
    above = actual > limit
    message = (
        f"Invalid '{param}': {kind} {'above maximum' if above else 'below minimum'} value. Expected a value "
        f"{'<' if above else '>'}= {limit}, but got {actual} instead."
    )
    return body, message, param, f"{kind}_{'above_max' if above else 'below_min'}_value"


def bad_name(body: dict[str, Any], param: str) -> Case:
    message = (
        f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
        "'^[a-zA-Z0-9_-]+$'."
    )
    return body, message, param, "invalid_value"


CHANGE: list[Case] = [
    *METADATA,
    *(case for case in THREAD if "tool_resources" in case[0]),
    unknown({"file_ids": []}, "file_ids"),
    unknown({"id": "asst_1"}, "id"),
    wrong_type({"model": 4}, "model", "a string", "an integer"),
    too_short({"model": ""}, "model", "string"),
    wrong_type({"name": 1}, "name", "a string", "an integer"),
    too_long({"name": "🎈" * 257}, "name", 256, 257),
    too_long({"description": "x" * 513}, "description", 512, 513),
    too_long({"instructions": "x" * 256_001}, "instructions", 256_000, 256_001),
    wrong_type({"temperature": "1"}, "temperature", "a decimal", "a string"),
    wrong_type({"top_p": True}, "top_p", "a decimal", "a boolean"),
    out_of_range({"temperature": 3}, "temperature", 2, 3),
    out_of_range({"temperature": 2.5}, "temperature", 2, 2.5),
    out_of_range({"temperature": -0.1}, "temperature", 0, -0.1),
    out_of_range({"top_p": 2}, "top_p", 1, 2),
    out_of_range({"top_p": -1}, "top_p", 0, -1),
    bad_value({"reasoning_effort": "most"}, "reasoning_effort", "most",
              "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"),
    wrong_type({"reasoning_effort": 7}, "reasoning_effort", EFFORTS, "an integer"),
    wrong_type({"tools": {}}, "tools", OBJECTS, "an object"),
    wrong_type({"tools": ["code_interpreter"]}, "tools[0]", "an object", "a string"),
    missing({"tools": [{}]}, "tools[0].type"),
    wrong_type(tool(1), "tools[0].type", TOOLS, "an integer"),
    bad_value(tool("retrieval"), "tools[0].type", "retrieval",
              "'code_interpreter', 'file_search', and 'function'"),
    array_too_long({"tools": [{"type": "code_interpreter"}] * 129}, "tools", 128),
    missing(tool("function"), FUNCTION),
    missing(tool("function", function={}), f"{FUNCTION}.name"),
    wrong_type(function(name=None), f"{FUNCTION}.name", "a string", "null"),
    too_short(function(name=""), f"{FUNCTION}.name", "string"),
    too_long(function(name="x" * 65), f"{FUNCTION}.name", 64, 65),
    bad_name(function(name="get weather"), f"{FUNCTION}.name"),
    bad_name(function(name="wétter"), f"{FUNCTION}.name"),
    bad_name(function(name="f\n"), f"{FUNCTION}.name"),
    wrong_type(function(parameters=[]), f"{FUNCTION}.parameters", "an object", "an array"),
    wrong_type(function(strict="yes"), f"{FUNCTION}.strict", "a boolean", "a string"),
    wrong_type(function(description=1), f"{FUNCTION}.description", "a string", "an integer"),
    wrong_type(tool("file_search", file_search=[]), SEARCH, "an object", "an array"),
    out_of_range(search(max_num_results=51), f"{SEARCH}.max_num_results", 50, 51),
    out_of_range(search(max_num_results=0), f"{SEARCH}.max_num_results", 1, 0),
    wrong_type(search(max_num_results=1.5), f"{SEARCH}.max_num_results", "an integer",
               "a decimal number"),
    missing(search(ranking_options={}), f"{SEARCH}.ranking_options.score_threshold"),
    out_of_range(search(ranking_options={"score_threshold": 1.5}),
                 f"{SEARCH}.ranking_options.score_threshold", 1, 1.5),
    out_of_range(search(ranking_options={"score_threshold": 2}),
                 f"{SEARCH}.ranking_options.score_threshold", 1, 2),
    bad_value(search(ranking_options={"score_threshold": 0, "ranker": "best"}),
              f"{SEARCH}.ranking_options.ranker", "best", "'auto' and 'default_2024_08_21'"),
    wrong_type({"response_format": 1}, "response_format", FORMAT, "an integer"),
    missing({"response_format": {}}, "response_format.type"),
    bad_value({"response_format": {"type": "xml"}}, "response_format.type", "xml",
              "'json_object', 'json_schema', and 'text'"),
    missing({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    missing(schema(schema={}), "response_format.json_schema.name"),
    bad_name(schema(name="a b"), "response_format.json_schema.name"),
    wrong_type(schema(name="a", schema=[]), "response_format.json_schema.schema", "an object", "an array"),
    ({"response_format": "json"}, "Invalid value: 'json'. Value must be 'auto'.", "response_format",
     "invalid_value"),
]  # fmt: skip
CREATE: list[Case] = [
    missing({}, "model"),
    missing({"name": "x", "zeta": 1}, "model"),
    wrong_type({"model": None}, "model", "a string", "null"),
    *(({"model": "m", **body}, message, param, code) for body, message, param, code in CHANGE),
]
CASES = [
    pytest.param(which, *case, id=f"{which}-{case[3]}-{case[2][:40]}-{number}")
    for which, table in (("create", CREATE), ("modify", CHANGE))
    for number, case in enumerate(table)
]


@pytest.mark.promise("assistants.validation")
@pytest.mark.parametrize(("which", "body", "message", "param", "code"), CASES)
def test_a_body_that_breaks_a_rule_is_refused_in_the_services_words(
    http: httpx.Client, which: str, body: Any, message: str, param: str, code: str
) -> None:
    made = http.post("/v1/assistants", json={"model": "m"}).json()
    path = "/v1/assistants" if which == "create" else f"/v1/assistants/{made['id']}"
    assert answered(http.post(path, json=body)) == refusal(400, message, param, code)
    assert http.get("/v1/assistants").json()["data"] == [made]


@pytest.mark.promise("assistants.limits")
def test_the_longest_of_everything_is_kept(http: httpx.Client) -> None:
    # 4-byte characters: lengths are counted in code points.
    functions = [{"name": f"{number:064}", "parameters": {}, "strict": True} for number in range(127)]
    body = {
        "model": "m",
        "name": "🎈" * 256,
        "description": "🎈" * 512,
        "instructions": "🎈" * 256_000,
        "tools": [{"type": "code_interpreter"}, *({"type": "function", "function": f} for f in functions)],
        "temperature": 2.0,
        "top_p": 0.0,
    }
    made = http.post("/v1/assistants", json=body).json()
    assert {name: made[name] for name in body} == body
    assert http.get(f"/v1/assistants/{made['id']}").json() == made


@pytest.mark.promise("assistants.limits")
def test_unknown_keys_inside_tools_are_passed_over(http: httpx.Client) -> None:
    tools = [
        {"type": "code_interpreter", "x": 1},
        {"type": "function", "x": 1, "function": {"name": "f", "x": 1}},
        {"type": "file_search", "x": 1, "file_search": {"x": 1}},
    ]
    made = http.post("/v1/assistants", json={"model": "m", "tools": tools})
    assert (made.status_code, '"x"' in made.text) == (200, False)
