"""Portkey's client, unchanged, and OpenAI's client in the way in which it speaks to Portkey.

Reference: Portkey's page "Create Message". Portkey's client sends a dummy bearer token, so the key in
`x-portkey-api-key` is the one that counts.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from portkey_ai import AsyncPortkey, Portkey

from tests.dialects.masks import masked
from tests.dialects.steps import done, new_message, new_thread
from tests.support.house import House


@pytest.fixture(autouse=True)
def nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PORTKEY_API_KEY", "PORTKEY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sent() -> list[httpx.Headers]:
    """The headers of the requests that `portkey` sends."""
    return []


@pytest.fixture
def portkey(house: House, key: str, sent: list[httpx.Headers]) -> Iterator[Any]:
    """Portkey's client as its documentation makes it."""
    hooks = {"request": [lambda request: sent.append(request.headers)]}
    with httpx.Client(event_hooks=hooks, verify=False) as http:
        yield Portkey(api_key=key, base_url=house.base_url, virtual_key="openai-1", http_client=http)


@pytest.fixture
def gateway(house: House, key: str) -> Iterator[httpx.Client]:
    """Plain HTTP with the two headers of the page, and no others."""
    headers = {"x-portkey-api-key": key, "x-portkey-virtual-key": "openai-1"}
    with httpx.Client(base_url=house.base_url, headers=headers, verify=False) as http:
        yield http


def shown(model: Any) -> dict[str, Any]:
    """A model of Portkey's client, without the field that it keeps for v1."""
    return {name: value for name, value in model.model_dump().items() if name != "file_ids"}


def message(thread_id: str, text: str, **others: Any) -> dict[str, Any]:
    """All that the page lists as required in an answer, ids and times masked."""
    plain: dict[str, Any] = {
        "id": "<msg>",
        "object": "thread.message",
        "created_at": "<time>",
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "status": "completed",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": "<time>",
        "role": "user",
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "attachments": [],
        "metadata": {},
    }
    return {**plain, **others}


# ---------------------------------------------------------------- the page


@pytest.mark.promise("portkey.page")
def test_a_message_is_created_with_the_headers_of_the_page(gateway: httpx.Client) -> None:
    thread_id = new_thread(gateway)
    assert masked(new_message(gateway, thread_id), [thread_id]) == message(thread_id, "Hello")


@pytest.mark.promise("portkey.page")
def test_nulls_of_the_page_mean_not_given(gateway: httpx.Client) -> None:
    made = new_message(gateway, new_thread(gateway), attachments=None, metadata=None)
    assert (made["attachments"], made["metadata"]) == ([], {})


# ---------------------------------------------------------------- Portkey's client


@pytest.mark.promise("portkey.client")
def test_the_client_creates_reads_and_changes_messages(portkey: Any) -> None:
    of_thread = portkey.beta.threads.messages
    thread_id = portkey.beta.threads.create(metadata={"topic": "tea"}).id
    file_id = portkey.files.create(file=("notes.txt", b"some notes"), purpose="assistants").id
    attachments = [{"file_id": file_id, "tools": [{"type": "file_search"}]}]
    made = of_thread.create(thread_id, role="user", content="Hello", attachments=attachments)
    read = of_thread.retrieve(thread_id=thread_id, message_id=made.id)
    changed = of_thread.update(thread_id=thread_id, message_id=made.id, metadata={"a": "b"})
    listed = of_thread.list(thread_id)
    expected = message(thread_id, "Hello", attachments=attachments)
    assert masked(shown(made), [thread_id, file_id]) == expected
    assert shown(read) == shown(made)
    assert shown(changed) == {**shown(made), "metadata": {"a": "b"}}
    assert [shown(one) for one in listed.data] == [shown(changed)]


@pytest.mark.promise("portkey.client")
def test_the_client_deletes_a_message_and_a_thread(portkey: Any) -> None:
    thread_id = portkey.beta.threads.create().id
    made = portkey.beta.threads.messages.create(thread_id, role="user", content="Hello")
    gone = portkey.beta.threads.messages.delete(thread_id=thread_id, message_id=made.id)
    thread_gone = portkey.beta.threads.delete(thread_id)
    assert gone.model_dump() == {"id": made.id, "object": "thread.message.deleted", "deleted": True}
    assert thread_gone.model_dump() == {"id": thread_id, "object": "thread.deleted", "deleted": True}


@pytest.mark.promise("portkey.client")
def test_the_asynchronous_client_works_too(house: House, key: str) -> None:
    async def session() -> tuple[str, Any]:
        async with httpx.AsyncClient(verify=False) as http:
            portkey: Any = AsyncPortkey(
                api_key=key, base_url=house.base_url, virtual_key="openai-1", http_client=http
            )
            thread = await portkey.beta.threads.create()
            return thread.id, await portkey.beta.threads.messages.create(
                thread.id, role="user", content="Hello"
            )

    thread_id, made = asyncio.run(session())
    assert masked(shown(made), [thread_id]) == message(thread_id, "Hello")


# ---------------------------------------------------------------- whose key counts


@pytest.mark.promise("portkey.key-wins")
def test_the_client_s_dummy_bearer_token_does_no_harm(
    portkey: Any, sent: list[httpx.Headers], key: str
) -> None:
    portkey.beta.threads.create()
    assert (sent[0]["authorization"], sent[0]["x-portkey-api-key"]) == ("Bearer OPENAI_API_KEY", key)
    assert sent[0]["x-portkey-virtual-key"] == "openai-1"


@pytest.mark.promise("portkey.key-wins")
def test_openai_s_client_brings_the_key_in_a_default_header(house: House, key: str) -> None:
    headers = {"x-portkey-api-key": key, "x-portkey-virtual-key": "openai-1"}
    with OpenAI(base_url=house.base_url, api_key="dummy", default_headers=headers, max_retries=0) as client:
        thread = client.beta.threads.create()
        made = client.beta.threads.messages.create(thread.id, role="user", content="Hello")
    assert masked(made.model_dump(), [thread.id]) == message(thread.id, "Hello")


@pytest.mark.promise("portkey.key-wins")
def test_the_gateway_s_key_wins_over_a_good_bearer_token(gateway: httpx.Client, other_key: str) -> None:
    thread_id = new_thread(gateway)
    bearer = {"Authorization": f"Bearer {other_key}"}
    assert done(gateway.get(f"/threads/{thread_id}", headers=bearer))["id"] == thread_id


@pytest.mark.promise("portkey.key-wins")
def test_a_wrong_gateway_key_is_401_whatever_stands_beside_it(gateway: httpx.Client, key: str) -> None:
    headers = {"x-portkey-api-key": "sk-wrong", "Authorization": f"Bearer {key}"}
    refused = gateway.post("/threads", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


# ---------------------------------------------------------------- the other headers


@pytest.mark.promise("portkey.headers")
def test_everything_else_that_portkey_s_client_can_send_is_accepted(
    house: House, key: str, sent: list[httpx.Headers]
) -> None:
    hooks = {"request": [lambda request: sent.append(request.headers)]}
    with httpx.Client(event_hooks=hooks, verify=False) as http:
        portkey: Any = Portkey(
            api_key=key,
            base_url=house.base_url,
            http_client=http,
            provider="openai",
            config={"retry": {"attempts": 3}},
            trace_id="trace-1",
            metadata={"_user": "ada", "environment": "test"},
            cache_namespace="n",
            cache_force_refresh=True,
            debug=False,
            custom_host="https://example.com/v1",
            strict_open_ai_compliance=True,
        )
        thread_id = portkey.beta.threads.create().id
        made = portkey.beta.threads.messages.create(thread_id, role="user", content="Hello")
    names = {"provider", "config", "trace-id", "metadata", "cache-namespace", "custom-host", "debug"}
    assert {f"x-portkey-{name}" for name in names} <= sent[0].keys()
    assert masked(shown(made), [thread_id]) == message(thread_id, "Hello")


@pytest.mark.promise("portkey.trace")
def test_the_trace_id_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with House(tmp_path, access_log=True) as house:
        key = house.new_key("traced")
        with httpx.Client(verify=False) as http:
            portkey: Any = Portkey(
                api_key=key, base_url=house.base_url, virtual_key="v", trace_id="trace-1", http_client=http
            )
            thread_id = portkey.beta.threads.create().id
        httpx.get(f"{house.base_url}/threads/{thread_id}", headers={"x-portkey-api-key": key})
    lines = capsys.readouterr().err.splitlines()
    [traced] = [line for line in lines if " method=POST path=/v1/threads status=200 " in line]
    [untraced] = [line for line in lines if f" method=GET path=/v1/threads/{thread_id} status=200 " in line]
    assert traced.endswith(" trace=trace-1")
    assert "trace=" not in untraced


@pytest.mark.promise("portkey.trace")
def test_a_trace_id_cannot_forge_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with House(tmp_path, access_log=True) as house:
        key = house.new_key("traced").encode()
        headers = {b"x-portkey-api-key": key, b"x-portkey-trace-id": b'a status=500 b="\x9b'}
        done(httpx.post(f"{house.base_url}/threads", headers=headers))
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" trace=a_status_500_b___")
    assert line.count("status=") == 1
