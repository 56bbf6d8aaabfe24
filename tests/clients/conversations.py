"""What the clients' tests have in common: the server, a function, a conversation to begin with."""

from pathlib import Path
from typing import Any

from openai import OpenAI
from openai.types.beta import Assistant, Thread

from tests.support.house import House
from tests.support.upstream import Upstream

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a place",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    },
}


class ModelHouse(House):
    """A server that asks a scripted upstream for every model."""

    def __init__(self, directory: Path, database: str, upstream: Upstream, **settings: Any) -> None:
        self.upstream = upstream
        super().__init__(directory, database, upstream_base_url=upstream.url, **settings)


def beginning(client: OpenAI, *tools: Any, question: str = "Good morning") -> tuple[Assistant, Thread]:
    """An assistant, and a thread with one message."""
    assistant = client.beta.assistants.create(model="a-model", name="Forecaster", tools=list(tools))
    thread = client.beta.threads.create(messages=[{"role": "user", "content": question}])
    return assistant, thread
