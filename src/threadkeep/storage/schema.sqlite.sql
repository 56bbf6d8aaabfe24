-- With schema.sql on this engine. A run begins queued and moves legally: the list is that of runs.model.MOVES.
CREATE TRIGGER runs_begin_queued BEFORE INSERT ON runs
WHEN NEW.status <> 'queued'
BEGIN
    SELECT RAISE(ABORT, 'a run begins queued');
END;

CREATE TRIGGER runs_move_legally BEFORE UPDATE OF status ON runs
WHEN OLD.status <> NEW.status AND OLD.status || '>' || NEW.status NOT IN (
    'queued>in_progress',
    'queued>cancelling',
    'queued>failed',
    'queued>expired',
    'in_progress>requires_action',
    'in_progress>cancelling',
    'in_progress>completed',
    'in_progress>incomplete',
    'in_progress>failed',
    'in_progress>expired',
    'requires_action>queued',
    'requires_action>cancelling',
    'requires_action>expired',
    'cancelling>cancelled',
    'cancelling>expired'
)
BEGIN
    SELECT RAISE(ABORT, 'a run does not move like that');
END;

-- The pieces of files that are searched; what schema.postgres.sql has under the same names serves the same.
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    number INTEGER NOT NULL,                   -- from 0, in the file's order
    text TEXT NOT NULL,
    UNIQUE (store_id, file_id, number)
);

-- The words of chunks, and their stores, by the chunks' ids. It holds no text.
CREATE VIRTUAL TABLE chunk_words USING fts5(
    store, words, content='', contentless_delete=1, tokenize="ascii tokenchars '_'"
);

CREATE TABLE chunk_vectors (
    id INTEGER PRIMARY KEY,                    -- the chunk's
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    model TEXT NOT NULL,                       -- that the vector comes from
    vector BLOB NOT NULL                       -- floats of four bytes
);

CREATE INDEX chunk_vectors_of_file ON chunk_vectors (store_id, file_id);
