-- Compatible from: 4

-- What the vectors of each file come from, who makes others in their place, and what they are to come from.

ALTER TABLE vector_store_files ADD COLUMN embedded_by TEXT NOT NULL DEFAULT '';

ALTER TABLE vector_store_files ADD COLUMN embedding_claim TEXT;

ALTER TABLE vector_store_files ADD COLUMN embedding_due_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE vector_store_files ADD COLUMN embedding_failures BIGINT NOT NULL DEFAULT 0;

CREATE INDEX vector_store_files_by_embedding ON vector_store_files (embedded_by, store_id, file_id)
WHERE status = 'completed';

CREATE TABLE embedding (
    id BIGINT NOT NULL PRIMARY KEY,
    wanted TEXT NOT NULL,
    until BIGINT NOT NULL
);
