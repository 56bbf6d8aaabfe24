"""Commits that can be asked for: each leaves its number, in the row of its connection.

A connection that is lost in a commit leaves open what became of it, and after a crash PostgreSQL does not
know a transaction by its number any more. A row it knows. The row is written by the same transaction, in
the same exchange as its COMMIT, and there is one for each connection, however much that writes.
"""

from msgspec import Struct

from threadkeep.storage.database import Transaction

KEPT_FOR = 24 * 3600
"""Seconds after which the row of a connection that does not write is removed. Another write makes it anew."""

# Nothing is noted where nothing was written. A connection that is closed gets NULL, which no row may hold:
# then the transaction fails, however late it comes.
NOTE = """
    INSERT INTO commits (connection, number, closed, written_at)
    SELECT {connection}, {number}, 0, CAST(EXTRACT(EPOCH FROM now()) AS BIGINT)
    WHERE pg_current_xact_id_if_assigned() IS NOT NULL
    ON CONFLICT (connection) DO UPDATE
    SET number = CASE WHEN commits.closed = 0 THEN excluded.number END, written_at = excluded.written_at
"""
PREPARE = "PREPARE note (TEXT, BIGINT) AS" + NOTE.format(connection="$1", number="$2")
# Waits for a transaction that is being committed, and keeps out one that has yet to arrive. It need not
# outlive a crash, which ends every connection, and so waits neither for the disk nor for a standby.
CLOSE = """
    INSERT INTO commits (connection, number, closed, written_at)
    VALUES (:connection, 0, 1, CAST(EXTRACT(EPOCH FROM now()) AS BIGINT))
    ON CONFLICT (connection) DO UPDATE SET closed = 1
    RETURNING number, set_config('synchronous_commit', 'off', TRUE)
"""
FORGET = "DELETE FROM commits WHERE written_at <= :before"


class Commit(Struct, frozen=True):
    """One commit: the hexadecimal name of its connection, and its number there, from 1."""

    connection: str
    number: int

    def text(self, prepared: bool) -> str:
        """What ends the transaction; `prepared` where the connection has carried out `PREPARE`."""
        if prepared:
            return f"EXECUTE note('{self.connection}', {self.number}); COMMIT"
        return NOTE.format(connection=f"'{self.connection}'", number=self.number) + "; COMMIT"


async def forget_connections(transaction: Transaction, now: int) -> None:
    """Remove the rows of connections that have long written nothing: nearly all are gone."""
    await transaction.run(FORGET, {"before": now - KEPT_FOR})
