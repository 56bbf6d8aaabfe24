CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (store_id, file_id, number)
);

CREATE VIRTUAL TABLE chunk_words USING fts5(
    store, words, content='', contentless_delete=1, tokenize="ascii tokenchars '_'"
);

CREATE TABLE chunk_vectors (
    id INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL
);

CREATE INDEX chunk_vectors_of_file ON chunk_vectors (store_id, file_id);
