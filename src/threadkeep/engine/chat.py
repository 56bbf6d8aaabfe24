"""Messages, steps and tools in the form of chat completions. Pure.

What the live service told its models is not on record; this is the plain reading. Attachments are
given to tools and leave no trace in the text. Calls of earlier runs are not repeated, their messages
are.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from threadkeep.assistants.model import Function, FunctionTool
from threadkeep.engine.citations import Place, Source, marker, searches
from threadkeep.engine.tokens import at_most
from threadkeep.messages.model import (
    ImageFilePart,
    ImageUrl,
    ImageUrlPart,
    Message,
    Part,
    RefusalPart,
    TextPart,
)
from threadkeep.runs.model import (
    CodeInterpreterCall,
    FileSearchCall,
    FunctionToolCall,
    MessageCreationDetails,
    Run,
    RunStep,
    ToolCallsDetails,
)

Chat = dict[str, Any]
"""One message of a prompt."""
UNFILLED = "image_file"
"""The type of a part whose bytes are still to be fetched (`engine.images`)."""
PER_MESSAGE = 4
"""Tokens that a message costs besides its text."""
PER_IMAGE, PER_SMALL_IMAGE = 1105, 85
"""Tokens of an image, whatever it shows: the most that OpenAI's models took for one of a usual size, and
what they took for one of low detail."""

BETWEEN = "\n\n"
"""Between two passages that a search has found."""
NOTHING = "Nothing was found."
NO_ROOM = "Something was found, but there is no more room for it. Answer with what you have."


def gone(file_id: str) -> Chat:
    """What stands in place of an image that cannot be shown."""
    return {"type": "text", "text": f"[image {file_id}: not available]"}


# ---------------------------------------------------------------- messages


def spoken(message: Message) -> Chat | None:
    """A message of a thread; None for one that says nothing, as upstreams refuse those.

    A single text goes as a string, the one form that every server reads. Assistants speak in strings
    always, since no server takes pictures from them.
    """
    if message.role == "assistant":
        text = said(message.content)
        return {"role": "assistant", "content": text} if text else None
    parts = [shown(part) for part in message.content]
    parts = [part for part in parts if part.get("text") != ""]
    if not parts:
        return None
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"role": "user", "content": parts[0]["text"]}
    return {"role": "user", "content": parts}


def said(content: Sequence[Part]) -> str:
    """What an assistant's message says."""
    return "\n".join(filter(None, map(words, content)))


def words(part: Part) -> str:
    match part:
        case TextPart():
            return part.text.value
        case RefusalPart():
            return part.refusal
        case ImageFilePart():
            return f"[image {part.image_file.file_id}]"
        case ImageUrlPart():
            return f"[image {part.image_url.url}]"


def shown(part: Part) -> Chat:
    """A part of a user's message."""
    match part:
        case ImageFilePart():
            return {"type": UNFILLED, UNFILLED: part.image_file}
        case ImageUrlPart():
            return picture(part.image_url)
    return {"type": "text", "text": words(part)}


def picture(image: ImageUrl) -> Chat:
    detail = {} if image.detail == "auto" else {"detail": image.detail}
    return {"type": "image_url", "image_url": {"url": image.url, **detail}}


def unfilled(chat: Chat) -> list[str]:
    """The files whose images a message shows."""
    if isinstance(chat["content"], list):
        return [part[UNFILLED].file_id for part in chat["content"] if part["type"] == UNFILLED]
    return []


def filled(chat: Chat, urls: Mapping[str, str]) -> Chat:
    """A message with its images in place; one that `urls` does not have is mentioned."""
    if not unfilled(chat):
        return chat
    return {**chat, "content": [fill(part, urls) for part in chat["content"]]}


def fill(part: Chat, urls: Mapping[str, str]) -> Chat:
    if part["type"] != UNFILLED:
        return part
    image = part[UNFILLED]
    url = urls.get(image.file_id)
    return gone(image.file_id) if url is None else picture(ImageUrl(url, image.detail))


# ---------------------------------------------------------------- steps


def messages_of(steps: Sequence[RunStep]) -> list[str]:
    """The ids of the messages that a run has written."""
    return [
        step.step_details.message_creation.message_id
        for step in steps
        if isinstance(step.step_details, MessageCreationDetails)
    ]


def done(steps: Sequence[RunStep], messages: Mapping[str, Message], search: str | None = None) -> list[Chat]:
    """What a run has said and called so far; `messages` are those of its own that are still there.

    A text that was followed by calls is one message with them: they came in one turn. `search` is the name
    of the function that searches files.
    """
    chats: list[Chat] = []
    results = iter([found for _, found in searches(steps)])
    for step in steps:
        match step.step_details:
            case MessageCreationDetails(message_creation=made):
                message = messages.get(made.message_id)
                if message and (chat := spoken(message)):
                    chats.append(chat)
            case ToolCallsDetails(tool_calls=every):
                calls = [call for call in every if not isinstance(call, CodeInterpreterCall)]
                if calls:
                    before = chats.pop() if chats and is_plain_speech(chats[-1]) else {"content": None}
                    asked = [called(call, search) for call in calls]
                    chats.append({"role": "assistant", "content": before["content"], "tool_calls": asked})
                    chats.extend(answered(call, results) for call in calls)
    return chats


def is_plain_speech(chat: Chat) -> bool:
    return chat["role"] == "assistant" and "tool_calls" not in chat


def called(call: FunctionToolCall | FileSearchCall, search: str | None) -> Chat:
    if isinstance(call, FileSearchCall):
        function = {"name": search or "file_search", "arguments": call.arguments or "{}"}
        return {"id": call.id, "type": "function", "function": function}
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def answered(
    call: FunctionToolCall | FileSearchCall, results: Iterator[Sequence[tuple[Place, Source]]]
) -> Chat:
    """`results` are those of the searches that are still to be answered."""
    if isinstance(call, FileSearchCall):
        found = BETWEEN.join(passage(place, source) for place, source in next(results))
        output: str | None = found or (NO_ROOM if call.no_room else NOTHING)
    else:
        output = call.function.output
    return {"role": "tool", "tool_call_id": call.id, "content": output or ""}


def passage(place: Place, source: Source) -> str:
    """What a search tells the model of one result."""
    return f"{marker(place, source.label)}\n{source.text}"


# ---------------------------------------------------------------- what goes beside the messages


def functions(run: Run) -> list[Chat]:
    """The functions that the model may call; what is unset is left out."""
    wanted = [tool.function for tool in run.tools if isinstance(tool, FunctionTool)]
    return [{"type": "function", "function": signature(function)} for function in wanted]


def signature(function: Function) -> Chat:
    described = {} if function.description in (UNSET, None) else {"description": function.description}
    strict = {"strict": True} if function.strict else {}
    return {"name": function.name, **described, "parameters": function.parameters, **strict}


def choice(run: Run, steps: Sequence[RunStep], search: str | None = None) -> str | Chat | None:
    """Which function must be called, if it must; None leaves it to the model. `search` is the one that
    searches files.

    What is forced is forced once: a tool is to be called before the user is answered, and a run that
    had to call it in every turn would never end.
    """
    if run.tool_choice == "none":
        return "none"
    if run.tool_choice == "auto" or any(step.type == "tool_calls" for step in steps):
        return None
    if isinstance(run.tool_choice, str) or run.tool_choice.get("type") == "function":
        return run.tool_choice
    if run.tool_choice.get("type") == "file_search" and search:
        return {"type": "function", "function": {"name": search}}
    return None


def answer_format(run: Run) -> Chat | None:
    return None if isinstance(run.response_format, str) else run.response_format


def other_than(number: float, default: float) -> float | None:
    """A number that says something. An assistant's temperature is 1.0 where nobody set it, which is what
    chat completions take without one too; and models that reason refuse to be given any."""
    return None if number == default else number


# ---------------------------------------------------------------- how much it is


class Weight(Struct, frozen=True):
    """What a piece of the prompt costs: its texts, and tokens beside them."""

    texts: list[str]
    flat: int

    @property
    def at_most(self) -> int:
        """Tokens, without counting."""
        return sum(map(at_most, self.texts)) + self.flat


def weight(chat: Chat) -> Weight:
    """What a message costs."""
    texts, flat = [], PER_MESSAGE
    content = chat["content"]
    for part in [] if content is None else [content] if isinstance(content, str) else content:
        if isinstance(part, str):
            texts.append(part)
        elif part["type"] == "text":
            texts.append(part["text"])
        else:
            flat += image_tokens(part)
    for call in chat.get("tool_calls", ()):
        texts += [call["id"], call["function"]["name"], call["function"]["arguments"]]
        flat += PER_MESSAGE
    texts += [chat["tool_call_id"]] if "tool_call_id" in chat else []
    return Weight(texts, flat)


def image_tokens(part: Chat) -> int:
    detail = part[UNFILLED].detail if part["type"] == UNFILLED else part["image_url"].get("detail")
    return PER_SMALL_IMAGE if detail == "low" else PER_IMAGE


def weight_of_rest(*values: object) -> Weight:
    """What goes beside the messages, by its JSON text."""
    return Weight([msgspec.json.encode(value).decode() for value in values if value], PER_MESSAGE)
