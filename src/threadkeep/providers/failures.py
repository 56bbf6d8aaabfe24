"""What goes wrong at a provider, as a run's `last_error` says it.

Messages are for whoever reads the run: they name the provider and what to look at. What the provider itself
said is passed on, but never a key.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from threadkeep.providers.base import ModelFailure
from threadkeep.runs.model import ErrorCode

LONGEST = 1000
"""Characters of a provider's own words that are passed on."""
OF_THE_PROMPT = re.compile(
    r"context.?(length|window|size)|maximum context|too many tokens|prompt is too long|string too long"
    r"|input (is )?too (long|large)|exceeds? .{0,40}(tokens|context)|content.?(management.?)?(policy|filter)"
    r"|responsible.?ai",
    re.IGNORECASE,
)
"""How servers say that it is the prompt that they will not have: too long, or against a policy."""
OF_THE_RATE = re.compile(r"rate.?limit|quota|too.?many.?requests|billing", re.IGNORECASE)
NEVER_BETTER = re.compile(r"quota|billing", re.IGNORECASE)
"""Codes of limits that no waiting lifts."""
KEY_LIKE = re.compile(r"\b(sk|gsk|pk|key|xai|pplx)-[\w*.-]{6,}|\bBearer\s+\S+", re.IGNORECASE)


class Said(Struct, frozen=True):
    """What a provider said went wrong; empty where it did not."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""

    @property
    def names(self) -> str:
        return f"{self.code} {self.type}"


class Trouble(Exception):
    """An attempt that came to nothing. `again`: whether another may do better; `after`: not before so
    many seconds."""

    def __init__(self, failure: ModelFailure, again: bool = False, after: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure, self.again, self.after = failure, again, after


class Place(Struct, frozen=True):
    """A provider as messages name it: its name, the host it is at, what sets its address and its key, and
    the key itself, which no message may hold."""

    name: str
    host: str
    address_setting: str
    key_setting: str
    secret: str | None

    def __repr__(self) -> str:
        return f"Place({self.name!r})"


def refused(place: Place, status: int, body: bytes, headers: Mapping[str, str], now: float) -> Trouble:
    """An answer with an error status (RFC 9110). `now` is seconds since 1970."""
    try:
        said = said_in(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        said = Said("" if text.startswith("<") else text)
    return Trouble(
        failure(place, status, said), again=is_worth_another(status, said), after=wait_of(headers, now)
    )


def said_mid_stream(place: Place, error: Any) -> Trouble:
    """An error in the place of a chunk; its status, if any, stands in its code."""
    said = said_in({"error": error})
    status = int(said.code) if re.fullmatch(r"[45]\d\d", said.code) else 0
    if not status and OF_THE_RATE.search(said.names):
        status = 429
    status = status or 500
    return Trouble(failure(place, status, said), again=is_worth_another(status, said))


def said_in(answer: Any) -> Said:
    """The error in an answer, in any of the forms that servers of this API give it."""
    if not isinstance(answer, dict):
        return Said(words(answer))
    error = answer.get("error") or answer.get("detail") or answer.get("errors") or answer
    if isinstance(error, list) and error and isinstance(error[0], dict):
        error = error[0]
    if not isinstance(error, dict):
        return Said(words(error))
    inner = error.get("innererror")
    return Said(
        words(error.get("message") or error.get("msg") or error.get("error") or ""),
        words(error.get("code") or (inner.get("code") if isinstance(inner, dict) else "")),
        words(error.get("type")),
        words(error.get("param")),
    )


def words(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def is_worth_another(status: int, said: Said) -> bool:
    if code_of(status, said) == "invalid_prompt":
        return False
    if status == 429:
        return not NEVER_BETTER.search(said.names)
    return status == 408 or status >= 500


def failure(place: Place, status: int, said: Said) -> ModelFailure:
    """The last error for an error status and what was said with it."""
    message = clean(place, message_of(place, status, said))
    return ModelFailure(code_of(status, said), message, is_worth_another(status, said))


def code_of(status: int, said: Said) -> ErrorCode:
    if status == 429:
        return "rate_limit_exceeded"
    of_the_prompt = (
        "invalid_prompt" in said.names
        or said.param.startswith("messages")
        or OF_THE_PROMPT.search(f"{said.names} {said.message}")
    )
    if status == 413 or (of_the_prompt and status in (400, 422, 500)):
        return "invalid_prompt"
    return "server_error"


def message_of(place: Place, status: int, said: Said) -> str:
    own = f": {said.message}" if said.message else "."
    if status == 429:
        return said.message or f"The provider '{place.name}' takes no more requests for now (429)."
    if code_of(status, said) == "invalid_prompt":
        return said.message or f"The prompt is too large for the provider '{place.name}' ({status})."
    if status == 401:  # what is said with it often holds the key
        return (
            f"The provider '{place.name}' does not take this server's key (401). Check {place.key_setting}."
        )
    if status == 403:
        return (
            f"The provider '{place.name}' does not allow this with this server's key (403). Check "
            f"{place.key_setting} and what the key may use{own}"
        )
    if status == 404:
        return (
            f"The provider '{place.name}' has no such model or no such address (404). Check the model's name "
            f"and {place.address_setting}{own}"
        )
    if 300 <= status < 400:
        return (
            f"The provider '{place.name}' sends elsewhere ({status}). Check {place.address_setting}: its "
            "scheme, host and path must be the final ones."
        )
    if status >= 500:
        return f"The provider '{place.name}' failed ({status}){own}"
    return f"The provider '{place.name}' refused the request ({status}){own}"


def unreachable(place: Place, reason: str, *, again: bool = True) -> Trouble:
    """No connection was made."""
    return Trouble(
        ModelFailure(
            "server_error",
            f"The provider '{place.name}' cannot be reached at {place.host}: {reason}. Check "
            f"{place.address_setting}, and that it runs.",
            again,
        ),
        again,
    )


def broken_off(place: Place) -> Trouble:
    """The connection ended before the answer did."""
    return Trouble(
        ModelFailure(
            "server_error", f"The provider '{place.name}' broke off before its answer was complete.", True
        ),
        again=True,
    )


def silent(place: Place, seconds: float) -> Trouble:
    """Nothing came for too long. Another attempt would wait as long."""
    return Trouble(
        ModelFailure(
            "server_error",
            f"The provider '{place.name}' sent nothing for {seconds:g} seconds. If it needs longer, raise "
            "its read_timeout.",
            True,
        )
    )


def malformed(place: Place, shown: str, expected: str = "chat completion") -> Trouble:
    """What came is not of this API."""
    message = f"The provider '{place.name}' sent something that is not a {expected}: {shown}"
    return Trouble(ModelFailure("server_error", clean(place, message)))


def nothing_came(place: Place) -> Trouble:
    """An answer with nothing of a completion in it."""
    return Trouble(
        ModelFailure("server_error", f"The provider '{place.name}' sent an empty answer.", True), again=True
    )


def clean(place: Place, message: str) -> str:
    """A message without keys, and not endless."""
    if place.secret:
        message = message.replace(place.secret, "***")
    message = KEY_LIKE.sub("***", message)
    return message if len(message) <= LONGEST else message[: LONGEST - 3] + "..."


# ---------------------------------------------------------------- how long to wait


def wait_of(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a provider asks to be left alone for: `retry-after-ms`, or Retry-After as seconds or as a
    date. None where it does not ask, or not so that it can be read."""
    milliseconds = number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    seconds = number(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", text) else None
