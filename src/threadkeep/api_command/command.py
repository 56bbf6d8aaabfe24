"""The command line of `threadkeep api`: what may be asked, and which exit status it ends with."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys

from threadkeep.api_command.answer import read, save, show
from threadkeep.api_command.request import DEFAULT_BASE_URL, Disconnected, Refused, send
from threadkeep.api_command.table import complain

DESCRIPTION = """\
Call a server of the Assistants API and print what it answers.

PATH is what the API reference shows: threads, /threads and /v1/threads all mean the same.
"""

EPILOG = """\
examples:
  threadkeep api POST /threads
  threadkeep api POST /threads/thread_abc/messages --body '{"role": "user", "content": "Hello"}'
  threadkeep api GET /threads/thread_abc/messages --query limit=5 --output table
  threadkeep api POST /threads/thread_abc/messages --body @body.json --output csv > answer.csv
  jq -n '{metadata: {from: "jq"}}' | threadkeep api POST /threads/thread_abc --body @- --output json
  threadkeep api POST /files --form purpose=assistants --file file=@notes.txt
  threadkeep api GET /files/file-abc/content --save notes.txt

output:
  raw    CSV with the columns body and status, one row: the answer as it came (the default)
  json   the body, indented
  table  aligned columns, one row an object; cut to the terminal, message text shown as text
  csv    the same rows, uncut (RFC 4180, UTF-8)
  As rows, errors have the columns message, type, param, code and status. Control characters
  never reach a terminal; raw and csv that are redirected hold every character as it came.

environment:
  THREADKEEP_BASE_URL, else OPENAI_BASE_URL   the server; a URL without a path gets /v1
  THREADKEEP_API_KEY, else OPENAI_API_KEY     the key: safer here than in the list of processes

exit status:
  0  success
  1  the server answered with an error, or not in the form asked for
  2  the command cannot be carried out as written
  3  no connection to the server
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `api`; the parsed namespace carries `run`, which returns the exit status."""
    parser = subparsers.add_parser(
        "api",
        help="call any server of this API from the shell",
        usage="%(prog)s METHOD PATH [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("method", metavar="METHOD", type=_method, help="GET, POST, DELETE, ...")
    parser.add_argument("path", metavar="PATH", help="for example /threads/thread_abc/messages")
    _add_request(parser)
    _add_server(parser)
    _add_answer(parser)


def _add_request(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("request")
    content = group.add_mutually_exclusive_group()
    content.add_argument("--body", metavar="JSON", help="the JSON itself, @FILE, or @- for standard input")
    content.add_argument(
        "--file",
        "--form",
        dest="form",
        metavar="NAME=@PATH",
        action="append",
        type=_pair,
        default=[],
        help="send a form: a file (NAME=@PATH, streamed) or a plain field (NAME=VALUE); repeatable",
    )
    group.add_argument(
        "--query", metavar="NAME=VALUE", action="append", type=_pair, default=[], help="repeatable"
    )
    group.add_argument(
        "--header", metavar="'NAME: VALUE'", action="append", type=_header, default=[], help="repeatable"
    )
    group.add_argument(
        "--beta", choices=("v1", "v2", "none"), default="v2", help="the OpenAI-Beta header (default: v2)"
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("server")
    group.add_argument("--base-url", metavar="URL", help=f"default: {DEFAULT_BASE_URL}")
    group.add_argument("--api-key", metavar="KEY", help="sent as the bearer token; '' sends none")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="how long the server may be silent (default: 60)",
    )


def _add_answer(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("answer")
    group.add_argument(
        "--output", choices=("raw", "json", "table", "csv"), default="raw", help="see below (default: raw)"
    )
    group.add_argument(
        "--save", metavar="FILE", help="stream the body of a success to FILE, or to standard output with '-'"
    )


def _method(value: str) -> str:
    if not re.fullmatch("[A-Za-z]+", value):
        raise argparse.ArgumentTypeError("must be a word such as GET or POST")
    return value.upper()


def _pair(value: str) -> tuple[str, str]:
    name, equals, text = value.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("must look like NAME=VALUE")
    return name, text


def _header(value: str) -> tuple[str, str]:
    """A header's value may be a secret, so no message quotes it."""
    name, colon, text = value.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise argparse.ArgumentTypeError("must look like 'Name: value'")
    if not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", text):
        raise argparse.ArgumentTypeError(f"the value of {name} has characters that no header can carry")
    return name, text.strip()


def _seconds(value: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(value) <= 86_400:
            return float(value)
    raise argparse.ArgumentTypeError("must be a number of seconds, more than 0 and at most 86400")


def run(args: argparse.Namespace) -> int:
    """Send the request and print the answer; returns the exit status that the help lists."""
    try:
        with contextlib.ExitStack() as resources:
            response = send(args, resources)
            if args.save is not None and 200 <= response.status < 300:
                return save(response, args.save)
            return show(read(response), args.output)
    except (Refused, Disconnected) as error:
        complain(str(error))
        return 2 if isinstance(error, Refused) else 3
    except BrokenPipeError:  # our reader left, as `head` does; the interpreter flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
