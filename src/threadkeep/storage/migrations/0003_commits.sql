-- Compatible from: 1

-- The last commit of each connection to PostgreSQL, written in the transaction that it ends: so whoever lost
-- the connection before the answer came finds out. No commit is added to a connection that is closed.
CREATE TABLE commits (
    connection TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    closed BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);

-- The oldest schema version whose release works on the schema from this migration on.
ALTER TABLE schema_migrations ADD COLUMN compatible_from BIGINT;
