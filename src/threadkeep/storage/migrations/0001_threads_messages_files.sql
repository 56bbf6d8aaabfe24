-- Compatible from: 1

-- Projects, the tenants, and the keys that open them. Only the SHA-256 of a key is stored.
CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- last_position is the position of the newest message; active_run_id locks the thread.
CREATE TABLE threads (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    active_run_id TEXT,
    metadata TEXT NOT NULL,
    tool_resources TEXT NOT NULL
);

CREATE INDEX threads_of_project ON threads (project_id, id);

-- One row a metadata pair, as the JSON text of [key, value], so that threads can be listed by it.
CREATE TABLE thread_metadata (
    thread_id TEXT NOT NULL,
    pair TEXT NOT NULL,
    PRIMARY KEY (thread_id, pair)
);

CREATE INDEX threads_by_metadata ON thread_metadata (pair, thread_id);

-- body is the whole message as OpenAI v2 serves it; position is the only order.
CREATE TABLE messages (
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_id, position)
);

CREATE INDEX messages_by_id ON messages (id);

CREATE INDEX messages_of_run ON messages (thread_id, run_id, position) WHERE run_id IS NOT NULL;

CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    sha256 TEXT NOT NULL
);

CREATE INDEX files_of_project ON files (project_id, id);

-- Where files are attached, so that deleting one finds every place. message_id is '' for the thread's own tools.
CREATE TABLE file_uses (
    thread_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    PRIMARY KEY (thread_id, message_id, file_id)
);

CREATE INDEX file_uses_by_file ON file_uses (file_id);

-- What a deletion leaves behind, so that a cursor keeps its place. parent_id is the thread or the project.
CREATE TABLE tombstones (
    parent_id TEXT NOT NULL,
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (parent_id, id)
);

-- Deletions to be finished later: a thread's messages, a blob's bytes, a file at its expiry.
CREATE TABLE sweeps (
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (kind, item)
);

CREATE INDEX sweeps_by_time ON sweeps (due_at, kind, item);
