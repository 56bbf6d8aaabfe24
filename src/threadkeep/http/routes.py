"""Every path in one table, in the order of the API reference: the table of contents.

Dispatch is our own: a walk over path segments in a tree made from the table once. It costs about a
microsecond, a tenth of what a general router takes on these paths (docs/architecture.md).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from msgspec import Struct

from threadkeep.assistants import endpoints as assistants
from threadkeep.errors import WrongPrefix
from threadkeep.files import endpoints as files
from threadkeep.http.request import Request, Response
from threadkeep.messages import endpoints as messages
from threadkeep.models import endpoints as models
from threadkeep.runs import endpoints as runs
from threadkeep.search import endpoints as search
from threadkeep.threads import endpoints as threads
from threadkeep.uploads import endpoints as uploads
from threadkeep.vector_stores import endpoints as vector_stores
from threadkeep.wire.base import Dialect

Endpoint = Callable[[Request], Awaitable[Response]]


class Operation(Struct, frozen=True):
    """One operation of the API. Its name is the endpoint's, and what dialects call it by."""

    method: str
    template: str
    endpoint: Endpoint
    reads: Literal["nothing", "json", "form"] = "nothing"
    once_itself: bool = False
    """Whether it sees to Idempotency-Keys itself: for what it must do before or after its transaction."""

    @property
    def name(self) -> str:
        return getattr(self.endpoint, "__name__", "")


UPLOAD = "/uploads/{upload_id}"
ASSISTANT = "/assistants/{assistant_id}"
THREAD = "/threads/{thread_id}"
MESSAGE = THREAD + "/messages/{message_id}"
RUN = THREAD + "/runs/{run_id}"
STORE = "/vector_stores/{vector_store_id}"
STORE_FILE = STORE + "/files/{file_id}"
BATCHES = STORE + "/file_batches"
BATCH = BATCHES + "/{batch_id}"

OPERATIONS = [
    Operation("POST", "/files", files.upload_file, "form", once_itself=True),
    Operation("GET", "/files", files.list_files),
    Operation("GET", "/files/{file_id}", files.retrieve_file),
    Operation("DELETE", "/files/{file_id}", files.delete_file),
    Operation("GET", "/files/{file_id}/content", files.download_file),
    Operation("POST", "/uploads", uploads.create_upload, "json"),
    Operation("POST", UPLOAD + "/parts", uploads.add_upload_part, "form", once_itself=True),
    Operation("POST", UPLOAD + "/complete", uploads.complete_upload, "json", once_itself=True),
    Operation("POST", UPLOAD + "/cancel", uploads.cancel_upload),
    Operation("POST", "/assistants", assistants.create_assistant, "json"),
    Operation("GET", "/assistants", assistants.list_assistants),
    Operation("GET", ASSISTANT, assistants.retrieve_assistant),
    Operation("POST", ASSISTANT, assistants.modify_assistant, "json"),
    Operation("DELETE", ASSISTANT, assistants.delete_assistant),
    Operation("POST", ASSISTANT + "/files", assistants.create_assistant_file, "json"),
    Operation("GET", ASSISTANT + "/files", assistants.list_assistant_files),
    Operation("GET", ASSISTANT + "/files/{file_id}", assistants.retrieve_assistant_file),
    Operation("DELETE", ASSISTANT + "/files/{file_id}", assistants.delete_assistant_file),
    Operation("POST", "/threads", threads.create_thread, "json"),
    Operation("GET", "/threads", threads.list_threads),
    Operation("GET", THREAD, threads.retrieve_thread),
    Operation("POST", THREAD, threads.modify_thread, "json"),
    Operation("DELETE", THREAD, threads.delete_thread),
    Operation("POST", THREAD + "/messages", messages.create_message, "json"),
    Operation("GET", THREAD + "/messages", messages.list_messages),
    Operation("GET", MESSAGE, messages.retrieve_message),
    Operation("POST", MESSAGE, messages.modify_message, "json"),
    Operation("DELETE", MESSAGE, messages.delete_message),
    Operation("GET", MESSAGE + "/files", messages.list_message_files),
    Operation("GET", MESSAGE + "/files/{file_id}", messages.retrieve_message_file),
    Operation("POST", THREAD + "/runs", runs.create_run, "json", once_itself=True),
    Operation("POST", "/threads/runs", runs.create_thread_and_run, "json", once_itself=True),
    Operation("GET", THREAD + "/runs", runs.list_runs),
    Operation("GET", RUN, runs.retrieve_run),
    Operation("POST", RUN, runs.modify_run, "json", once_itself=True),
    Operation("POST", RUN + "/submit_tool_outputs", runs.submit_tool_outputs, "json", once_itself=True),
    Operation("POST", RUN + "/cancel", runs.cancel_run, once_itself=True),
    Operation("GET", RUN + "/steps", runs.list_run_steps),
    Operation("GET", RUN + "/steps/{step_id}", runs.retrieve_run_step),
    Operation("POST", "/vector_stores", vector_stores.create_vector_store, "json"),
    Operation("GET", "/vector_stores", vector_stores.list_vector_stores),
    Operation("GET", STORE, vector_stores.retrieve_vector_store),
    Operation("POST", STORE, vector_stores.modify_vector_store, "json"),
    Operation("DELETE", STORE, vector_stores.delete_vector_store),
    Operation("POST", STORE + "/files", vector_stores.create_vector_store_file, "json", once_itself=True),
    Operation("GET", STORE + "/files", vector_stores.list_vector_store_files),
    Operation("GET", STORE_FILE, vector_stores.retrieve_vector_store_file),
    Operation("POST", STORE_FILE, vector_stores.modify_vector_store_file, "json"),
    Operation("DELETE", STORE_FILE, vector_stores.delete_vector_store_file),
    Operation("GET", STORE_FILE + "/content", vector_stores.retrieve_vector_store_file_content),
    Operation("POST", BATCHES, vector_stores.create_vector_store_file_batch, "json", once_itself=True),
    Operation("GET", BATCH, vector_stores.retrieve_vector_store_file_batch),
    Operation("POST", BATCH + "/cancel", vector_stores.cancel_vector_store_file_batch),
    Operation("GET", BATCH + "/files", vector_stores.list_vector_store_file_batch_files),
    Operation("POST", STORE + "/search", search.search_vector_store, "json", once_itself=True),
    Operation("GET", "/models", models.list_models),
    Operation("GET", "/models/{model}", models.retrieve_model),
    Operation("DELETE", "/models/{model}", models.delete_model),
]


MAY_HOLD_SLASHES = "model"
"""The parameter that is all that is left of a path: many models' names have slashes in them."""


class Node:
    """One place in the tree of paths."""

    __slots__ = ("children", "methods", "param", "param_child", "prefix")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.param = ""
        self.prefix = ""
        self.param_child: Node | None = None
        self.methods: dict[str, Operation] = {}

    def add(self, operation: Operation, id_prefixes: Mapping[str, str]) -> None:
        node = self
        for segment in operation.template.strip("/").split("/"):
            if segment.startswith("{"):
                node.param = segment[1:-1]
                node.prefix = id_prefixes.get(node.param, "")
                node.param_child = node.param_child or Node()
                node = node.param_child
            else:
                node = node.children.setdefault(segment, Node())
        node.methods[operation.method] = operation

    def find(self, segments: list[str]) -> tuple["Node | None", dict[str, str]]:
        """The node that a path leads to, and the parameters on the way. Raises `WrongPrefix`."""
        node = self
        params: dict[str, str] = {}
        for depth, segment in enumerate(segments):
            child = node.children.get(segment)
            if child is None:
                child = node.param_child
                if child is None or not segment:
                    return None, params
                if not segment.startswith(node.prefix):
                    raise WrongPrefix(node.param, segment, node.prefix)
                if node.param == MAY_HOLD_SLASHES:
                    return child, {node.param: "/".join(segments[depth:])}
                params[node.param] = segment
            node = child
        return node, params


def tree(dialect: Dialect) -> Node:
    """The operations that a dialect has, as a tree."""
    root = Node()
    for operation in OPERATIONS:
        if operation.name in dialect.operations:
            root.add(operation, dialect.id_prefixes)
    return root
