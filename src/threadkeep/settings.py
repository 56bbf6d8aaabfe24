"""Settings, read once: flags over environment over `threadkeep.toml` over defaults.

Every setting has a heading in docs/configuration.md, which a test enforces.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

PREFIX = "THREADKEEP_"
CONFIG_FILE = "threadkeep.toml"


HeaderName = Annotated[str, Meta(pattern="^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Meta(pattern="^[ -~]*$")]


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One upstream of models: `[providers.NAME]` in the file. Times are seconds."""

    base_url: Annotated[str, Meta(min_length=1)]
    api_key: Annotated[str, Meta(min_length=1)] | None = None
    api_key_env: Annotated[str, Meta(min_length=1)] | None = None
    kind: Literal["openai", "azure"] = "openai"
    api_version: str | None = None
    headers: dict[HeaderName, HeaderValue] = {}
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    context_tokens: Annotated[int, Meta(ge=256)] = 128_000
    connect_timeout: Annotated[float, Meta(gt=0)] = 10.0
    read_timeout: Annotated[float, Meta(gt=0)] = 120.0
    max_retries: Annotated[int, Meta(ge=0, le=20)] = 4


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All that can be configured. Sizes are bytes, times seconds."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    database_url: str = "sqlite:///data/threadkeep.db"
    database_connections: Annotated[int, Meta(ge=2, le=1000)] = 10
    database_prepared: bool = True
    files_url: str = "file:///data/files"
    api_key: Annotated[str, Meta(min_length=1)] | None = None
    require_beta_header: bool = False
    metadata_update: Literal["replace", "merge"] = "replace"
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    max_file_bytes: Annotated[int, Meta(ge=1)] = 512 * 1024 * 1024
    max_upload_bytes: Annotated[int, Meta(ge=1, le=8 * 1024**3)] = 8 * 1024**3
    max_messages_per_thread: Annotated[int, Meta(ge=0)] = 0
    messages_during_run: Literal["refuse", "wait"] = "refuse"
    run_expires_after: Annotated[int, Meta(ge=1)] = 600
    run_lease: Annotated[int, Meta(ge=1)] = 15
    run_poll_hold: Annotated[int, Meta(ge=0, le=300)] = 20
    max_active_runs: Annotated[int, Meta(ge=1)] = 1000
    encryption_key: Annotated[str, Meta(min_length=1)] | None = None
    upstream_base_url: str | None = None
    upstream_api_key: Annotated[str, Meta(min_length=1)] | None = None
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, str] = {}
    embedding_model: str = ""
    embedding_dimensions: Annotated[int, Meta(ge=1, le=16_000)] | None = None
    embedding_batch: Annotated[int, Meta(ge=1, le=2048)] = 100
    ingestion_workers: Annotated[int, Meta(ge=0, le=64)] = 2
    ingestion_seconds: Annotated[int, Meta(ge=1)] = 300
    ingestion_memory: Annotated[int, Meta(ge=128 * 1024 * 1024)] = 512 * 1024 * 1024
    access_log: bool = True

    @property
    def database_path(self) -> Path:
        """The file of an SQLite database."""
        return local_path("database_url", self.database_url, "sqlite")

    @property
    def files_path(self) -> Path:
        """The directory for blobs, where they are in one."""
        return local_path("files_url", self.files_url, "file")


class BadSettings(Exception):
    """A setting that cannot be used; the text is one sentence for a person."""


def local_path(name: str, url: str, scheme: str) -> Path:
    """The path in `scheme:///relative` or `scheme:////absolute`."""
    head = f"{scheme}:///"
    if not url.startswith(head) or len(url) == len(head):
        raise BadSettings(f"{name} is {url!r}, but must look like {head}path (or {head}/absolute/path).")
    return Path(url.removeprefix(head))


def load(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags (None means not given), environment and file. Raises `BadSettings`."""
    given = {name: value for name, value in flags.items() if value is not None}
    config = given.pop("config", None) or environment.get(PREFIX + "CONFIG")
    values = {**from_file(config), **from_environment(environment), **given}
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as problem:
        raise BadSettings(f"Settings: {problem}.") from problem


def from_file(config: str | None) -> dict[str, Any]:
    path = Path(config or CONFIG_FILE)
    if not path.exists():
        if config:
            raise BadSettings(f"The configuration file {config} does not exist.")
        return {}
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as problem:
        raise BadSettings(f"The configuration file {path} cannot be read: {problem}.") from problem


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Tables (`providers`, `models`) stand in their variables as JSON objects."""
    names = Settings.__struct_fields__
    given = {
        name: environment[PREFIX + name.upper()] for name in names if PREFIX + name.upper() in environment
    }
    return {name: table(name, text) if name in TABLES else text for name, text in given.items()}


TABLES = ("providers", "models")


def table(name: str, text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as problem:
        raise BadSettings(f"{PREFIX}{name.upper()} must be a JSON object: {problem}.") from problem
