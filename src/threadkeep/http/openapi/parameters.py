"""What goes into an operation beside its JSON body: path, query, version header, form."""

import re
from typing import Any

from threadkeep.files.endpoints import MOST_LISTED
from threadkeep.files.model import LONGEST_LIFE, PURPOSES, SHORTEST_LIFE
from threadkeep.http.request import ORDERS
from threadkeep.idempotency.model import LONGEST_KEY
from threadkeep.metadata import MAX_PAIRS
from threadkeep.paging import PageQuery
from threadkeep.vector_stores.model import FILTERS

Parameter = dict[str, Any]

CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,64}$"}
"""Any id. An empty one in a query is as good as none."""
PREFIXES = {
    "assistant_id": "asst_",
    "thread_id": "thread_",
    "message_id": "msg_",
    "run_id": "run_",
    "step_id": "step_",
    "file_id": "file-",
    "vector_store_id": "vs_",
    "batch_id": "vsfb_",
    "upload_id": "upload_",
}


def in_query(name: str, schema: dict[str, Any], description: str, **more: Any) -> Parameter:
    return {"name": name, "in": "query", "schema": schema, "description": description, **more}


def page(most: int = 100, default: int = PageQuery().limit) -> list[Parameter]:
    """What every list takes."""
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    order = {"enum": list(ORDERS), "default": PageQuery().order}
    return [
        in_query("limit", limit, "How many objects at most."),
        in_query("order", order, "Oldest first (asc) or newest first (desc)."),
        in_query("after", CURSOR, "Only objects that follow the one with this id, in the order asked."),
        in_query("before", CURSOR, "Only objects that precede the one with this id, in the order asked."),
    ]


METADATA_FILTER = in_query(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": MAX_PAIRS},
    "Only threads whose metadata has these pairs: metadata[key]=value.",
    style="deepObject",
    explode=True,
)

INCLUDE = in_query(
    "include[]",
    {"type": "array", "items": {"enum": ["step_details.tool_calls[*].file_search.results[*].content"]}},
    "Show the text that file searches found, too.",
)

FILTER = in_query("filter", {"enum": list(FILTERS)}, "Only files in this status.")

QUERIES: dict[str, list[Parameter]] = {
    "list_files": [
        *page(MOST_LISTED, MOST_LISTED),
        in_query("purpose", {"type": "string"}, "Only files with this purpose."),
    ],
    "list_assistants": page(),
    "list_assistant_files": page(),
    "list_threads": [*page(), METADATA_FILTER],
    "list_messages": [*page(), in_query("run_id", {"type": "string"}, "Only messages that this run made.")],
    "list_message_files": page(),
    "create_run": [INCLUDE],
    "list_runs": page(),
    "list_run_steps": [*page(), INCLUDE],
    "list_vector_stores": page(),
    "list_vector_store_files": [*page(), FILTER],
    "list_vector_store_file_batch_files": [*page(), FILTER],
    "retrieve_run_step": [INCLUDE],
}
"""The query of each operation that has one. Other parameters are ignored."""


def in_path(template: str) -> list[Parameter]:
    """The ids in a path."""
    return [
        {"name": name, "in": "path", "required": True, "schema": named(name)}
        for name in re.findall(r"\{(\w+)\}", template)
    ]


def named(parameter: str) -> dict[str, Any]:
    """What a parameter of a path may be. Names of models are their providers' own."""
    return {"type": "string", "minLength": 1} if parameter == "model" else an_id(PREFIXES[parameter])


def an_id(prefix: str) -> dict[str, Any]:
    """An id as the server makes them."""
    return {"type": "string", "pattern": f"^{prefix}[A-Za-z0-9]{{1,64}}$"}


def beta_header(values: list[str], required: bool) -> Parameter:
    """The version of the Assistants API; the first value is what goes without saying."""
    schema: dict[str, Any] = {"type": "string", "enum": values}
    if not required:
        schema["default"] = values[0]
    return {
        "name": "OpenAI-Beta",
        "in": "header",
        "required": required,
        "schema": schema,
        "description": "The version of the Assistants API that the request and its answer are in.",
    }


IDEMPOTENCY_KEY: Parameter = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": f"^[!-~][ -~]{{0,{LONGEST_KEY - 1}}}$"},
    "description": "The same request with the same key takes effect once and is answered alike for 24 hours.",
}

UPLOAD = {
    "type": "object",
    "properties": {
        "purpose": {"type": "string", "enum": list(PURPOSES)},
        "file": {"type": "string", "format": "binary"},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": SHORTEST_LIFE, "maximum": LONGEST_LIFE},
    },
    "required": ["purpose", "file"],
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
}
"""The form of a file."""

FORMS = {
    "upload_file": UPLOAD,
    "add_upload_part": {
        "type": "object",
        "properties": {"data": {"type": "string", "format": "binary"}},
        "required": ["data"],
    },
}
"""What each operation reads that reads a form."""
