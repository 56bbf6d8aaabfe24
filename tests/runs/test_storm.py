"""Many runs at once, each in weather of its own: every one of them ends, and ends as it should."""

import random
from collections.abc import Callable

import pytest

from tests.runs.conftest import Setting
from tests.runs.scene import Scene
from tests.support.upstream import Call, Cut, Error, Hangup, Raw, Say, Turn

RUNS = 40
Course = tuple[list[Turn], str, list[tuple[str, str | None]]]
"""What the model does, how the run ends, and what it has written."""


def fine() -> Course:
    return [Say("Good ", "morning.")], "completed", [("Good morning.", None)]


def late() -> Course:
    return [Error(503, "busy"), Say("Late.")], "completed", [("Late.", None)]


def hung_up() -> Course:
    return [Hangup(), Hangup()], "failed", []


def cut() -> Course:
    return [Say("Half", Cut())], "failed", [("Half", "run_failed")]


def garbled() -> Course:
    return [Say("Half", Raw(b"data: {oops\n\n"))], "failed", [("Half", "run_failed")]


def too_long() -> Course:
    return [Say("Half", finish="length")], "incomplete", [("Half", "max_tokens")]


def calling() -> Course:
    return [Say("Well.", Call("weather", "{"))], "requires_action", [("Well.", None)]


WEATHERS: list[Callable[[], Course]] = [fine, late, hung_up, cut, garbled, too_long, calling]


@pytest.mark.promise("runs.weather.storm")
def test_every_run_ends_as_if_it_were_alone(on_each: Setting):
    dice = random.Random(7)
    under_way: list[tuple[Scene, str, Course]] = []
    for _ in range(RUNS):
        scene, course = on_each(), dice.choice(WEATHERS)()
        scene.says(*course[0])
        under_way.append((scene, scene.start(), course))
    for scene, run, (_, status, said) in under_way:
        assert scene.reaches(run, "completed", "failed", "incomplete", "requires_action") == status
        if status == "requires_action":
            scene.cancel(run)
            status = "cancelled"
        left = scene.left(run)
        assert (left.status, left.messages) == (status, said)
