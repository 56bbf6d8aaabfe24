"""What every room may need and none may build: handed in by `app`."""

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.engine.base import Runner
from threadkeep.ids import IdMaker
from threadkeep.providers.base import Providers
from threadkeep.settings import Settings
from threadkeep.storage.blobs import Blobs
from threadkeep.storage.database import Database


class Context(Struct, frozen=True):
    """The server's database, blobs, clock, source of ids, settings, runner, and providers of models."""

    database: Database
    blobs: Blobs
    clock: Clock
    new_id: IdMaker
    settings: Settings
    runner: Runner
    providers: Providers

    def now(self) -> int:
        """Whole seconds since 1970, as the API writes time."""
        return int(self.clock())
