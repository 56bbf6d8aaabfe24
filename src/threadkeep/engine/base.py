"""What requests may ask of the engine of their process."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from threadkeep.engine.events import Event
from threadkeep.runs.model import Claim


class Watch(Protocol):
    """The events of one run for one reader, who may be as slow as it likes: what it has not taken yet
    is kept in little, since pieces of text that wait are joined."""

    def tell(self, event: Event) -> None:
        """Add what the reader is to see; nothing after `Done`, and nothing once closed."""
        ...

    def batches(self) -> AsyncIterator[Sequence[Event]]:
        """Everything told so far, again and again until `Done`; an empty batch now and then while
        nothing happens, so that the reader can show that it is alive."""
        ...

    def close(self) -> None:
        """The reader has gone. The run goes on."""
        ...


class Runner(Protocol):
    """Works runs in this process."""

    def owner(self) -> str | None:
        """The name under which to make a run that this process is to work, and None where it takes none
        at present (it is stopping, or has its hands full): then any process may take it."""
        ...

    def lease_until(self) -> int:
        """Until when such a run is this process's."""
        ...

    def watch(self) -> Watch:
        """Somewhere for events to go."""
        ...

    def adopt(self, claim: Claim, watch: Watch | None = None) -> None:
        """Work a run whose claim is this process's, and whose transaction is committed."""
        ...

    async def change(self, run_id: str, seen: str, seconds: float) -> bool:
        """Return once the run's status may no longer be `seen`, or after so many seconds. False says that
        this process stops, and nobody should wait on here: it returns at once then."""
        ...

    def drain(self) -> None:
        """The server stops: take nothing more, and soon be done with what is under way, whose streams
        end. What is not finished by then is anybody's to take up."""
        ...
