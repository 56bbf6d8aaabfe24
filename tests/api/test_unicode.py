"""Text is kept to the code point, and what is not text is refused. Limits: protocol section 4.1."""

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.errors import answered, refusal

JSON = {"Content-Type": "application/json"}
TEXTS = {
    "NUL": "a\x00b",
    "controls": "".join(map(chr, range(0x20))) + "\x7f\x80\x9f",
    "line separators": "a\u2028b\u2029c\x85",
    "byte order mark": "\ufeffx\ufeff",
    "no characters": "\ufffe\uffff\U0001fffe\U0010ffff",
    "composed and not": "\u00e9 e\u0301 \ufb01",
    "right to left": "שלום \u202eabc\u202c",
    "joined": "👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 🇩🇪",
    "escapes as text": r"\u0000 \ud800 \n \" %00 &amp;",
    "spaces only": " \t\n\u00a0\u3000\u200b",
    "quotes": "' OR 1=1; -- \"\\ `",
}


@pytest.mark.promise("unicode.kept")
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "UTF-8"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_comes_back_as_it_was_sent(http: httpx.Client, text: str, ascii_only: bool) -> None:
    body = {
        "role": "user",
        "content": [{"type": "text", "text": text}],
        "metadata": {text: text},
    }
    created = http.post("/v1/threads", json={"metadata": {text: text}}).json()
    path = f"/v1/threads/{created['id']}/messages"
    sent = json.dumps(body, ensure_ascii=ascii_only).encode()
    made = http.post(path, content=sent, headers=JSON).json()
    assert (made["content"][0]["text"]["value"], made["metadata"]) == (text, {text: text})
    assert http.get(f"{path}/{made['id']}").json() == made
    assert http.get(path).json()["data"] == [made]
    assert http.get(f"/v1/threads/{created['id']}").json()["metadata"] == {text: text}


@pytest.mark.promise("unicode.kept")
def test_an_escaped_surrogate_pair_is_one_character(http: httpx.Client, places: dict[str, str]) -> None:
    body = b'{"role": "user", "content": "\\ud83c\\udf88"}'
    made = http.post(f"{places['thread']}/messages", content=body, headers=JSON)
    assert made.json()["content"][0]["text"]["value"] == "🎈"


HALF = "the string holds half of a surrogate pair, which is not Unicode text."


@pytest.mark.promise("errors.lone-surrogate")
@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "x\\ud83cx", "\\udf88\\ud83c"])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ('{"role": "user", "content": "@"}', "content"),
        ('{"role": "user", "content": [{"type": "text", "text": "@"}]}', "content[0].text"),
        ('{"role": "@", "content": "x"}', "role"),
        ('{"role": "user", "content": "x", "metadata": {"a": "@"}}', "metadata.a"),
        ('{"role": "user", "content": "x", "metadata": {"@": "a"}}', "metadata"),
        ('{"role": "user", "content": "x", "metadata": {"@": "@"}}', "metadata"),
        ('{"role": "user", "content": "x", "@": "x"}', None),
        ('{"@": {"@": ["@"]}}', None),
        ('"@"', None),
    ],
)
def test_half_a_surrogate_pair_is_refused(
    http: httpx.Client, places: dict[str, str], half: str, body: str, param: str | None
) -> None:
    content = body.replace("@", half).encode()
    answer = http.post(f"{places['thread']}/messages", content=content, headers=JSON)
    assert answered(answer) == refusal(400, f"Invalid '{param or 'body'}': {HALF}", param, "invalid_value")


@pytest.mark.promise("errors.lone-surrogate")
@pytest.mark.parametrize(("base", "beta"), [("/v1", "assistants=v1"), ("/rubra", "")])
def test_half_a_surrogate_pair_is_refused_in_other_dialects(
    http: httpx.Client, places: dict[str, str], base: str, beta: str
) -> None:
    path = f"{places['thread'].replace('/v1', base)}/messages"
    for content in (
        b'{"role": "user", "content": "x", "\\ud800": 1}',
        b'{"metadata": {"\\ud800": "\\ud800"}}',
    ):
        answer = http.post(path, content=content, headers={**JSON, "OpenAI-Beta": beta})
        assert answer.status_code in (400, 422), answer.text


@pytest.mark.promise("errors.lone-surrogate")
def test_half_a_surrogate_pair_in_utf8_is_not_json(http: httpx.Client, places: dict[str, str]) -> None:
    content = b'{"role": "user", "content": "\xed\xa0\x80"}'
    answer = http.post(f"{places['thread']}/messages", content=content, headers=JSON)
    message = answer.json()["error"]["message"]
    assert message.startswith("We could not parse the JSON body of your request. (HINT: ")
    assert answered(answer) == refusal(400, message)


LONGEST = 256_000


@pytest.mark.promise("messages.create.longest-text")
@pytest.mark.parametrize("character", ["x", "é", "文", "🎈"], ids=["1 byte", "2 bytes", "3 bytes", "4 bytes"])
@pytest.mark.parametrize("in_parts", [False, True], ids=["string", "part"])
def test_the_longest_text_is_counted_in_code_points(client: OpenAI, character: str, in_parts: bool) -> None:
    text = character * LONGEST
    content: Any = [{"type": "text", "text": text}] if in_parts else text
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(thread.id, role="user", content=content)
    part = client.beta.threads.messages.retrieve(message.id, thread_id=thread.id).content[0]
    assert part.type == "text"
    assert part.text.value == text


@pytest.mark.promise("messages.create.longest-text")
@pytest.mark.parametrize("character", ["x", "🎈"], ids=["1 byte", "4 bytes"])
@pytest.mark.parametrize("in_parts", [False, True], ids=["string", "part"])
def test_one_code_point_more_is_refused(
    http: httpx.Client, places: dict[str, str], character: str, in_parts: bool
) -> None:
    text = character * (LONGEST + 1)
    content: Any = [{"type": "text", "text": text}] if in_parts else text
    param = "content[0].text" if in_parts else "content"
    answer = http.post(f"{places['thread']}/messages", json={"role": "user", "content": content})
    message = (
        f"Invalid '{param}': string too long. Expected a string with maximum length 256000, but got a string "
        "with length 256001 instead."
    )
    assert answered(answer) == refusal(400, message, param, "string_above_max_length")


@pytest.mark.promise("unicode.kept")
def test_errors_repeat_text_of_any_kind(http: httpx.Client, places: dict[str, str]) -> None:
    role = "🎈\x00\u2028'{}%s"
    answer = http.post(f"{places['thread']}/messages", json={"role": role, "content": "x"})
    message = f"Invalid value: '{role}'. Supported values are: 'user' and 'assistant'."
    assert answered(answer) == refusal(400, message, "role", "invalid_value")
    key = "ключ.с[точкой]"
    answer = http.post(f"{places['thread']}/messages", json={"role": "user", "content": "x", key: 1})
    expected = refusal(400, f"Unknown parameter: '{key}'.", key, "unknown_parameter")
    assert answered(answer) == expected
