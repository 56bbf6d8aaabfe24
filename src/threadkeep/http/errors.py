"""One handler for everything that is raised: the dialect puts it into words."""

from threadkeep.errors import ThreadkeepError
from threadkeep.http.request import Request, Response
from threadkeep.wire.base import encode


def error_response(request: Request, problem: ThreadkeepError) -> Response:
    """The answer that tells the caller what went wrong."""
    reply = request.dialect.error(problem)
    return Response(reply.status, encode(reply.body), headers=reply.headers)
