"""The words of the description: what the server is, how to get in, what each status means."""

from typing import Any

ABOUT = """\
The Assistants API, self-hosted: threads, messages and files.

Under `/v1` stand the paths of OpenAI's API; the header `OpenAI-Beta` chooses its version, and without the \
header it is v2. Both versions work on the same objects. Under `/rubra` (and, just the same, `/rubra/v1`) \
stands Rubra's form of the API.

Every request names an API key, and sees only the objects of that key's project."""

TAGS = [
    {"name": "files", "description": "Bytes with a purpose."},
    {"name": "uploads", "description": "Large files, sent in parts."},
    {"name": "assistants", "description": "Models with instructions and tools."},
    {"name": "threads", "description": "Conversations."},
    {"name": "messages", "description": "What was said in them."},
    {"name": "runs", "description": "What models make of them, step by step."},
    {"name": "vector_stores", "description": "Files that can be searched."},
    {"name": "models", "description": "What runs can be asked of."},
    {"name": "rubra", "description": "The same objects in Rubra's form. `/rubra/v1/...` is `/rubra/...`."},
    {"name": "server", "description": "The server itself; no key is needed."},
]

SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
    "basic": {"type": "http", "scheme": "basic", "description": "The API key as the password."},
    "portkey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-portkey-api-key",
        "description": "The API key; it wins over what stands in Authorization.",
    },
    "azure": {
        "type": "apiKey",
        "in": "header",
        "name": "api-key",
        "description": "The API key, for clients made for Azure.",
    },
}

EVENT_STREAM = "Where the body says `stream`: server-sent events, from the run as it was made to `done`."

REFUSED = {
    400: "The request breaks a rule; `param` names the field.",
    401: "No API key, one that opens nothing, or an unknown virtual key.",
    403: "Nobody who calls this server may do so.",
    404: "The project has no such object.",
    405: "The version asked for has this path, but not with this method.",
    409: "The idempotency key was already used for another request.",
    413: "The body is larger than this server takes.",
    416: "The file has no bytes in the range that is asked for.",
    422: "The request breaks rules; all of them are listed.",
    500: "A fault of the server; its log has it under the request's id.",
    503: "The database or the file storage cannot be reached just now; try again.",
}
