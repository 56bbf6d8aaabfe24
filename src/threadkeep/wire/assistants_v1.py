"""Assistants in v1: `file_ids` and `retrieval`, no sampling shown. Reference: protocol sections 1.7, 2."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from threadkeep.assistants.model import (
    MAX_FILES,
    AssistantChange,
    AssistantTool,
    CodeInterpreterTool,
    FileSearchTool,
    Function,
    FunctionTool,
    NewAssistant,
    ResponseFormat,
    StoredAssistant,
    assistant_of,
)
from threadkeep.metadata import Metadata
from threadkeep.wire.assistants import (
    MAX_TOOLS,
    AssistantChanges,
    AssistantOptions,
    FunctionToolBody,
    changes,
    function_of,
    options,
)
from threadkeep.wire.base import text_of
from threadkeep.wire.threads_v1 import V1Metadata, strings

# ---------------------------------------------------------------- tools


class RetrievalTool(Struct, frozen=True, tag_field="type", tag="retrieval"):
    """What v2 calls `file_search`."""


ToolBody = CodeInterpreterTool | FunctionToolBody | RetrievalTool
Tools = Annotated[list[ToolBody], Meta(max_length=MAX_TOOLS)]


def tools_of(bodies: Sequence[ToolBody]) -> list[AssistantTool]:
    """Tools as v2 has them."""
    return [tool_of(one) for one in bodies]


def tool_of(body: ToolBody) -> AssistantTool:
    match body:
        case RetrievalTool():
            return FileSearchTool()
        case FunctionToolBody():
            return FunctionTool(function_of(body.function))
    return body


class FunctionV1(Struct, frozen=True):
    name: str
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] = {}


class FunctionToolV1(Struct, frozen=True, tag_field="type", tag="function"):
    function: FunctionV1


ToolV1 = CodeInterpreterTool | FunctionToolV1 | RetrievalTool


def tools_v1(tools: Sequence[AssistantTool]) -> list[ToolV1]:
    """Tools as v1 shows them."""
    return [tool_v1(one) for one in tools]


def tool_v1(tool: AssistantTool) -> ToolV1:
    match tool:
        case FileSearchTool():
            return RetrievalTool()
        case FunctionTool():
            return FunctionToolV1(function_v1(tool.function))
    return tool


def function_v1(function: Function) -> FunctionV1:
    return FunctionV1(function.name, function.description, function.parameters)


# ---------------------------------------------------------------- response formats


class FormatBody(Struct, frozen=True):
    type: Literal["text", "json_object"] = "text"


ResponseFormatBody = Literal["none", "auto"] | FormatBody


def response_format_of(body: ResponseFormatBody) -> ResponseFormat:
    """The format in v2's words, which have no `none`."""
    if isinstance(body, str):
        return "auto"
    asked: dict[str, Any] = msgspec.to_builtins(body)
    return asked


# ---------------------------------------------------------------- assistants

FileIds = Annotated[list[str], Meta(max_length=MAX_FILES)]


class CreateAssistant(AssistantOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tools: Tools | None = None
    file_ids: FileIds | None = None
    metadata: V1Metadata | None = None
    response_format: ResponseFormatBody | None = None


class ModifyAssistant(AssistantChanges, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tools: Tools | None = None
    file_ids: FileIds | None = None
    metadata: V1Metadata | None = None
    response_format: ResponseFormatBody | None = None


class CreateAssistantFile(Struct, frozen=True, forbid_unknown_fields=True):
    file_id: str


def new_assistant(body: CreateAssistant) -> NewAssistant:
    return NewAssistant(
        **options(body),
        tools=tools_of(body.tools or []),
        metadata=strings(body.metadata) or {},
        response_format=response_format_of(body.response_format or "auto"),
        file_ids=body.file_ids or [],
    )


def assistant_change(body: ModifyAssistant) -> AssistantChange:
    return AssistantChange(
        **changes(body),
        tools=None if body.tools is None else tools_of(body.tools),
        metadata=strings(body.metadata),
        response_format=None if body.response_format is None else response_format_of(body.response_format),
        file_ids=body.file_ids,
    )


def attached_file(body: CreateAssistantFile) -> str:
    """The id of the file that is to be attached."""
    return body.file_id


# ---------------------------------------------------------------- objects


class AssistantV1(Struct, frozen=True, kw_only=True):
    """An assistant as v1 shows it."""

    id: str
    object: Literal["assistant"]
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: list[ToolV1]
    file_ids: list[str]
    metadata: Metadata


AS_IN_V2 = [name for name in AssistantV1.__struct_fields__ if name not in ("tools", "file_ids")]


def assistant(stored: StoredAssistant) -> str:
    one = assistant_of(stored.body)
    values = {name: getattr(one, name) for name in AS_IN_V2}
    return text_of(AssistantV1(tools=tools_v1(one.tools), file_ids=stored.file_ids, **values))
