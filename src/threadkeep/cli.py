"""The `threadkeep` command: thin, one function a subcommand."""

import argparse
import asyncio
import getpass
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from threadkeep import __version__, api_command
from threadkeep.errors import ThreadkeepError
from threadkeep.settings import BadSettings, Settings, load

DESCRIPTION = """\
Threadkeep is a self-hosted server for the Assistants API: point your client's
base_url at it, and your code, your threads and your data stay as they are.
"""
EPILOG = """\
examples:
  threadkeep serve                              start on http://127.0.0.1:8000
  threadkeep serve --port 9000 --database sqlite:////var/lib/threadkeep/db
  threadkeep keys create --project support      print a new key for a project
  threadkeep api GET /threads --output table    ask a server from the shell

Every flag of serve is also an environment variable (THREADKEEP_PORT, ...) and a
line of threadkeep.toml; flags win over the environment, the environment over the file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit status (0 done, 1 refused or failed, 2 wrong usage)."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (BadSettings, ThreadkeepError) as problem:
        print(f"threadkeep: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


class Parser(argparse.ArgumentParser):
    """Refuses arguments without repeating them: one of them may be a key."""

    def error(self, message: str) -> Any:
        if message.startswith("unrecognized arguments"):
            message = "there is an argument that this command does not have (see --help)"
        super().error(message)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    top: argparse.ArgumentParser = Parser(
        prog="threadkeep", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter
    )
    top.add_argument("--version", action="version", version=f"threadkeep {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_serve(commands)
    add_keys(commands)
    add_virtual_keys(commands)
    add_migrate(commands)
    api_command.add_parser(commands)
    return top


def add_storage_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--database", dest="database_url", metavar="URL", help="sqlite:///path or postgresql://..."
    )
    command.add_argument("--config", metavar="FILE", help="a threadkeep.toml elsewhere than here")


def settings_from(options: argparse.Namespace) -> Settings:
    names = ("host", "port", "workers", "database_url", "files_url", "config")
    return load({name: getattr(options, name, None) for name in names})


# ------------------------------------------------------------------ serve


def add_serve(commands: Any) -> None:
    command = commands.add_parser("serve", help="run the server", description="Run the server until Ctrl-C.")
    command.add_argument("--host", help="address to listen on (127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (8000; 0 takes a free one)")
    command.add_argument("--workers", type=int, help="processes on the port (1; more need PostgreSQL)")
    command.add_argument(
        "--files", dest="files_url", metavar="URL", help="file:///directory or s3://bucket/prefix"
    )
    add_storage_flags(command)
    command.set_defaults(run=serve)


def serve(options: argparse.Namespace) -> int:
    from threadkeep.serving import run  # the server's libraries are for this command alone

    return run(settings_from(options))


# ------------------------------------------------------------------ keys


def add_keys(commands: Any) -> None:
    command = commands.add_parser("keys", help="create, list and revoke API keys")
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="print a new key, and nothing else")
    create.add_argument("--project", default="default", help="its project, made if new (default)")
    create.add_argument("--name", default="", help="what the key is for, as `keys list` shows it")
    create.set_defaults(run=create_key)
    listing = actions.add_parser("list", help="show every key without its secret")
    listing.set_defaults(run=list_keys)
    revoke = actions.add_parser("revoke", help="end a key at once")
    revoke.add_argument("id", help="the key's id, as `keys list` shows it (key_...)")
    revoke.set_defaults(run=revoke_key)
    for action in (create, listing, revoke):
        add_storage_flags(action)


def create_key(options: argparse.Namespace) -> int:
    async def work(keys: Any) -> str:
        return str(await keys.create(options.project, options.name))

    print(with_keys(options, work))
    return 0


def list_keys(options: argparse.Namespace) -> int:
    async def work(keys: Any) -> Any:
        return await keys.list()

    rows = [("ID", "PROJECT", "KEY", "NAME", "CREATED", "STATE")]
    for key in with_keys(options, work):
        made = time.strftime("%Y-%m-%d", time.gmtime(key.created_at))
        rows.append((key.id, key.project, key.hint, key.name, made, "revoked" if key.revoked_at else "live"))
    print_table(rows)
    return 0


def print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def revoke_key(options: argparse.Namespace) -> int:
    async def work(keys: Any) -> Any:
        return await keys.revoke(options.id)

    if with_keys(options, work):
        print(f"{options.id} is revoked.")
        return 0
    print(f"threadkeep: no live key has the id {options.id} (see `threadkeep keys list`).", file=sys.stderr)
    return 1


def with_keys(options: argparse.Namespace, work: Any) -> Any:
    """The result of `work`, called with the `Keys` of the database that the options name."""
    from threadkeep.app import open_database
    from threadkeep.clock import system_clock
    from threadkeep.ids import id_maker
    from threadkeep.projects.actions import Keys

    async def connected() -> Any:
        async with open_database(settings_from(options)) as database:
            return await work(Keys(database, system_clock, id_maker(system_clock)))

    return asyncio.run(connected())


# ------------------------------------------------------------------ virtual keys


def add_virtual_keys(commands: Any) -> None:
    command = commands.add_parser(
        "virtual-keys", help="create, list and delete names for providers and their secrets"
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = actions.add_parser(
        "create",
        help="store a provider's secret under a name",
        description="The secret is read from standard input, and asked for at a terminal. "
        "THREADKEEP_ENCRYPTION_KEY encrypts it.",
    )
    create.add_argument("name", help="what requests say in x-portkey-virtual-key")
    place = create.add_mutually_exclusive_group(required=True)
    place.add_argument("--provider", dest="place", metavar="NAME", help="a provider of threadkeep.toml")
    place.add_argument("--base-url", dest="place", metavar="URL", help="where chat completions are served")
    create.add_argument("--secret-env", metavar="VARIABLE", help="take the secret from the environment")
    create.set_defaults(run=create_virtual_key)
    listing = actions.add_parser("list", help="show every virtual key without its secret")
    listing.set_defaults(run=list_virtual_keys)
    delete = actions.add_parser("delete", help="end a virtual key at once")
    delete.add_argument("name", help="its name, as `virtual-keys list` shows it")
    delete.set_defaults(run=delete_virtual_key)
    for action in (create, listing, delete):
        add_storage_flags(action)


def create_virtual_key(options: argparse.Namespace) -> int:
    secret = secret_from(options.secret_env)

    async def work(keys: Any) -> Any:
        return await keys.create(options.name, options.place, secret)

    key = with_virtual_keys(options, work)
    print(f"{key.name} leads to {key.place}.")
    return 0


def secret_from(variable: str | None) -> str:
    """A secret from the environment or standard input; never from an argument, which everybody may see."""
    if variable is not None:
        return os.environ.get(variable, "").strip()
    if sys.stdin.isatty():
        return getpass.getpass("Secret: ").strip()
    return sys.stdin.read().strip()


def list_virtual_keys(options: argparse.Namespace) -> int:
    async def work(keys: Any) -> Any:
        return await keys.list()

    rows = [("NAME", "PROVIDER", "CREATED")]
    for key in with_virtual_keys(options, work):
        rows.append((key.name, key.place, time.strftime("%Y-%m-%d", time.gmtime(key.created_at))))
    print_table(rows)
    return 0


def delete_virtual_key(options: argparse.Namespace) -> int:
    async def work(keys: Any) -> Any:
        return await keys.delete(options.name)

    if with_virtual_keys(options, work):
        print(f"{options.name} is deleted.")
        return 0
    print(
        f"threadkeep: there is no virtual key {options.name} (see `threadkeep virtual-keys list`).",
        file=sys.stderr,
    )
    return 1


def with_virtual_keys(options: argparse.Namespace, work: Any) -> Any:
    """The result of `work`, called with the `VirtualKeys` of the database that the options name."""
    from threadkeep.app import open_database
    from threadkeep.clock import system_clock
    from threadkeep.ids import id_maker
    from threadkeep.virtual_keys.actions import VirtualKeys

    settings = settings_from(options)

    async def connected() -> Any:
        async with open_database(settings) as database:
            return await work(VirtualKeys(database, system_clock, id_maker(system_clock), settings))

    return asyncio.run(connected())


# ------------------------------------------------------------------ migrate


def add_migrate(commands: Any) -> None:
    command = commands.add_parser(
        "migrate",
        help="bring the database's schema up to date",
        description="`serve` does the same on its way.",
    )
    command.add_argument("--check", action="store_true", help="change nothing; exit 1 if anything is pending")
    add_storage_flags(command)
    command.set_defaults(run=run_migrate)


def run_migrate(options: argparse.Namespace) -> int:
    from threadkeep.app import apply_migrations, pending_migrations

    step = pending_migrations if options.check else apply_migrations
    names = [f"{one.version:04} {one.name}" for one in asyncio.run(step(settings_from(options)))]
    word = "pending" if options.check else "applied"
    print("\n".join(f"{word} {name}" for name in names) or "the schema is up to date")
    return 1 if options.check and names else 0
