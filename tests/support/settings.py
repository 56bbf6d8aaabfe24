"""Settings of whoever runs the tests stay out of them."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No THREADKEEP_... in the environment. A room imports this into its conftest."""
    for name in [name for name in os.environ if name.startswith("THREADKEEP_")]:
        monkeypatch.delenv(name)
