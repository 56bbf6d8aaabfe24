"""Settings: flags over environment over file over defaults, and one sentence where they are wrong."""

import json
from pathlib import Path

import msgspec
import pytest

from threadkeep.settings import BadSettings, ProviderSettings, Settings, load

pytestmark = pytest.mark.promise("server.settings.precedence")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_anything_the_defaults_hold():
    assert load({}, {}) == Settings(
        host="127.0.0.1",
        port=8000,
        database_url="sqlite:///data/threadkeep.db",
        files_url="file:///data/files",
        api_key=None,
        require_beta_header=False,
        metadata_update="replace",
        max_body_bytes=32 * 1024 * 1024,
        max_file_bytes=512 * 1024 * 1024,
        max_messages_per_thread=0,
        access_log=True,
    )


@pytest.mark.parametrize(
    ("flags", "environment", "file", "port"),
    [
        ({"port": 1}, {"THREADKEEP_PORT": "2"}, "port = 3", 1),
        ({"port": None}, {"THREADKEEP_PORT": "2"}, "port = 3", 2),
        ({}, {}, "port = 3", 3),
        ({"port": 0}, {"THREADKEEP_PORT": "2"}, "", 0),
        ({}, {"PORT": "2"}, "", 8000),
    ],
)
def test_flags_win_over_the_environment_and_the_environment_over_the_file(
    here, flags, environment, file, port
):
    (here / "threadkeep.toml").write_text(file)
    assert load(flags, environment).port == port


def test_the_file_may_lie_elsewhere(here):
    (here / "threadkeep.toml").write_text("port = 1")
    (here / "flag.toml").write_text("port = 2")
    (here / "environment.toml").write_text("port = 3")
    environment = {"THREADKEEP_CONFIG": "environment.toml"}
    assert load({"config": "flag.toml"}, environment).port == 2
    assert load({"config": None}, environment).port == 3
    assert load({}, {}).port == 1


EVERY = {
    "host": ("::1", "::1"),
    "port": ("9000", 9000),
    "database_url": ("sqlite:////var/x.db", "sqlite:////var/x.db"),
    "database_connections": ("20", 20),
    "database_prepared": ("false", False),
    "workers": ("2", 2),
    "files_url": ("file:///x", "file:///x"),
    "api_key": ("sk-x", "sk-x"),
    "require_beta_header": ("true", True),
    "metadata_update": ("merge", "merge"),
    "max_body_bytes": ("2048", 2048),
    "max_file_bytes": ("1", 1),
    "max_upload_bytes": ("1", 1),
    "max_messages_per_thread": ("100000", 100000),
    "messages_during_run": ("wait", "wait"),
    "run_expires_after": ("3600", 3600),
    "run_lease": ("30", 30),
    "run_poll_hold": ("0", 0),
    "max_active_runs": ("100", 100),
    "encryption_key": ("k" * 32, "k" * 32),
    "upstream_base_url": ("http://x/v1", "http://x/v1"),
    "upstream_api_key": ("sk-u", "sk-u"),
    "providers": (
        '{"a": {"base_url": "http://y/v1", "kind": "azure", "headers": {"x-a": "b"}, "read_timeout": 2}}',
        {"a": ProviderSettings(base_url="http://y/v1", kind="azure", headers={"x-a": "b"}, read_timeout=2.0)},
    ),
    "models": ('{"gpt-*": "a", "x": "a:y"}', {"gpt-*": "a", "x": "a:y"}),
    "embedding_model": ("text-embedding-3-small", "text-embedding-3-small"),
    "embedding_dimensions": ("256", 256),
    "embedding_batch": ("16", 16),
    "ingestion_workers": ("4", 4),
    "ingestion_seconds": ("60", 60),
    "ingestion_memory": ("1073741824", 1073741824),
    "access_log": ("false", False),
}


def test_every_setting_can_come_from_the_environment():
    environment = {f"THREADKEEP_{name.upper()}": text for name, (text, _) in EVERY.items()}
    assert msgspec.structs.asdict(load({}, environment)) == {
        name: value for name, (_, value) in EVERY.items()
    }


def test_every_setting_can_come_from_the_file(here):
    values = {name: value for name, (_, value) in EVERY.items()}
    lines = [f"{name} = {toml(value)}" for name, value in values.items()]
    (here / "threadkeep.toml").write_text("\n".join(lines))
    assert msgspec.structs.asdict(load({}, {})) == values


def toml(value: object) -> str:
    """A value as the file has it, where there is no null."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        pairs = [f"{json.dumps(name)} = {toml(one)}" for name, one in value.items() if one is not None]
        return "{" + ", ".join(pairs) + "}"
    return json.dumps(value)


@pytest.mark.parametrize(
    "provider",
    [
        {},
        {"base_url": ""},
        {"base_url": "http://x", "kind": "other"},
        {"base_url": "http://x", "timeout": 1},
        {"base_url": "http://x", "read_timeout": 0},
        {"base_url": "http://x", "max_retries": 21},
        {"base_url": "http://x", "context_tokens": 255},
        {"base_url": "http://x", "api_key": ""},
        {"base_url": "http://x", "headers": {"a b": "c"}},
        {"base_url": "http://x", "headers": {"a": "b\nc: d"}},
    ],
)
def test_a_provider_that_cannot_be_used_is_named(provider):
    with pytest.raises(BadSettings, match="providers"):
        load({}, {"THREADKEEP_PROVIDERS": json.dumps({"a": provider})})


@pytest.mark.parametrize("name", ["providers", "models"])
def test_a_table_in_a_variable_is_json(name):
    with pytest.raises(BadSettings, match=f"THREADKEEP_{name.upper()} must be a JSON object"):
        load({}, {f"THREADKEEP_{name.upper()}": "a = b"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "-1"), ("port", "65536"), ("port", "8000.5"), ("port", ""), ("port", "eight"),
        ("api_key", ""), ("metadata_update", "overwrite"), ("require_beta_header", "perhaps"),
        ("max_body_bytes", "1023"), ("max_file_bytes", "0"), ("max_upload_bytes", "0"),
        ("max_upload_bytes", "8589934593"), ("max_messages_per_thread", "-1"),
        ("access_log", "on and off"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(name, text):
    with pytest.raises(BadSettings) as refused:
        load({}, {f"THREADKEEP_{name.upper()}": text})
    assert name in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("colour = 'red'", "colour"),
        ("port = [1]", "port"),
        ("port", "threadkeep.toml"),
        ("\xff", "threadkeep.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(here, file, named):
    (here / "threadkeep.toml").write_text(file, "latin-1")
    with pytest.raises(BadSettings) as refused:
        load({}, {})
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/x.db", Path("data/x.db")),
        ("sqlite:////var/lib/x.db", Path("/var/lib/x.db")),
        ("sqlite:///with space?.db", Path("with space?.db")),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url, path):
    assert load({"database_url": url}, {}).database_path == path


@pytest.mark.parametrize("url", ["", "x.db", "sqlite://", "sqlite:///", "sqlite://x.db", "postgresql://h/db"])
def test_another_kind_of_database_is_refused_with_what_it_must_look_like(url):
    with pytest.raises(BadSettings) as refused:
        _ = load({"database_url": url}, {}).database_path
    expected = f"database_url is {url!r}, but must look like sqlite:///path (or sqlite:////absolute/path)."
    assert str(refused.value) == expected
