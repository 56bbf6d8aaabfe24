"""Where what is demanded of answers differs from the published schemas, each with its reason."""

from typing import Any, NamedTuple

OPENAI = ("v1", "v2")
Schema = dict[str, Any]


class Amendment(NamedTuple):
    """A property of a published schema as it must be here."""

    versions: tuple[str, ...]
    definition: str
    property: str
    schema: Schema
    reason: str
    required: bool = True


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def or_null(type: str) -> Schema:
    return {"type": [type, "null"]}


STRINGS = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 512},
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
}
ATTACHMENTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "file_id": {"type": "string"},
            "tools": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"type": {"enum": ["code_interpreter", "file_search"]}},
                    "required": ["type"],
                },
            },
        },
        "required": ["file_id"],
    },
}
FILE_DETAIL = {
    "type": "object",
    "properties": {"message": {"type": "string"}, "code": {"type": "null"}},
    "required": ["message", "code"],
}
PURPOSES = [
    "assistants",
    "assistants_output",
    "batch",
    "batch_output",
    "evals",
    "fine-tune",
    "fine-tune-results",
    "user_data",
    "vision",
]

RESOURCES = {
    "type": "object",
    "properties": {
        "code_interpreter": {
            "type": "object",
            "properties": {"file_ids": {"type": "array", "maxItems": 20, "items": {"type": "string"}}},
            "required": ["file_ids"],
        },
        "file_search": {
            "type": "object",
            "properties": {"vector_store_ids": {"type": "array", "maxItems": 1, "items": {"type": "string"}}},
            "required": ["vector_store_ids"],
        },
    },
}
SEARCH_OPTIONS = {
    "type": "object",
    "properties": {
        "max_num_results": {"type": "integer", "minimum": 1, "maximum": 50},
        "ranking_options": ref("FileSearchRankingOptions"),
    },
    "required": ["ranking_options"],
}
EFFORT = {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max", None]}

EXPIRES_AFTER = {"anyOf": [ref("VectorStoreExpirationAfter"), {"type": "null"}]}
STATIC = "StaticChunkingStrategyResponseParam"
ATTRIBUTES = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
}

COUNT = {"type": "integer", "minimum": 0}


def counts(*names: str, **details: Schema) -> Schema:
    """Usage: all of these, or null."""
    properties = {**dict.fromkeys(names, COUNT), **details}
    return {"type": ["object", "null"], "properties": properties, "required": list(properties)}


TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
USAGE = counts(*TOTALS)
DETAILED_USAGE = counts(
    *TOTALS,
    prompt_token_details={"type": "object", "properties": {"cached_tokens": COUNT}},
    completion_tokens_details={"type": "object", "properties": {"reasoning_tokens": COUNT}},
)
CAP = {"type": ["integer", "null"], "minimum": 1}

EMPTY_LISTS = "an empty list of the live service has null at both ends"
LATE_LISTS = "the live service lists files in the full form since 2024"
NULL_FILES = "every recorded file has both, and both are null"
FILLED_IN = "recordings always have it, with the default where the client gave none"
DETAILS_SINCE = "the live service has the details since October 2025"
SMALL_CAPS = "the live service took caps far below the published 256"
UNSET = "recordings never have null here: what is unset is empty"

AMENDED = [
    *(
        Amendment((version,), name, end, or_null("string"), EMPTY_LISTS)
        for end in ("first_id", "last_id")
        for version, name in (
            ("v1", "ListAssistantsResponse"),
            ("v1", "ListAssistantFilesResponse"),
            ("v1", "ListRunsResponse"),
            ("v1", "ListRunStepsResponse"),
            ("v1", "ListMessagesResponse"),
            ("v1", "ListMessageFilesResponse"),
            ("v2", "ListAssistantsResponse"),
            ("v2", "ListRunsResponse"),
            ("v2", "ListRunStepsResponse"),
            ("v2", "ListMessagesResponse"),
            ("v2", "ListFilesResponse"),
            ("v2", "ListVectorStoresResponse"),
            ("v2", "ListVectorStoreFilesResponse"),
        )
    ),
    Amendment(("v1",), "ListFilesResponse", "first_id", or_null("string"), LATE_LISTS),
    Amendment(("v1",), "ListFilesResponse", "last_id", or_null("string"), LATE_LISTS),
    Amendment(("v1",), "ListFilesResponse", "has_more", {"type": "boolean"}, LATE_LISTS),
    Amendment(OPENAI, "OpenAIFile", "expires_at", or_null("integer"), NULL_FILES),
    Amendment(OPENAI, "OpenAIFile", "status_details", or_null("string"), NULL_FILES),
    Amendment(
        OPENAI,
        "OpenAIFile",
        "purpose",
        {"enum": PURPOSES},
        "files are the same in both versions, and the live service takes `evals` too",
    ),
    Amendment(("v2",), "Upload", "object", {"enum": ["upload"]}, "every recorded upload has it"),
    Amendment(
        ("v2",),
        "Upload",
        "file",
        ref("OpenAIFile"),
        "recorded uploads have it once they are completed",
        False,
    ),
    Amendment(OPENAI, "AssistantObject", "metadata", STRINGS, UNSET),
    Amendment(("v2",), "AssistantObject", "tool_resources", RESOURCES, UNSET),
    Amendment(("v2",), "AssistantObject", "temperature", {"type": "number"}, FILLED_IN),
    Amendment(("v2",), "AssistantObject", "top_p", {"type": "number"}, FILLED_IN),
    Amendment(
        ("v2",), "AssistantObject", "response_format", ref("AssistantsApiResponseFormatOption"), FILLED_IN
    ),
    Amendment(
        ("v2",), "AssistantObject", "reasoning_effort", EFFORT, "the live service has it since March 2025"
    ),
    Amendment(("v2",), "AssistantToolsFileSearch", "file_search", SEARCH_OPTIONS, FILLED_IN),
    Amendment(
        ("v2",),
        "FileSearchRankingOptions",
        "hybrid_search",
        or_null("object"),
        "the live service has it since October 2025",
    ),
    Amendment(("v2",), "FunctionObject", "strict", {"type": "boolean"}, FILLED_IN),
    Amendment(OPENAI, "FunctionObject", "parameters", ref("FunctionParameters"), FILLED_IN),
    Amendment(OPENAI, "RunObject", "metadata", STRINGS, UNSET),
    Amendment(OPENAI, "RunObject", "instructions", or_null("string"), "null where nobody gave any"),
    Amendment(OPENAI, "RunObject", "temperature", {"type": "number"}, FILLED_IN),
    Amendment(OPENAI, "RunObject", "top_p", {"type": "number"}, FILLED_IN),
    Amendment(OPENAI, "RunObject", "max_prompt_tokens", CAP, SMALL_CAPS),
    Amendment(OPENAI, "RunObject", "max_completion_tokens", CAP, SMALL_CAPS),
    Amendment(OPENAI, "RunObject", "truncation_strategy", ref("TruncationObject"), FILLED_IN),
    Amendment(OPENAI, "RunObject", "tool_choice", ref("AssistantsApiToolChoiceOption"), FILLED_IN),
    Amendment(OPENAI, "RunObject", "response_format", ref("AssistantsApiResponseFormatOption"), FILLED_IN),
    Amendment(("v2",), "RunObject", "parallel_tool_calls", {"type": "boolean"}, FILLED_IN),
    Amendment(("v2",), "RunObject", "tool_resources", RESOURCES, "every recorded run has them"),
    Amendment(("v2",), "RunObject", "reasoning_effort", EFFORT, "the live service has it since March 2025"),
    Amendment(("v2",), "RunObject", "usage", DETAILED_USAGE, DETAILS_SINCE),
    Amendment(("v1",), "RunObject", "usage", USAGE, "tokens are never negative"),
    Amendment(OPENAI, "TruncationObject", "last_messages", CAP, "every recorded run has it"),
    Amendment(OPENAI, "RunStepObject", "expires_at", or_null("integer"), "every recorded step has it"),
    Amendment(OPENAI, "RunStepObject", "metadata", STRINGS, UNSET),
    Amendment(
        ("v2",), "RunStepObject", "usage", DETAILED_USAGE, "the live service has it since October 2025"
    ),
    Amendment(OPENAI, "ThreadObject", "metadata", STRINGS, UNSET),
    Amendment(OPENAI, "MessageObject", "metadata", STRINGS, UNSET),
    Amendment(("v2",), "MessageObject", "attachments", ATTACHMENTS, UNSET + "; an attachment has a file"),
    Amendment(("v2",), "VectorStoreObject", "name", or_null("string"), "null where nobody gave one"),
    Amendment(
        ("v2",),
        "VectorStoreObject",
        "description",
        or_null("string"),
        "the live service has it since September 2025",
    ),
    Amendment(
        ("v2",), "VectorStoreObject", "expires_after", EXPIRES_AFTER, "every recorded store has it, or null"
    ),
    Amendment(("v2",), "VectorStoreObject", "expires_at", or_null("integer"), "every recorded store has it"),
    Amendment(("v2",), "VectorStoreObject", "last_active_at", {"type": "integer"}, "it is never null"),
    Amendment(("v2",), "VectorStoreObject", "metadata", STRINGS, UNSET),
    Amendment(("v2",), "VectorStoreFileObject", "chunking_strategy", ref(STATIC), FILLED_IN),
    Amendment(("v2",), "VectorStoreFileObject", "attributes", ATTRIBUTES, UNSET),
    Amendment(
        OPENAI,
        "ErrorResponse",
        "detail",
        FILE_DETAIL,
        "errors of the Files API say it twice",
        required=False,
    ),
    Amendment(
        ("v1",),
        "MessageFileObject",
        "file_id",
        {"type": "string"},
        "the v1 reference shows it once, so it is always there",
    ),
    Amendment(
        ("v2",),
        "RunStepDetailsToolCallsFileSearchResultObject",
        "attributes",
        {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        "the live service showed them, though the reference leaves them out",
    ),
]

EXTENSIONS: dict[str, Schema] = {
    "ListThreadsResponse": {
        "type": "object",
        "properties": {
            "object": {"enum": ["list"]},
            "data": {"type": "array", "items": ref("ThreadObject")},
            "first_id": or_null("string"),
            "last_id": or_null("string"),
            "has_more": {"type": "boolean"},
        },
        "required": ["object", "data", "first_id", "last_id", "has_more"],
    }
}
"""What this server has beyond the published documents."""
EXTRA_OPERATIONS = {"GET /threads": "ListThreadsResponse"}
