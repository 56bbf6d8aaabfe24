"""The hosts of a URL: the first that answers, and takes writes where that is asked for."""

import re
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
WITHOUT_MEANING = re.compile(
    "channel_binding|client_encoding|connect_timeout|fallback_application_name|gssdelegation|gssencmode|"
    "keepalives(_count|_idle|_interval)?|load_balance_hosts|max_protocol_version|requiressl|sslcertmode|"
    "sslcompression|sslkeylogfile|sslsni|tcp_user_timeout"
)
"""Parameters of libpq's that change nothing here, or that are seen to here. What asyncpg does not know it
would have the server set."""
BEYOND_US = re.compile(
    "(channel_binding|gssencmode|sslcertmode)=require|requiressl=1|"
    "(hostaddr|min_protocol_version|oauth_.*|require_auth|requirepeer|scram_(client|server)_key|sslcrldir)=.*"
)
"""What it is not safe to pass over, and asyncpg does not do."""


def understood(url: str) -> tuple[str, int]:
    """The URL as asyncpg takes it, and its `connect_timeout`, where 0 is none. Raises `ValueError`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    for name, value in query.items():
        if BEYOND_US.fullmatch(f"{name}={value}"):
            raise ValueError(f"its address asks for {name}, which is not supported")
    seconds = query.get("connect_timeout", "0")
    if not re.fullmatch(r"-?\d{1,9}", seconds):
        raise ValueError("connect_timeout in its address is no number of seconds")
    kept = {name: value for name, value in query.items() if not WITHOUT_MEANING.fullmatch(name)}
    if kept.get("ssl") == "true":
        del kept["ssl"]
        kept.setdefault("sslmode", "require")
    if kept != query:
        url = urlunsplit(parts._replace(query=urlencode(kept)))
    return url, max(0, int(seconds))


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
    """A connection of asyncpg to the first host that will do; each has `seconds` to answer, or as many as the
    URL says.

    Raises why the last one would not do: that it is only a copy, where no host has anything else to say.
    """
    url, wanted = understood(url)
    why: Exception | None = None
    for one in one_host_each(url):
        try:
            return await asyncpg.connect(
                one,
                timeout=wanted or seconds,
                server_settings={"application_name": name} if name else None,
                statement_cache_size=0,
                command_timeout=command_timeout,
            )
        except ELSEWHERE as problem:
            only_a_copy = isinstance(problem, asyncpg.TargetServerAttributeNotMatched)
            why = why or problem if only_a_copy else problem
    assert why
    raise why
