"""Assistants and runs through the last official client of v1, in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conversations import ModelHouse
from tests.dialects.test_openai_1_20 import interpreter
from tests.support.upstream import Call, Say

SESSION = Path(__file__).parent / "openai_1_20_runs.py"
SECONDS = 60
PLAIN = [
    "thread.message.completed",
    "thread.message.created",
    "thread.message.delta",
    "thread.message.in_progress",
    "thread.run.completed",
    "thread.run.created",
    "thread.run.in_progress",
    "thread.run.queued",
    "thread.run.step.completed",
    "thread.run.step.created",
    "thread.run.step.in_progress",
]


@pytest.fixture(scope="module")
def said(model_house: ModelHouse) -> dict[str, Any]:
    """What the program printed."""
    model_house.upstream.script(
        Say("Good morning to you.", usage=(12, 5)),
        Say("It is ", "noon."),
        Say(Call("weather", '{"place": "Rome"}')),
        Say("Sunny."),
        Say("It was once", finish="length"),
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTHON"))}
    key = model_house.new_key("openai 1.20")
    run = subprocess.run(
        [interpreter(), SESSION],
        env={**ours, "OPENAI_BASE_URL": model_house.base_url, "OPENAI_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stderr
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


@pytest.mark.promise("clients.openai_1_20_runs")
def test_an_assistant_has_files_and_retrieval(said):
    assert said["assistant"] == {
        "tools": ["retrieval"],
        "has its file": True,
        "changed": ["Forecaster", ["weather"], []],
    }


@pytest.mark.promise("clients.openai_1_20_runs")
def test_a_run_is_polled(said):
    assert said["polled"] == {
        "status": "completed",
        "file_ids": [],
        "usage": 17,
        "messages": [["user", "Good morning"], ["assistant", "Good morning to you."]],
        "steps": ["message_creation"],
    }


@pytest.mark.promise("clients.openai_1_20_runs")
def test_a_run_is_streamed(said):
    assert said["streamed"] == {"events": PLAIN, "last": "thread.run.completed", "text": ["It is noon."]}


@pytest.mark.promise("clients.openai_1_20_runs")
def test_a_function_is_called(said):
    assert said["called"] == {
        "waiting": "requires_action",
        "arguments": [{"place": "Rome"}],
        "first": "thread.run.step.completed",
        "text": ["Sunny."],
    }


@pytest.mark.promise("clients.openai_1_20_runs")
def test_a_run_that_is_cut_off_is_completed_with_the_reason(said):
    assert said["cut off"] == {"status": "completed", "reason": "max_completion_tokens"}
