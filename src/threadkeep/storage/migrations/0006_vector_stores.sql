-- Compatible from: 4

-- Vector stores, the files in them, and batches of these.

CREATE TABLE vector_stores (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    name TEXT,
    description TEXT,
    metadata TEXT NOT NULL,
    last_active_at BIGINT NOT NULL,
    expires_days BIGINT,
    expires_at BIGINT,
    is_emptied BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    in_progress BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    usage_bytes BIGINT NOT NULL
);

CREATE INDEX vector_stores_of_project ON vector_stores (project_id, id);

CREATE INDEX vector_stores_by_expiry ON vector_stores (expires_at, id)
WHERE expires_at IS NOT NULL AND is_emptied = 0;

CREATE TABLE vector_store_files (
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    batch_id TEXT,
    created_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    usage_bytes BIGINT NOT NULL,
    last_error TEXT,
    max_tokens BIGINT NOT NULL,
    overlap_tokens BIGINT NOT NULL,
    attributes TEXT NOT NULL,
    owner TEXT,
    attempt BIGINT NOT NULL,
    due_at BIGINT,
    PRIMARY KEY (store_id, file_id)
);

CREATE UNIQUE INDEX vector_store_files_in_order ON vector_store_files (store_id, position);

CREATE INDEX vector_store_files_by_status ON vector_store_files (store_id, status, position);

CREATE INDEX vector_store_files_of_batch ON vector_store_files (batch_id, position)
WHERE batch_id IS NOT NULL;

CREATE INDEX vector_store_files_by_file ON vector_store_files (file_id);

CREATE INDEX vector_store_files_by_time ON vector_store_files (due_at, store_id, file_id)
WHERE due_at IS NOT NULL;

CREATE TABLE vector_store_batches (
    id TEXT NOT NULL PRIMARY KEY,
    store_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    is_cancelled BIGINT NOT NULL,
    in_progress BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL
);

CREATE INDEX vector_store_batches_of_store ON vector_store_batches (store_id, id);
