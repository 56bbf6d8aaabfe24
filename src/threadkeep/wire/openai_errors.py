"""Errors as both OpenAI versions put them. Reference: protocol section 1.6."""

from collections.abc import Callable, Mapping
from typing import Any

from threadkeep import errors
from threadkeep.wire.base import ErrorReply

INVALID = "invalid_request_error"


def envelope(
    status: int, message: str, param: str | None = None, code: str | None = None, type: str = INVALID
) -> ErrorReply:
    """All four keys are always there."""
    return ErrorReply(status, {"error": {"message": message, "type": type, "param": param, "code": code}})


def with_headers(reply: ErrorReply, **headers: str) -> ErrorReply:
    pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return ErrorReply(reply.status, reply.body, reply.headers + pairs)


def with_detail(reply: ErrorReply) -> ErrorReply:
    """The Files API says it twice."""
    message = reply.body["error"]["message"]
    return ErrorReply(reply.status, {**reply.body, "detail": {"message": message, "code": None}})


def unauthorized(message: str, code: str | None) -> ErrorReply:
    reply = envelope(401, message, code=code)
    return with_headers(reply, www_authenticate='Bearer realm="OpenAI API"')


def no_key(_: errors.NoKey) -> ErrorReply:
    return unauthorized(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) "
        "if you're accessing the API from your browser and are prompted for a username and password.",
        None,
    )


def bad_key(problem: errors.BadKey) -> ErrorReply:
    # The service's own words, address included: programs match this text.
    return unauthorized(
        f"Incorrect API key provided: {problem.hint}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
    )


def unknown_virtual_key(problem: errors.UnknownVirtualKey) -> ErrorReply:
    return unauthorized(
        f"Unknown virtual key: '{problem.name}'. This server has virtual keys, and none of that name.",
        "unknown_virtual_key",
    )


def missing_beta(_: errors.MissingBeta) -> ErrorReply:
    return envelope(
        400,
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v1|v2'.",
        code="invalid_beta",
    )


def unknown_beta(problem: errors.UnknownBeta) -> ErrorReply:
    return envelope(
        400,
        f"Unknown beta requested: '{problem.value}'. Please try again by setting the header "
        "'OpenAI-Beta: assistants=v1|v2'.",
        code="invalid_beta",
    )


def malformed(problem: errors.MalformedJSON) -> ErrorReply:
    return envelope(
        400,
        "We could not parse the JSON body of your request. (HINT: the body must be one JSON object in "
        f"UTF-8; {problem.detail})",
    )


def unsupported_content_type(problem: errors.UnsupportedContentType) -> ErrorReply:
    return envelope(
        400,
        f"Unsupported content type: '{problem.content_type}'. This API method only accepts "
        f"'{problem.expected}' requests, but you specified the header 'Content-Type: "
        f"{problem.content_type}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def too_large(problem: errors.TooLarge) -> ErrorReply:
    return envelope(
        413,
        f"Request body is too large: the limit is {problem.limit} bytes.",
        code="request_too_large",
    )


def not_found(problem: errors.NotFound) -> ErrorReply:
    return envelope(404, f"No {problem.noun} found with id '{problem.id}'.")


def no_such_file(problem: errors.NoSuchFile) -> ErrorReply:
    return with_detail(envelope(404, f"No such File object: {problem.id}", "id"))


def no_such_store_file(problem: errors.NoSuchStoreFile) -> ErrorReply:
    return envelope(404, f"No file found with id '{problem.id}' in vector store '{problem.store_id}'.")


def vector_store_expired(problem: errors.VectorStoreExpired) -> ErrorReply:
    return envelope(400, f"Vector store {problem.id} has expired.", code="vector_store_expired")


def no_such_model(problem: errors.NoSuchModel) -> ErrorReply:
    return envelope(404, f"The model '{problem.id}' does not exist", "model", "model_not_found")


def model_not_deletable(problem: errors.ModelNotDeletable) -> ErrorReply:
    return envelope(
        403, "You have insufficient permissions for this operation. You need to be this role: Owner."
    )


def bad_upload(problem: errors.BadUpload) -> ErrorReply:
    return with_detail(envelope(400, problem.message, problem.param))


def upload_not_pending(problem: errors.UploadNotPending) -> ErrorReply:
    return envelope(400, f"Upload has status '{problem.status}': only a pending one can be changed.")


def wrong_completion(problem: errors.WrongCompletion) -> ErrorReply:
    return envelope(400, problem.message, problem.param, "invalid_value")


def not_downloadable(problem: errors.NotDownloadable) -> ErrorReply:
    return envelope(400, f"Not allowed to download files of purpose: {problem.purpose}")


def bad_range(problem: errors.BadRange) -> ErrorReply:
    reply = envelope(
        416,
        f"The requested range is not satisfiable: the file has {problem.size} bytes.",
        code="range_not_satisfiable",
    )
    return with_headers(reply, content_range=f"bytes */{problem.size}")


def run_active(problem: errors.RunActive) -> ErrorReply:
    return envelope(400, f"Can't add messages to {problem.thread_id} while a run {problem.run_id} is active.")


def thread_has_active_run(problem: errors.ThreadHasActiveRun) -> ErrorReply:
    return envelope(400, f"Thread {problem.thread_id} already has an active run {problem.run_id}.")


def nothing_to_run(_: errors.NothingToRun) -> ErrorReply:
    return envelope(
        400,
        "Run creation requires a Thread with a user message or an assistant with instructions.",
        code="invalid_thread",
    )


def run_not_modifiable(problem: errors.RunNotModifiable) -> ErrorReply:
    return envelope(400, f"Cannot update run with status '{problem.status}'.")


def run_not_cancellable(problem: errors.RunNotCancellable) -> ErrorReply:
    return envelope(400, f"Cannot cancel run with status '{problem.status}'.")


def no_outputs_expected(problem: errors.NoOutputsExpected) -> ErrorReply:
    return envelope(400, f'Runs in status "{problem.status}" do not accept tool outputs.')


def wrong_outputs(problem: errors.WrongOutputs) -> ErrorReply:
    expected, given = (",".join(f"'{id}'" for id in ids) for ids in (problem.expected, problem.given))
    return envelope(400, f"Expected tool outputs for call_ids [{expected}], got [{given}]")


def bad_idempotency_key(problem: errors.BadIdempotencyKey) -> ErrorReply:
    return envelope(
        400,
        f"Invalid 'Idempotency-Key' header: expected 1 to {problem.limit} characters, but got "
        f"{problem.length} instead.",
        code="invalid_idempotency_key",
    )


def idempotency_key_reused(problem: errors.IdempotencyKeyReused) -> ErrorReply:
    reply = envelope(
        409,
        f"The idempotency key '{problem.key}' was already used for another request. Send that request again "
        "as it was, or this one with a key of its own.",
        code="idempotency_key_reused",
    )
    return with_headers(reply, x_should_retry="false")  # the official clients retry other 409s


def unknown_route(problem: errors.UnknownRoute) -> ErrorReply:
    return envelope(404, f"Invalid URL ({problem.method} {problem.path})")


def wrong_method(problem: errors.WrongMethod) -> ErrorReply:
    reply = envelope(
        405,
        f"Not allowed to {problem.method} on {problem.path}. (HINT: Perhaps you meant to make this request "
        "using a different HTTP method?)",
        code="method_not_supported",
    )
    return with_headers(reply, allow=", ".join(problem.allowed))


def unavailable(_: errors.Unavailable) -> ErrorReply:
    reply = envelope(
        503,
        "The server cannot reach its database just now, so your request is not confirmed. Please retry it; "
        "with an Idempotency-Key it takes effect once.",
        type="server_error",
        code="database_unavailable",
    )
    return with_headers(reply, retry_after="1")


def files_unavailable(_: errors.FilesUnavailable) -> ErrorReply:
    reply = envelope(
        503,
        "The server cannot reach its file storage just now. Nothing was stored; please retry your request.",
        type="server_error",
        code="files_unavailable",
    )
    return with_headers(reply, retry_after="1")


def internal(problem: errors.InternalError) -> ErrorReply:
    return envelope(
        500,
        "The server had an error processing your request. Sorry about that! You can retry your request, or "
        "tell the operator of this server if the error persists. (Please include the request ID "
        f"{problem.request_id}.)",
        type="server_error",
    )


COMMON: Mapping[type[errors.ThreadkeepError], Callable[[Any], ErrorReply]] = {
    errors.NoKey: no_key,
    errors.BadKey: bad_key,
    errors.UnknownVirtualKey: unknown_virtual_key,
    errors.MissingBeta: missing_beta,
    errors.UnknownBeta: unknown_beta,
    errors.MalformedJSON: malformed,
    errors.UnsupportedContentType: unsupported_content_type,
    errors.TooLarge: too_large,
    errors.NotFound: not_found,
    errors.NoSuchFile: no_such_file,
    errors.NoSuchStoreFile: no_such_store_file,
    errors.VectorStoreExpired: vector_store_expired,
    errors.NoSuchModel: no_such_model,
    errors.ModelNotDeletable: model_not_deletable,
    errors.BadUpload: bad_upload,
    errors.UploadNotPending: upload_not_pending,
    errors.WrongCompletion: wrong_completion,
    errors.NotDownloadable: not_downloadable,
    errors.BadRange: bad_range,
    errors.RunActive: run_active,
    errors.ThreadHasActiveRun: thread_has_active_run,
    errors.NothingToRun: nothing_to_run,
    errors.RunNotModifiable: run_not_modifiable,
    errors.RunNotCancellable: run_not_cancellable,
    errors.NoOutputsExpected: no_outputs_expected,
    errors.WrongOutputs: wrong_outputs,
    errors.BadIdempotencyKey: bad_idempotency_key,
    errors.IdempotencyKeyReused: idempotency_key_reused,
    errors.UnknownRoute: unknown_route,
    errors.WrongMethod: wrong_method,
    errors.Unavailable: unavailable,
    errors.FilesUnavailable: files_unavailable,
    errors.InternalError: internal,
}
"""Rows that do not depend on the version; each version adds its own for `Invalid`."""
