"""What every room may need and none may build: handed in by `app`."""

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.ids import IdMaker
from threadkeep.settings import Settings
from threadkeep.storage.blobs import Blobs
from threadkeep.storage.database import Database


class Context(Struct, frozen=True):
    """The server's database, blobs, clock, source of ids, and settings."""

    database: Database
    blobs: Blobs
    clock: Clock
    new_id: IdMaker
    settings: Settings

    def now(self) -> int:
        """Whole seconds since 1970, as the API writes time."""
        return int(self.clock())
