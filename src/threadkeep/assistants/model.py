"""Assistants, in the form that OpenAI v2 serves them. Reference: protocol section 2.

The order of fields is the order on the wire; an assistant's body is stored as it is served.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from threadkeep.metadata import Metadata
from threadkeep.threads.model import ToolResources


class CodeInterpreterTool(Struct, frozen=True, tag_field="type", tag="code_interpreter"):
    """Declared without options."""


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


assistant_of = msgspec.json.Decoder(Assistant).decode
"""The assistant in a stored body."""


def body_of(assistant: Assistant) -> str:
    """The JSON text that is stored."""
    return msgspec.json.encode(assistant).decode()
