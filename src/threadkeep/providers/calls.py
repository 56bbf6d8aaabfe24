"""Function calls as they arrive, put in order."""

import secrets

import msgspec
from msgspec import Struct

from threadkeep.providers.base import Call, Piece
from threadkeep.providers.completion import CallDelta, FunctionDelta, Malformed
from threadkeep.providers.halves import mended


class OneCall(Struct):
    """A call so far: its place in the answer, the id it came with, its own id, and the arguments that
    came before its name."""

    index: int
    came_as: str | None
    id: str
    told: bool = False
    early: str = ""


class Calls:
    """Puts the pieces of function calls in order: some come without index, id or either, some have every
    call under index 0, and some repeat or change the id with each piece."""

    def __init__(self) -> None:
        self._calls: list[OneCall] = []
        self._at: dict[int, OneCall] = {}

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def check(self) -> None:
        """Raises `Malformed` where a call never got its name."""
        if not all(call.told for call in self._calls):
            raise Malformed("a function call without a name")

    def take(self, deltas: list[CallDelta], pieces: list[Piece]) -> None:
        for delta in deltas:
            function = delta.function or FunctionDelta()
            call = self._call(delta, function.name)
            arguments = function.arguments or ""
            if not isinstance(arguments, str):
                arguments = msgspec.json.encode(mended(arguments)).decode()
            if call.told:
                if arguments:
                    pieces.append(Call(call.index, arguments))
            elif function.name:
                call.told = True
                pieces.append(Call(call.index, call.early + arguments, call.id, function.name))
            else:
                call.early += arguments

    def _call(self, delta: CallDelta, name: str | None) -> OneCall:
        """The call that a piece belongs to."""
        known = self._at.get(delta.index) if delta.index is not None else self._unplaced(delta.id, name)
        another = known and name and delta.id and known.came_as and delta.id != known.came_as
        if known is None or another:
            known = self._new(delta.id)
            if delta.index is not None:
                self._at[delta.index] = known
        elif known.came_as is None and delta.id and not known.told:
            known.came_as, known.id = delta.id, self._own_id(delta.id)
        return known

    def _unplaced(self, id: str | None, name: str | None) -> OneCall | None:
        """The call of a piece without index: the one of its id, a new one for a name, else the last."""
        if id:
            for call in self._calls:
                if call.came_as == id:
                    return call
        return None if name or not self._calls else self._calls[-1]

    def _new(self, came_as: str | None) -> OneCall:
        call = OneCall(len(self._calls), came_as or None, self._own_id(came_as))
        self._calls.append(call)
        return call

    def _own_id(self, came_as: str | None) -> str:
        """An id that no other call of this answer has."""
        if came_as and all(call.id != came_as for call in self._calls):
            return came_as
        return "call_" + secrets.token_hex(12)
