"""Sources that a search has given a model, and the places in its text that name them. Pure.

A source is named by a marker such as `【0:2†report.pdf】`: the run's step of calls, counted from 0, the
result in it, and the file's name. Models shorten the name, or write `source` for it, and some count in ways
of their own: so both the numbers and the name are taken for what they are worth.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from threadkeep.runs.model import FileSearchCall, RunStep, ToolCallsDetails

OPENING = "【"
LONGEST_NAME, DIGITS = 200, 6
"""Characters of a name in a marker, and digits of its numbers: what is longer is no marker."""
LONGEST_QUOTE = 1000
"""Characters of a passage that a citation keeps."""
MARKER = re.compile(f"【([0-9]{{1,{DIGITS}}}):([0-9]{{1,{DIGITS}}})†([^【】\n]{{1,{LONGEST_NAME}}})】")
BEGINNING = re.compile(
    f"【(?:[0-9]{{0,{DIGITS}}}|[0-9]{{1,{DIGITS}}}:(?:[0-9]{{0,{DIGITS}}}"
    f"|[0-9]{{1,{DIGITS}}}†[^【】\n]{{0,{LONGEST_NAME}}}))"
)
"""Every beginning of a marker, and nothing else."""
UNFIT = re.compile("[【】†\\s]+")

Annotation = dict[str, Any]
"""A citation as it is stored: with the passage as its `quote`, which only some dialects show."""
Piece = tuple[str, Annotation | None]
"""A piece of text, and the annotation of just this piece."""


class Source(Struct, frozen=True):
    """A passage that the model was shown."""

    file_id: str
    label: str
    text: str


Place = tuple[int, int]
"""A step of calls, and a result in it."""


class Sources(Struct, frozen=True):
    """All that a model was shown in a run."""

    by_place: Mapping[Place, Source]
    by_label: Mapping[str, Source]

    def named(self, place: Place, label: str) -> Source | None:
        """What a marker means: what stands there, unless another file bears the name."""
        there, called = self.by_place.get(place), self.by_label.get(label)
        if there is None or called is None or there.label == label:
            return there or called
        return called


def label_of(filename: str) -> str:
    """A file's name as it fits into a marker."""
    return UNFIT.sub(" ", filename).strip()[:LONGEST_NAME] or "file"


def marker(place: Place, label: str) -> str:
    return f"【{place[0]}:{place[1]}†{label}】"


def searches(steps: Sequence[RunStep]) -> Iterator[tuple[FileSearchCall, list[tuple[Place, Source]]]]:
    """Every search of a run, with what it found where."""
    calls_of = [one.step_details for one in steps if isinstance(one.step_details, ToolCallsDetails)]
    for turn, details in enumerate(calls_of):
        index = 0
        for call in details.tool_calls:
            if isinstance(call, FileSearchCall):
                found = [source_of(result) for result in call.file_search.get("results") or ()]
                yield call, [((turn, index + n), source) for n, source in enumerate(found)]
                index += len(found)


def source_of(result: Mapping[str, Any]) -> Source:
    text = "\n".join(part["text"] for part in result.get("content") or ())
    return Source(result["file_id"], label_of(result["file_name"]), text)


def sources_of(steps: Sequence[RunStep]) -> Sources | None:
    """What the model was shown; None where that is nothing."""
    by_place = {place: source for _, found in searches(steps) for place, source in found}
    by_label: dict[str, Source] = {}
    for source in by_place.values():
        by_label.setdefault(source.label, source)
    return Sources(by_place, by_label) if by_place else None


class Citer:
    """Finds the markers in a text that comes in pieces, wherever it is cut.

    The beginning of what may become a marker is held back until that is decided, which takes no more
    characters than a marker may have.
    """

    __slots__ = ("_at", "_sources", "annotations", "held")

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._at = 0
        """Code points before what is held."""
        self.held = ""
        self.annotations: list[Annotation] = []

    def take(self, value: str) -> Sequence[Piece]:
        """What can be told now that this has come."""
        if not self.held and OPENING not in value:
            self._at += len(value)
            return ((value, None),)
        return self._cut(self.held + value)

    def _cut(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        told = looked = 0
        self.held = ""
        while (opened := text.find(OPENING, looked)) >= 0:
            found = MARKER.match(text, opened)
            if found is None and BEGINNING.fullmatch(text, opened):
                self.held = text[opened:]
                break
            looked = opened + 1
            source = self._sources.named((int(found[1]), int(found[2])), found[3]) if found else None
            if found and source:
                if opened > told:
                    pieces.append((text[told:opened], None))
                pieces.append((found[0], self._cite(found[0], self._at + opened, source)))
                told = looked = found.end()
        end = len(text) - len(self.held)
        if end > told:
            pieces.append((text[told:end], None))
        self._at += end
        return pieces

    def _cite(self, text: str, start: int, source: Source) -> Annotation:
        annotation = {
            "type": "file_citation",
            "text": text,
            "start_index": start,
            "end_index": start + len(text),
            "file_citation": {"file_id": source.file_id, "quote": source.text[:LONGEST_QUOTE]},
        }
        self.annotations.append(annotation)
        return annotation
