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

EMPTY_LISTS = "an empty list of the live service has null at both ends"
LATE_LISTS = "the live service lists files in the full form since 2024"
NULL_FILES = "every recorded file has both, and both are null"
UNSET = "recordings never have null here: what is unset is empty"

AMENDED = [
    *(
        Amendment((version,), name, end, or_null("string"), EMPTY_LISTS)
        for end in ("first_id", "last_id")
        for version, name in (
            ("v1", "ListMessagesResponse"),
            ("v1", "ListMessageFilesResponse"),
            ("v2", "ListMessagesResponse"),
            ("v2", "ListFilesResponse"),
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
    Amendment(OPENAI, "ThreadObject", "metadata", STRINGS, UNSET),
    Amendment(OPENAI, "MessageObject", "metadata", STRINGS, UNSET),
    Amendment(("v2",), "MessageObject", "attachments", ATTACHMENTS, UNSET + "; an attachment has a file"),
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
