"""Threads, messages, files and a streamed run through the official client.

usage: OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=sk-... python examples/quickstart.py

Everything that it makes on the server it removes again.
"""

import os
import struct
import sys
import warnings
import zlib

from openai import NotFoundError, OpenAI
from openai.types import FileObject
from openai.types.beta import Assistant, Thread
from openai.types.beta.threads import Message, MessageContent
from openai.types.beta.threads.message_create_params import MessageCreateParams

# The client warns that OpenAI has deprecated this API, which is why this server exists.
warnings.filterwarnings("ignore", "The Assistants API is deprecated|deprecated$", DeprecationWarning)

SIDE = 16
"""Pixels of the picture's sides."""


def main() -> None:
    if "OPENAI_BASE_URL" not in os.environ:
        sys.exit("Set OPENAI_BASE_URL and OPENAI_API_KEY to those of your server.")
    with OpenAI() as client:
        picture, notes = upload(client)
        thread = create_thread(client)
        add_messages(client, thread, picture, notes)
        read_pages(client, thread)
        modify(client, thread)
        assistant = create_assistant(client)
        run(client, thread, assistant)
        delete(client, thread, assistant, [picture, notes])


def upload(client: OpenAI) -> tuple[FileObject, FileObject]:
    """A picture for messages to show, and a text for tools to read."""
    title("Upload files")
    picture = client.files.create(file=("dot.png", png()), purpose="vision")
    notes = client.files.create(file=("notes.txt", b"The kettle is blue.\n"), purpose="assistants")
    for file in (picture, notes):
        show(file.id, f"{file.filename}, {file.bytes} bytes, for {file.purpose}")
    if client.files.content(picture.id).read() != png():
        sys.exit("The picture did not come back as it was sent.")
    show(picture.id, "its content comes back as it was sent")
    return picture, notes


def create_thread(client: OpenAI) -> Thread:
    title("Create a thread with a first message, as a plain string")
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "What colour is the kettle?"}], metadata={"topic": "kitchen"}
    )
    show(thread.id, f"metadata {thread.metadata}")
    return thread


def add_messages(client: OpenAI, thread: Thread, picture: FileObject, notes: FileObject) -> None:
    title("Add messages of every kind")
    for message in conversation(picture, notes):
        client.beta.threads.messages.create(thread.id, **message)
    for one in client.beta.threads.messages.list(thread.id, order="asc"):
        show(one.id, described(one))
    resources = client.beta.threads.retrieve(thread.id).tool_resources
    files = resources and resources.code_interpreter and resources.code_interpreter.file_ids
    show(thread.id, f"gives its code interpreter {', '.join(map(short, files or []))}")


def conversation(picture: FileObject, notes: FileObject) -> list[MessageCreateParams]:
    """Content in parts, of each type, and a string with attachments."""
    url = "https://example.com/kettle.jpg"
    return [
        {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And mine:"},
                {"type": "image_file", "image_file": {"file_id": picture.id, "detail": "low"}},
            ],
        },
        {
            "role": "user",
            "content": "My notes are attached.",
            "attachments": [
                {"file_id": notes.id, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}
            ],
        },
    ]


def read_pages(client: OpenAI, thread: Thread) -> None:
    """The same list in both orders, two messages a page; the client follows the cursors."""
    title("Read the list in pages of two, oldest first and newest first")
    orders = []
    for order in ("asc", "desc"):
        first = client.beta.threads.messages.list(thread.id, order=order, limit=2)
        pages = [[message.id for message in page.data] for page in first.iter_pages()]
        show(order, " | ".join(", ".join(short(id) for id in page) for page in pages))
        orders.append([id for page in pages for id in page])
    if orders[0] != orders[1][::-1]:
        sys.exit("The two orders are not each other's reverse.")
    show("", "one is the other reversed")


def modify(client: OpenAI, thread: Thread) -> None:
    title("Modify metadata")
    changed = client.beta.threads.update(thread.id, metadata={"topic": "kettles", "done": "yes"})
    show(changed.id, f"metadata {changed.metadata}")
    newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
    message = client.beta.threads.messages.update(newest.id, thread_id=thread.id, metadata={"read": "yes"})
    show(message.id, f"metadata {message.metadata}")


def create_assistant(client: OpenAI) -> Assistant:
    """`echo` is a model for demonstrations, built into the server: it repeats what the user said last."""
    title("Create an assistant")
    assistant = client.beta.assistants.create(model="echo", name="Parrot", instructions="Repeat after me.")
    show(assistant.id, f"{assistant.name}, on the model {assistant.model}")
    return assistant


def run(client: OpenAI, thread: Thread, assistant: Assistant) -> None:
    title("Run it on the thread, and see the answer word by word")
    question = "Is the kettle on?"
    client.beta.threads.messages.create(thread.id, role="user", content=question)
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        pieces = list(stream.text_deltas)
        finished = stream.get_final_run()
    show("stream", " | ".join(pieces))
    show(finished.id, f"{finished.status}, {finished.usage.total_tokens if finished.usage else 0} tokens")
    newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
    show(newest.id, described(newest))
    if (finished.status, newest.role, "".join(pieces)) != ("completed", "assistant", question):
        sys.exit("The run did not repeat what was said.")


def delete(client: OpenAI, thread: Thread, assistant: Assistant, files: list[FileObject]) -> None:
    title("Delete a message, the thread, the assistant and the files")
    newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
    client.beta.threads.messages.delete(newest.id, thread_id=thread.id)
    left = len(list(client.beta.threads.messages.list(thread.id)))
    show(newest.id, f"deleted, {left} messages are left")
    client.beta.threads.delete(thread.id)
    client.beta.assistants.delete(assistant.id)
    for file in files:
        client.files.delete(file.id)
    try:
        client.beta.threads.retrieve(thread.id)
    except NotFoundError as gone:
        show(thread.id, f"deleted, and from now on answers {gone.status_code}")


def described(message: Message) -> str:
    """A message in one line."""
    content = " + ".join(part_text(part) for part in message.content)
    attached = "".join(
        f" [{short(one.file_id or '')} for {', '.join(tool.type for tool in one.tools or [])}]"
        for one in message.attachments or []
    )
    return f"{message.role}: {content}{attached}"


def part_text(part: MessageContent) -> str:
    """A part of a message's content, in a few words."""
    match part.type:
        case "text":
            return part.text.value
        case "image_url":
            return f"<{part.image_url.url}>"
        case "image_file":
            return f"<{short(part.image_file.file_id)}, detail {part.image_file.detail}>"
        case "refusal":
            return part.refusal


def png() -> bytes:
    """A picture of a blue square, made by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)  # eight bits a channel, RGB
    rows = (b"\0" + b"\x20\x60\xc0" * SIDE) * SIDE
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


def title(text: str) -> None:
    print(f"\n{text}")


def show(name: str, text: str) -> None:
    print(f"  {name:<{6 if len(name) < 6 else 32}} {text}")


def short(id: str) -> str:
    """The end of an id, enough to tell it from the others."""
    return f"...{id[-6:]}"


if __name__ == "__main__":
    main()
