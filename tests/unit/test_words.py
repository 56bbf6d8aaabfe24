"""Every error has words in every dialect: none can become an answer without them."""

import pytest

from threadkeep import errors
from threadkeep.errors import Problem, ThreadkeepError
from threadkeep.http.caller import DIALECTS
from threadkeep.wire.base import Dialect, encode

EXAMPLES: list[ThreadkeepError] = [
    errors.Invalid(Problem(("content", 0), "missing")),
    errors.MalformedJSON("line 1"),
    errors.UnsupportedContentType("text/plain", "application/json"),
    errors.TooLarge(1),
    errors.NotFound("thread", "thread_x"),
    errors.NoSuchFile("file-x"),
    errors.NoSuchStoreFile("file-x", "vs_x"),
    errors.VectorStoreExpired("vs_x"),
    errors.NoSuchModel("x"),
    errors.ModelNotDeletable("x"),
    errors.RunActive("thread_x", "run_x"),
    errors.ThreadHasActiveRun("thread_x", "run_x"),
    errors.NothingToRun("thread_x"),
    errors.RunNotModifiable("in_progress"),
    errors.RunNotCancellable("completed"),
    errors.NoOutputsExpected("queued"),
    errors.WrongOutputs(("call_a", "call_b"), ("call_a",)),
    errors.BadUpload("no", "file"),
    errors.UploadNotPending("completed"),
    errors.WrongCompletion("no", "part_ids"),
    errors.NotDownloadable("assistants"),
    errors.NoKey(),
    errors.BadKey("..."),
    errors.UnknownVirtualKey("openai-1"),
    errors.MissingBeta(),
    errors.UnknownBeta("x"),
    errors.BadRange(10),
    errors.BadIdempotencyKey(0, 255),
    errors.IdempotencyKeyReused("k"),
    errors.FilesUnavailable("away"),
    errors.UnknownRoute("GET", "/x"),
    errors.WrongMethod("GET", "/x", ("POST",)),
    errors.Unavailable("busy"),
    errors.InternalError("req_x"),
]
OF_ONE_DIALECT = {errors.WrongPrefix}
"""Raised by the table of a dialect, which then has its words."""


def every_error(kind: type[ThreadkeepError] = ThreadkeepError) -> set[type[ThreadkeepError]]:
    inside = set().union(*(every_error(one) for one in kind.__subclasses__()), kind.__subclasses__())
    return {one for one in inside if one.__module__ == errors.__name__}


def test_every_error_of_the_domain_has_an_example_here():
    assert {type(one) for one in EXAMPLES} | OF_ONE_DIALECT == every_error()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("problem", EXAMPLES, ids=lambda problem: type(problem).__name__)
def test_every_error_has_words(dialect: Dialect, problem: ThreadkeepError):
    reply = dialect.error(problem)
    assert 400 <= reply.status < 600
    assert encode(reply.body)


def test_a_dialect_that_checks_prefixes_has_words_for_a_wrong_one():
    for dialect in DIALECTS:
        if dialect.id_prefixes:
            assert dialect.error(errors.WrongPrefix("thread_id", "x", "thread")).status == 400
