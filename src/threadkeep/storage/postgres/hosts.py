"""The hosts of a URL: the first that answers, and takes writes where that is asked for."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

ELSEWHERE = (
    OSError,  # among them TimeoutError
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""After these another host may do better."""


def one_host_each(url: str) -> list[str]:
    """The URL once for each of the hosts that it names, in their order. Raises `ValueError`."""
    parts = urlsplit(url)
    user, at, named = parts.netloc.rpartition("@")
    if named:
        return [urlunsplit(parts._replace(netloc=f"{user}{at}{one}")) for one in named.split(",")]
    query = dict(parse_qsl(parts.query))
    hosts, ports = (query.get(name, "").split(",") for name in ("host", "port"))
    if len(ports) == 1:
        ports *= len(hosts)
    if len(hosts) == 1 or len(ports) != len(hosts):
        return [url]
    queries = ({**query, "host": host, "port": port} for host, port in zip(hosts, ports, strict=True))
    return [urlunsplit(parts._replace(query=urlencode(one))) for one in queries]


async def reached(url: str, name: str | None, seconds: float, command_timeout: float | None = None) -> Any:
    """A connection of asyncpg to the first host that will do; each has `seconds` to answer.

    Raises why the last one would not do: that it is only a copy, where no host has anything else to say.
    """
    why: Exception | None = None
    for one in one_host_each(url):
        try:
            return await asyncpg.connect(
                one,
                timeout=seconds,
                server_settings={"application_name": name} if name else None,
                statement_cache_size=0,
                command_timeout=command_timeout,
            )
        except ELSEWHERE as problem:
            only_a_copy = isinstance(problem, asyncpg.TargetServerAttributeNotMatched)
            why = why or problem if only_a_copy else problem
    assert why
    raise why
