"""What a program written for openai 1.20, the last client of v1, does with threads, messages, files
and assistants.

Runs under an interpreter that has this client; the server and the key stand in OPENAI_BASE_URL and
OPENAI_API_KEY. Prints one JSON object: the result of every step by its name.
"""

import json
import sys
from typing import Any

import httpx
import openai

STEPS: dict[str, Any] = {}
CURSORS: list[str | None] = []


def note(request: httpx.Request) -> None:
    """Remember from where on the client asks for a page."""
    CURSORS.append(request.url.params.get("after"))


# Any, since type checkers see a newer client.
http: Any = httpx.Client(event_hooks={"request": [note]})
client: Any = openai.OpenAI(http_client=http, max_retries=0)


def step(name: str, result: Any) -> Any:
    """Keep a result (a model, or models) under its name."""
    many = isinstance(result, list)
    STEPS[name] = [one.model_dump() for one in result] if many else result.model_dump()
    return result


def ids(models: Any) -> list[str]:
    return [one.id for one in models]


def refusal(call: Any, **arguments: Any) -> dict[str, Any]:
    """What the client raises."""
    try:
        call(**arguments)
    except openai.APIStatusError as error:
        return {"class": type(error).__name__, "body": error.body}
    raise AssertionError("nothing was raised")


def files() -> list[str]:
    first = step("upload", client.files.create(file=("notes.txt", b"some notes"), purpose="assistants"))
    rest = [client.files.create(file=(f"{n}.txt", b"%d" % n), purpose="assistants").id for n in range(2)]
    step("retrieve file", client.files.retrieve(first.id))
    return [first.id, *rest]


def threads() -> str:
    opening = {"role": "user", "content": "Good morning", "metadata": {"n": "1"}}
    thread = step("create thread", client.beta.threads.create(messages=[opening], metadata={"topic": "tea"}))
    step("retrieve thread", client.beta.threads.retrieve(thread.id))
    step("update thread", client.beta.threads.update(thread.id, metadata={"topic": "coffee"}))
    return str(thread.id)


def messages(thread_id: str, file_ids: list[str]) -> str:
    of_thread = client.beta.threads.messages
    hello = {"role": "user", "content": "Hello", "file_ids": file_ids}
    made = step("create message", of_thread.create(thread_id, **hello))
    of_thread.create(thread_id, role="assistant", content="Hi")
    step("retrieve message", of_thread.retrieve(made.id, thread_id=thread_id))
    step("update message", of_thread.update(made.id, thread_id=thread_id, metadata={"modified": "true"}))
    step("list messages", of_thread.list(thread_id).data)
    return str(made.id)


def message_files(thread_id: str, message_id: str, file_ids: list[str]) -> None:
    of_message = client.beta.threads.messages.files
    where = {"thread_id": thread_id, "message_id": message_id}
    step("list message files", of_message.list(**where).data)
    step("retrieve message file", of_message.retrieve(file_ids[1], **where))
    paged("page through message files", of_message.list, **where, limit=2, order="asc")


def paged(name: str, call: Any, **arguments: Any) -> None:
    """Keep what the client finds by itself, page after page, and the cursors that it sends meanwhile."""
    CURSORS.clear()
    STEPS[name] = {"ids": ids(call(**arguments)), "cursors": list(CURSORS)}


def assistants(file_ids: list[str]) -> None:
    of_all = client.beta.assistants
    tools = [{"type": "retrieval"}, {"type": "code_interpreter"}]
    made = step("create assistant", of_all.create(model="gpt-4", tools=tools, file_ids=file_ids[1:2]))
    step("retrieve assistant", of_all.retrieve(made.id))
    step("update assistant", of_all.update(made.id, name="Tutor", instructions="Be brief."))
    others = [of_all.create(model="gpt-4").id for _ in range(2)]
    paged("page through assistants", of_all.list, limit=2)
    STEPS["refused assistant"] = refusal(of_all.create, model="gpt-4", name="n" * 257)
    step("create assistant file", of_all.files.create(made.id, file_id=file_ids[2]))
    step("retrieve assistant file", of_all.files.retrieve(file_ids[2], assistant_id=made.id))
    paged("page through assistant files", of_all.files.list, assistant_id=made.id, limit=1, order="asc")
    step("delete assistant file", of_all.files.delete(file_ids[1], assistant_id=made.id))
    STEPS["assistant files left"] = of_all.retrieve(made.id).file_ids
    step("delete assistant", of_all.delete(made.id))
    STEPS["missing assistant"] = refusal(of_all.retrieve, assistant_id="asst_missing")
    for one in others:
        of_all.delete(one)


def paging(thread_id: str) -> None:
    of_thread = client.beta.threads.messages
    for order in ("asc", "desc"):
        paged(f"page through messages, {order}", of_thread.list, thread_id=thread_id, limit=2, order=order)


def refusals(thread_id: str) -> None:
    create = client.beta.threads.messages.create
    STEPS["refused message"] = refusal(create, thread_id=thread_id, role="user", content="")
    STEPS["missing thread"] = refusal(client.beta.threads.retrieve, thread_id="thread_missing")


def main() -> None:
    STEPS["client"] = openai.__version__
    file_ids = files()
    thread_id = threads()
    message_id = messages(thread_id, file_ids)
    message_files(thread_id, message_id, file_ids)
    paging(thread_id)
    refusals(thread_id)
    assistants(file_ids)
    step("delete file", client.files.delete(file_ids[0]))
    STEPS["files left"] = [one.filename for one in client.files.list()]
    STEPS["message files left"] = ids(
        client.beta.threads.messages.files.list(thread_id=thread_id, message_id=message_id)
    )
    step("delete thread", client.beta.threads.delete(thread_id))
    json.dump(STEPS, sys.stdout)


if __name__ == "__main__":
    main()
