"""LangChain's `OpenAIAssistantRunnable`, unchanged: it polls runs, reads messages, hands in tool outputs."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable
from openai import OpenAI

from tests.clients.conversations import WEATHER, ModelHouse
from tests.support.upstream import Call, Say

# LangChain itself calls what pydantic has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")


@pytest.fixture
def langchain(model_house: ModelHouse) -> Iterator[Callable[..., OpenAIAssistantRunnable]]:
    """Makes assistants, with LangChain's own way of waiting made quick."""
    with OpenAI(base_url=model_house.base_url, api_key=model_house.new_key("langchain")) as client:
        yield partial(
            OpenAIAssistantRunnable.create_assistant,
            name="forecaster",
            instructions="Answer in one sentence.",
            tools=[WEATHER],
            model="a-model",
            client=client,
            check_every_ms=20,
        )


@pytest.mark.promise("clients.langchain")
def test_a_question_is_answered(langchain, model_house):
    model_house.upstream.script(Say("Good morning to you."))
    (message,) = langchain().invoke({"content": "Good morning"})
    assert message.content[0].text.value == "Good morning to you."


@pytest.mark.promise("clients.langchain")
def test_a_tool_is_called_and_its_output_handed_in(langchain, model_house):
    model_house.upstream.script(Say(Call("weather", '{"place": "Rome"}')), Say("Sunny."))
    agent = langchain(as_agent=True)
    (action,) = agent.invoke({"content": "The weather in Rome?"})
    assert (action.tool, action.tool_input) == ("weather", {"place": "Rome"})
    output = {"tool_call_id": action.tool_call_id, "output": "sunny"}
    finish = agent.invoke({"tool_outputs": [output], "run_id": action.run_id, "thread_id": action.thread_id})
    assert finish.return_values["output"] == "Sunny."
