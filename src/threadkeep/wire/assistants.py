"""Bodies of assistants, v2, and the tools and formats that runs are given too. Reference: protocol section 2.

Unknown keys are refused at the top of a body and passed over inside its parts, as the published schema
has it. Null says nothing, but for the texts of an assistant that is changed: those it clears.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from threadkeep.assistants.model import (
    AssistantChange,
    AssistantTool,
    CodeInterpreterTool,
    FileSearchOptions,
    FileSearchTool,
    Function,
    FunctionTool,
    NewAssistant,
    Ranker,
    RankingOptions,
    ReasoningEffort,
    ResponseFormat,
    no_parameters,
)
from threadkeep.metadata import CheckedMetadata
from threadkeep.wire.check import TO_THE_END
from threadkeep.wire.threads import NewResources, Resources, resources, store_to_make

MAX_TOOLS = 128

# ---------------------------------------------------------------- values

Model = Annotated[str, Meta(min_length=1)]
"""Whatever an operator calls a model."""
Name = Annotated[str, Meta(max_length=256)]
Description = Annotated[str, Meta(max_length=512)]
Instructions = Annotated[str, Meta(max_length=256_000)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$" + TO_THE_END)]
"""The name of a function or of a schema."""

# ---------------------------------------------------------------- tools


class RankingBody(Struct, frozen=True):
    score_threshold: Annotated[float, Meta(ge=0, le=1)]
    ranker: Ranker | None = None
    hybrid_search: dict[str, Any] | None = None


class FileSearchBody(Struct, frozen=True):
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: RankingBody | None = None


class FileSearchToolBody(Struct, frozen=True, tag_field="type", tag="file_search"):
    file_search: FileSearchBody | None = None


class FunctionBody(Struct, frozen=True):
    """`parameters` is a JSON schema."""

    name: Identifier
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionToolBody(Struct, frozen=True, tag_field="type", tag="function"):
    function: FunctionBody


ToolBody = CodeInterpreterTool | FileSearchToolBody | FunctionToolBody
Tools = Annotated[list[ToolBody], Meta(max_length=MAX_TOOLS)]


def tools_of(bodies: Sequence[ToolBody]) -> list[AssistantTool]:
    """Tools with what was left out filled in, as they are served."""
    return [tool_of(one) for one in bodies]


def tool_of(body: ToolBody) -> AssistantTool:
    match body:
        case FileSearchToolBody():
            return FileSearchTool(search_options(body.file_search or FileSearchBody()))
        case FunctionToolBody():
            return FunctionTool(function_of(body.function))
    return body


def search_options(body: FileSearchBody) -> FileSearchOptions:
    most = UNSET if body.max_num_results is None else body.max_num_results
    ranking = body.ranking_options
    if ranking is None:
        return FileSearchOptions(most)
    ranker = ranking.ranker or RankingOptions().ranker
    return FileSearchOptions(most, RankingOptions(ranker, ranking.score_threshold, ranking.hybrid_search))


def function_of(body: FunctionBody) -> Function:
    return Function(
        body.name,
        UNSET if body.description is None else body.description,
        no_parameters() if body.parameters is None else body.parameters,
        bool(body.strict),
    )


# ---------------------------------------------------------------- response formats


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """Any text."""


class JsonObjectFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    """Some JSON object."""


class Schema(Struct, frozen=True):
    """What was left out stays out."""

    name: Identifier
    description: str | UnsetType | None = UNSET
    schema: dict[str, Any] | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET


class JsonSchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    json_schema: Schema


ResponseFormatBody = Literal["auto"] | JsonObjectFormat | JsonSchemaFormat | TextFormat


def response_format_of(body: ResponseFormatBody) -> ResponseFormat:
    """The format as it was asked for."""
    if isinstance(body, str):
        return body
    asked: dict[str, Any] = msgspec.to_builtins(body)
    return asked


# ---------------------------------------------------------------- assistants


class AssistantOptions(Struct, frozen=True, kw_only=True):
    """What creating an assistant takes in either version."""

    model: Model
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None


class AssistantChanges(Struct, frozen=True, kw_only=True):
    """Likewise changing one."""

    model: Model | None = None
    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    temperature: Temperature | None = None
    top_p: TopP | None = None


def options(body: AssistantOptions) -> dict[str, Any]:
    """The part of a `NewAssistant` that they make."""
    given = {name: getattr(body, name) for name in AssistantOptions.__struct_fields__}
    return {name: value for name, value in given.items() if value is not None}


def changes(body: AssistantChanges) -> dict[str, Any]:
    """The part of an `AssistantChange` that they make."""
    return {name: getattr(body, name) for name in AssistantChanges.__struct_fields__}


class CreateAssistant(AssistantOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tools: Tools | None = None
    tool_resources: NewResources | None = None
    metadata: CheckedMetadata | None = None
    response_format: ResponseFormatBody | None = None
    reasoning_effort: ReasoningEffort | None = None


class ModifyAssistant(AssistantChanges, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tools: Tools | None = None
    tool_resources: Resources | None = None
    metadata: CheckedMetadata | None = None
    response_format: ResponseFormatBody | None = None
    reasoning_effort: ReasoningEffort | None = None


def new_assistant(body: CreateAssistant) -> NewAssistant:
    return NewAssistant(
        **options(body),
        tools=tools_of(body.tools or []),
        reasoning_effort=body.reasoning_effort,
        tool_resources=resources(body.tool_resources),
        store=store_to_make(body.tool_resources, None),
        metadata=body.metadata or {},
        response_format=response_format_of(body.response_format or "auto"),
    )


def assistant_change(body: ModifyAssistant) -> AssistantChange:
    return AssistantChange(
        **changes(body),
        tools=None if body.tools is None else tools_of(body.tools),
        reasoning_effort=body.reasoning_effort,
        tool_resources=resources(body.tool_resources) if body.tool_resources else None,
        metadata=body.metadata,
        response_format=None if body.response_format is None else response_format_of(body.response_format),
    )
