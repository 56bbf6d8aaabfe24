"""The official JavaScript client, openai 4.x with its AssistantStream, unchanged (`node/session.mjs`)."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conversations import ModelHouse
from tests.support.upstream import Call, Say

SESSION = Path(__file__).parent / "node" / "session.mjs"
VARIABLE = "OPENAI_NODE"
SECONDS = 60


def modules() -> Path:
    """The folder in which the client is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed here, and only the JavaScript client needs it")
    folder = os.environ.get(VARIABLE)
    assert folder, f"{VARIABLE} is not set. `make test` installs the JavaScript client and sets it."
    return Path(folder)


@pytest.fixture(scope="module")
def said(model_house: ModelHouse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program printed."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(modules() / "node_modules")
    shutil.copy(SESSION, folder)
    model_house.upstream.script(
        Say("Good morning to you.", usage=(20, 5)),
        Say("It is ", "noon ", "now.", usage=(30, 4)),
        Say(Call("weather", '{"place": "Rome"}'), Call("weather", '{"place": "Oslo"}'), usage=(40, 9)),
        Say("Sunny in both.", usage=(60, 5)),
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    run = subprocess.run(
        ["node", "session.mjs"],
        cwd=folder,
        env={**ours, "OPENAI_BASE_URL": model_house.base_url, "OPENAI_API_KEY": model_house.new_key("node")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stderr
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


@pytest.mark.promise("clients.javascript")
def test_an_assistant_is_made(said):
    assert said["assistant"] == {"name": "Forecaster", "tools": ["weather"]}


@pytest.mark.promise("clients.javascript")
def test_a_run_is_polled(said):
    assert said["polled"] == {
        "status": "completed",
        "usage": 25,
        "messages": [["user", "Good morning"], ["assistant", "Good morning to you."]],
    }


@pytest.mark.promise("clients.javascript")
def test_a_run_is_streamed(said):
    streamed = said["streamed"]
    assert streamed["joined"] == "It is noon now."
    assert len(streamed["deltas"]) > 1
    assert (streamed["created"], streamed["done"]) == (1, 1)
    assert streamed["steps"] == [["message_creation", "completed"]]
    assert streamed["status"] == "completed"
    assert streamed["text"] == ["It is noon now."]


@pytest.mark.promise("clients.javascript")
def test_functions_are_called_and_their_outputs_streamed_on(said):
    assert said["called"] == {
        "waiting": "requires_action",
        "required": ["Rome", "Oslo"],
        "calls": [["weather", '{"place": "Rome"}'], ["weather", '{"place": "Oslo"}']],
        "status": "completed",
        "text": ["Sunny in both."],
    }


@pytest.mark.promise("clients.javascript")
def test_what_is_wrong_has_the_clients_own_class(said):
    assert said["refused"] == {
        "class": "NotFoundError",
        "status": 404,
        "message": "No assistant found with id 'asst_unknown'.",
    }
