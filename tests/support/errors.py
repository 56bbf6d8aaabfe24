"""The envelope of errors, OpenAI v1 and v2. Reference: protocol section 1.6."""

from typing import Any

import httpx

Refusal = tuple[int, dict[str, Any]]


def refusal(status: int, message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """The status and the whole body of an error."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return status, {"error": error}


def answered(answer: httpx.Response) -> Refusal:
    """The status and the whole body of an answer, to be compared with a `refusal`."""
    return answer.status_code, answer.json()
