"""Threads and what their tools may use. Reference: protocol section 3."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.messages.model import NewMessage
from threadkeep.metadata import Metadata
from threadkeep.vector_stores.model import NewStore


class CodeInterpreterResources(Struct, frozen=True):
    file_ids: list[str] = []


class FileSearchResources(Struct, frozen=True):
    vector_store_ids: list[str] = []


class ToolResources(Struct, frozen=True):
    """Only the tools that have anything are shown."""

    code_interpreter: CodeInterpreterResources | UnsetType = UNSET
    file_search: FileSearchResources | UnsetType = UNSET

    def code_files(self) -> list[str]:
        return [] if self.code_interpreter is UNSET else self.code_interpreter.file_ids

    def store_ids(self) -> list[str]:
        return [] if self.file_search is UNSET else self.file_search.vector_store_ids

    def with_store(self, id: str) -> "ToolResources":
        """With this store searched, in the place of any other."""
        return ToolResources(self.code_interpreter, FileSearchResources([id]))

    def with_code_files(self, file_ids: list[str]) -> "ToolResources":
        """With these files also given to the code interpreter, each once."""
        merged = list(dict.fromkeys([*self.code_files(), *file_ids]))
        return ToolResources(CodeInterpreterResources(merged), self.file_search)

    def without_file(self, file_id: str) -> "ToolResources":
        left = [one for one in self.code_files() if one != file_id]
        return ToolResources(CodeInterpreterResources(left) if left else UNSET, self.file_search)


class Thread(Struct, frozen=True, kw_only=True):
    """One thread, in the order of the wire."""

    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: Metadata = {}
    tool_resources: ToolResources = ToolResources()

    def changed(self, **changes: Any) -> "Thread":
        """The same thread with some fields replaced."""
        return msgspec.structs.replace(self, **changes)


class NewThread(Struct, frozen=True):
    """What a client asks to be made; with `store`, also a vector store for it."""

    messages: list[NewMessage] = []
    metadata: Metadata = {}
    tool_resources: ToolResources = ToolResources()
    store: NewStore | None = None

    def file_ids(self) -> list[str]:
        """Every file that it names."""
        named = [id for one in self.messages for id in one.file_ids()]
        searched = [one.file_id for one in self.store.files] if self.store else []
        return named + self.tool_resources.code_files() + searched


class ThreadChange(Struct, frozen=True):
    """What a client asks to be changed; None leaves it as it is."""

    metadata: Metadata | None = None
    tool_resources: ToolResources | None = None
