"""Assistants, in the form that OpenAI v2 serves them. Reference: protocol section 2.

The order of fields is the order on the wire; an assistant's body is stored as it is served.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.metadata import Metadata
from threadkeep.threads.model import CodeInterpreterResources, ToolResources
from threadkeep.vector_stores.model import NewStore

MAX_FILES = 20
"""Files that an assistant's code interpreter is given, and files in v1's list."""


class CodeInterpreterTool(Struct, frozen=True, tag_field="type", tag="code_interpreter"):
    """Declared without options."""


Ranker = Literal["auto", "default_2024_08_21"]


class RankingOptions(Struct, frozen=True):
    ranker: str = "default_2024_08_21"
    score_threshold: float = 0.0
    hybrid_search: dict[str, Any] | None = None


class FileSearchOptions(Struct, frozen=True):
    max_num_results: int | UnsetType = UNSET
    ranking_options: RankingOptions = RankingOptions()


class FileSearchTool(Struct, frozen=True, tag_field="type", tag="file_search"):
    file_search: FileSearchOptions = FileSearchOptions()


def no_parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


class Function(Struct, frozen=True):
    """A function that the client carries out; `parameters` is a JSON schema."""

    name: str
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] = msgspec.field(default_factory=no_parameters)
    strict: bool = False


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function"):
    function: Function


AssistantTool = CodeInterpreterTool | FileSearchTool | FunctionTool
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ResponseFormat = str | dict[str, Any]
"""`"auto"`, or an object with a `type`."""


class Assistant(Struct, frozen=True, kw_only=True):
    """One assistant, in the order of the wire."""

    id: str
    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: list[AssistantTool] = []
    top_p: float = 1.0
    temperature: float = 1.0
    reasoning_effort: ReasoningEffort | None = None
    tool_resources: ToolResources = ToolResources()
    metadata: Metadata = {}
    response_format: ResponseFormat = "auto"

    def uses(self, tool: type[AssistantTool]) -> bool:
        return any(isinstance(one, tool) for one in self.tools)

    def with_resources(self, resources: ToolResources) -> "Assistant":
        """With these resources as they are shown: code that may be run has a list of files, be it empty."""
        if self.uses(CodeInterpreterTool):
            code = CodeInterpreterResources(resources.code_files())
            resources = ToolResources(code, resources.file_search)
        return msgspec.structs.replace(self, tool_resources=resources)


class StoredAssistant(Struct, frozen=True):
    """An assistant as it is stored: its body, and beside it the files that v1 lists, in order."""

    id: str
    body: str
    file_ids: list[str] = []


class NewAssistant(Struct, frozen=True, kw_only=True):
    """What a client asks to be made; with `store`, also a vector store for it. `file_ids` are v1's."""

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: list[AssistantTool] = []
    top_p: float = 1.0
    temperature: float = 1.0
    reasoning_effort: ReasoningEffort | None = None
    tool_resources: ToolResources = ToolResources()
    store: NewStore | None = None
    metadata: Metadata = {}
    response_format: ResponseFormat = "auto"
    file_ids: list[str] = []

    def named_files(self) -> list[str]:
        """Every file that it names."""
        searched = [one.file_id for one in self.store.files] if self.store else []
        return self.tool_resources.code_files() + searched + self.file_ids


class AssistantChange(Struct, frozen=True, kw_only=True):
    """What a client asks to be changed; None leaves it as it is, except that it clears texts, which are
    left as they are by UNSET."""

    model: str | None = None
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    tools: list[AssistantTool] | None = None
    top_p: float | None = None
    temperature: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    response_format: ResponseFormat | None = None
    file_ids: list[str] | None = None


class AssistantFile(Struct, frozen=True, kw_only=True):
    """A file of an assistant, as v1 lists it."""

    id: str
    object: Literal["assistant.file"] = "assistant.file"
    created_at: int
    assistant_id: str


def created(new: NewAssistant, id: str, now: int) -> Assistant:
    """The assistant as it stands at first; v1's files are for the code that it may run."""
    one = Assistant(
        id=id,
        created_at=now,
        name=new.name,
        description=new.description,
        model=new.model,
        instructions=new.instructions,
        tools=new.tools,
        top_p=new.top_p,
        temperature=new.temperature,
        reasoning_effort=new.reasoning_effort,
        metadata=new.metadata,
        response_format=new.response_format,
    )
    return with_files_of_v1(one.with_resources(new.tool_resources), new.file_ids)


TEXTS = frozenset({"name", "description", "instructions"})
PLAIN = ("model", *sorted(TEXTS), "tools", "top_p", "temperature", "reasoning_effort", "response_format")
"""What a change replaces without looking at anything else."""


def changed(assistant: Assistant, change: AssistantChange, metadata: Metadata) -> Assistant:
    """The assistant after a change, with this metadata; what concerns v1's files is not in it."""
    given = {name: getattr(change, name) for name in PLAIN}
    absent = {name: UNSET if name in TEXTS else None for name in PLAIN}
    values = {name: value for name, value in given.items() if value is not absent[name]}
    after = msgspec.structs.replace(assistant, metadata=metadata, **values)
    if change.tool_resources is not None:
        return after.with_resources(change.tool_resources)
    resources = assistant.tool_resources
    if not resources.code_files():  # an empty list only says that the tool is there
        resources = ToolResources(UNSET, resources.file_search)
    return after.with_resources(resources)


def with_files_of_v1(assistant: Assistant, file_ids: list[str]) -> Assistant:
    """With these files also given to the code interpreter, where the assistant has it."""
    if not file_ids or not assistant.uses(CodeInterpreterTool):
        return assistant
    return assistant.with_resources(assistant.tool_resources.with_code_files(file_ids))


def without_file(assistant: Assistant, file_id: str) -> Assistant:
    return assistant.with_resources(assistant.tool_resources.without_file(file_id))


assistant_of = msgspec.json.Decoder(Assistant).decode
"""The assistant in a stored body."""


def body_of(assistant: Assistant) -> str:
    """The JSON text that is stored."""
    return msgspec.json.encode(assistant).decode()
