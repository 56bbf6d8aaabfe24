-- The whole schema: what the migrations add up to, as a test proves. Read this; run those.

-- Tenants, and the keys that open them -----------------------------------------------------------

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL                 -- all times are whole seconds since 1970
);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,          -- SHA-256; the secret itself is stored nowhere
    hint TEXT NOT NULL,                        -- its ends, to recognise it by
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Threads and messages ---------------------------------------------------------------------------

CREATE TABLE threads (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_position BIGINT NOT NULL,             -- of the newest message; appending counts it up
    active_run_id TEXT,                        -- locks the thread while it is set
    metadata TEXT NOT NULL,                    -- JSON, as served
    tool_resources TEXT NOT NULL               -- JSON, as served
);

CREATE INDEX threads_of_project ON threads (project_id, id);

-- Threads are listed by their metadata: one row a pair.
CREATE TABLE thread_metadata (
    thread_id TEXT NOT NULL,
    pair TEXT NOT NULL,                        -- the JSON text of [key, value]
    PRIMARY KEY (thread_id, pair)
);

CREATE INDEX threads_by_metadata ON thread_metadata (pair, thread_id);

CREATE TABLE messages (
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,                  -- from 1; the only order that messages have
    id TEXT NOT NULL,
    run_id TEXT,
    body TEXT NOT NULL,                        -- the whole message as OpenAI v2 serves it
    PRIMARY KEY (thread_id, position)
);

CREATE INDEX messages_by_id ON messages (id);

CREATE INDEX messages_of_run ON messages (thread_id, run_id, position) WHERE run_id IS NOT NULL;

-- Files ------------------------------------------------------------------------------------------

CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    sha256 TEXT NOT NULL                       -- of the bytes, which lie in a blob
);

CREATE INDEX files_of_project ON files (project_id, id);

-- Where files are attached, so that deleting one finds every place.
CREATE TABLE file_uses (
    thread_id TEXT NOT NULL,
    message_id TEXT NOT NULL,                  -- '' for the thread's own tools
    file_id TEXT NOT NULL,
    PRIMARY KEY (thread_id, message_id, file_id)
);

CREATE INDEX file_uses_by_file ON file_uses (file_id);

-- Uploads -----------------------------------------------------------------------------------------

-- A file that is to arrive in parts. Once it is over, for whatever reason, its parts go.
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    bytes BIGINT NOT NULL,                     -- as announced
    created_at BIGINT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    status TEXT NOT NULL,                      -- pending, completed, cancelled, expired
    expires_at BIGINT NOT NULL,
    file_expires_after BIGINT,                 -- seconds, from the making of the file
    parts BIGINT NOT NULL,                     -- how many were added
    bytes_received BIGINT NOT NULL             -- in all of them
);

CREATE TABLE upload_parts (
    upload_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,                      -- of the bytes, which lie in a blob
    PRIMARY KEY (upload_id, id)
);

-- Deletions --------------------------------------------------------------------------------------

-- What a deleted object leaves behind, so that a cursor keeps its place.
CREATE TABLE tombstones (
    parent_id TEXT NOT NULL,                   -- its thread or its project
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (parent_id, id)
);

-- What is still to be done: a thread's messages, a blob's bytes, a file at its expiry,
-- an upload's parts.
CREATE TABLE sweeps (
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (kind, item)
);

CREATE INDEX sweeps_by_time ON sweeps (due_at, kind, item);

-- Requests that take effect once -----------------------------------------------------------------

-- The answer that the first request with a key was given, written in the transaction of its effect.
-- request_hash tells whether another one is the same request.
CREATE TABLE idempotency_keys (
    project_id TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, key)
);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

-- Assistants, runs and their steps ----------------------------------------------------------------

CREATE TABLE assistants (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    body TEXT NOT NULL                         -- the whole assistant as OpenAI v2 serves it
);

CREATE INDEX assistants_of_project ON assistants (project_id, id);

CREATE TABLE assistant_files (
    assistant_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    position BIGINT,                           -- among the files that v1 attached; null for v2's
    created_at BIGINT NOT NULL,
    PRIMARY KEY (assistant_id, file_id)
);

CREATE INDEX assistant_files_by_file ON assistant_files (file_id);

-- A run's row is also the job of working it. A trigger refuses an illegal move of its status.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    status TEXT NOT NULL,
    owner TEXT,                                -- the process that works it
    attempt BIGINT NOT NULL,                   -- counts claims; a process writes under its own only
    due_at BIGINT,                             -- when somebody should look at it; null once it is over
    job TEXT NOT NULL,                         -- JSON: what it is worked with besides its body
    body TEXT NOT NULL                         -- the whole run as OpenAI v2 serves it
);

CREATE INDEX runs_of_thread ON runs (thread_id, id);

CREATE INDEX runs_by_time ON runs (due_at, id) WHERE due_at IS NOT NULL;

CREATE INDEX runs_cancelling ON runs (id) WHERE status = 'cancelling';

CREATE TABLE run_steps (
    run_id TEXT NOT NULL,
    position BIGINT NOT NULL,                  -- from 1
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
);

-- Messages that came while a run was active, and join their thread when it is over.
CREATE TABLE waiting_messages (
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,                  -- among those that wait
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_id, position)
);

CREATE TABLE virtual_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,                    -- its name in the settings, or a base URL
    sealed TEXT NOT NULL,                      -- the secret, encrypted
    created_at BIGINT NOT NULL
);

-- Vector stores ------------------------------------------------------------------------------------

-- The numbers of files are counted in the transactions that move them: a store of many thousand files is
-- polled as quickly as a small one.
CREATE TABLE vector_stores (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    name TEXT,
    description TEXT,
    metadata TEXT NOT NULL,                    -- JSON, as served
    last_active_at BIGINT NOT NULL,
    expires_days BIGINT,                       -- after the last use; null for never
    expires_at BIGINT,                         -- which these days come to; once it is past it stays so
    is_emptied BIGINT NOT NULL,                -- 1 once an expired store's chunks were removed
    last_position BIGINT NOT NULL,             -- of the newest file
    in_progress BIGINT NOT NULL,               -- files
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    usage_bytes BIGINT NOT NULL                -- of all files together
);

CREATE INDEX vector_stores_of_project ON vector_stores (project_id, id);

CREATE INDEX vector_stores_by_expiry ON vector_stores (expires_at, id)
WHERE expires_at IS NOT NULL AND is_emptied = 0;

-- A file's row in a store is also the job of making it searchable, as a run's is of working it.
CREATE TABLE vector_store_files (
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    position BIGINT NOT NULL,                  -- in the store, from 1
    batch_id TEXT,                             -- that it came with last, if any
    created_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    usage_bytes BIGINT NOT NULL,
    last_error TEXT,                           -- JSON, as served
    max_tokens BIGINT NOT NULL,                -- of a chunk
    overlap_tokens BIGINT NOT NULL,
    attributes TEXT NOT NULL,                  -- JSON, as served
    owner TEXT,                                -- the process that works it
    attempt BIGINT NOT NULL,                   -- counts claims; a process writes under its own only
    due_at BIGINT,                             -- when somebody should look at it; null once it is over
    embedded_by TEXT NOT NULL DEFAULT '',      -- what all its vectors come from; empty for none, or not known
    embedding_claim TEXT,                      -- whoever embeds it again: a random name for each time
    embedding_due_at BIGINT NOT NULL DEFAULT 0, -- nobody else does before
    embedding_failures BIGINT NOT NULL DEFAULT 0, -- one after the other
    PRIMARY KEY (store_id, file_id)
);

CREATE UNIQUE INDEX vector_store_files_in_order ON vector_store_files (store_id, position);

CREATE INDEX vector_store_files_by_status ON vector_store_files (store_id, status, position);

CREATE INDEX vector_store_files_of_batch ON vector_store_files (batch_id, position)
WHERE batch_id IS NOT NULL;

CREATE INDEX vector_store_files_by_file ON vector_store_files (file_id);

CREATE INDEX vector_store_files_by_time ON vector_store_files (due_at, store_id, file_id)
WHERE due_at IS NOT NULL;

CREATE INDEX vector_store_files_by_embedding ON vector_store_files (embedded_by, store_id, file_id)
WHERE status = 'completed';

-- What all vectors are to come from: one row, of the process that was started last. The others that want the
-- same prolong it; once it is past, another's wish comes in its place.
CREATE TABLE embedding (
    id BIGINT NOT NULL PRIMARY KEY,            -- 1
    wanted TEXT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE vector_store_batches (
    id TEXT NOT NULL PRIMARY KEY,
    store_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    is_cancelled BIGINT NOT NULL,              -- 1 where cancelling it kept a file from its end
    in_progress BIGINT NOT NULL,               -- files
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL
);

CREATE INDEX vector_store_batches_of_store ON vector_store_batches (store_id, id);

-- What the server keeps for itself ---------------------------------------------------------------

-- The last commit of each connection to PostgreSQL, written in the transaction that it ends: so whoever lost
-- the connection before the answer came finds out. No commit is added to a connection that is closed.
CREATE TABLE commits (
    connection TEXT NOT NULL PRIMARY KEY,      -- a random name
    number BIGINT NOT NULL,                    -- of its last commit, counted from 1
    closed BIGINT NOT NULL,                    -- 1 once somebody has asked what became of it
    written_at BIGINT NOT NULL
);

-- The migrations that this database has had.
CREATE TABLE schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    compatible_from BIGINT                     -- the oldest version whose release works on this one
);
