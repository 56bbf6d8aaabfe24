"""Every path in one table, in the order of the API reference: the table of contents.

Dispatch is our own: a walk over path segments in a tree made from the table once. It costs about a
microsecond, a tenth of what a general router takes on these paths (docs/architecture.md).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from msgspec import Struct

from threadkeep.errors import WrongPrefix
from threadkeep.files import endpoints as files
from threadkeep.http.request import Request, Response
from threadkeep.messages import endpoints as messages
from threadkeep.threads import endpoints as threads
from threadkeep.wire.base import Dialect

Endpoint = Callable[[Request], Awaitable[Response]]


class Operation(Struct, frozen=True):
    """One operation of the API. Its name is the endpoint's, and what dialects call it by."""

    method: str
    template: str
    endpoint: Endpoint
    reads: Literal["nothing", "json", "form"] = "nothing"

    @property
    def name(self) -> str:
        return getattr(self.endpoint, "__name__", "")


THREAD = "/threads/{thread_id}"
MESSAGE = THREAD + "/messages/{message_id}"

OPERATIONS = [
    Operation("POST", "/files", files.upload_file, "form"),
    Operation("GET", "/files", files.list_files),
    Operation("GET", "/files/{file_id}", files.retrieve_file),
    Operation("DELETE", "/files/{file_id}", files.delete_file),
    Operation("GET", "/files/{file_id}/content", files.download_file),
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
]


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
        for segment in segments:
            child = node.children.get(segment)
            if child is None:
                child = node.param_child
                if child is None or not segment:
                    return None, params
                if not segment.startswith(node.prefix):
                    raise WrongPrefix(node.param, segment, node.prefix)
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
