"""What every room may need and none may build: handed in by `app`."""

from msgspec import Struct

from threadkeep.clock import Clock
from threadkeep.engine.base import Runner
from threadkeep.errors import Unavailable
from threadkeep.ids import IdMaker
from threadkeep.providers.base import Embedder, Providers
from threadkeep.settings import Settings
from threadkeep.storage.blobs import Blobs
from threadkeep.storage.database import Database
from threadkeep.storage.health import SCHEMA_TOO_NEW, SCHEMA_TOO_OLD
from threadkeep.storage.migrate import SchemaTooNew, pending


class Context(Struct, frozen=True):
    """The server's database, blobs, clock, source of ids, settings, runner, and providers of models.

    Without an `embedder` search is by words alone.
    """

    database: Database
    blobs: Blobs
    clock: Clock
    new_id: IdMaker
    settings: Settings
    runner: Runner
    providers: Providers
    embedder: Embedder | None = None

    def now(self) -> int:
        """Whole seconds since 1970, as the API writes time."""
        return int(self.clock())

    async def check(self) -> None:
        """Raises `Unavailable`, with the reason, where requests that need the database are not served."""
        await self.database.check()
        try:
            missing = await pending(self.database)
        except SchemaTooNew as problem:
            raise Unavailable("a later release has migrated it", SCHEMA_TOO_NEW) from problem
        if missing:
            raise Unavailable(f"the migration {missing[0].version:04} is missing", SCHEMA_TOO_OLD)
