-- Compatible from: 3

-- Assistants, runs and their steps, virtual keys.

CREATE TABLE assistants (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX assistants_of_project ON assistants (project_id, id);

CREATE TABLE assistant_files (
    assistant_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    position BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (assistant_id, file_id)
);

CREATE INDEX assistant_files_by_file ON assistant_files (file_id);

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    status TEXT NOT NULL,
    owner TEXT,
    attempt BIGINT NOT NULL,
    due_at BIGINT,
    job TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX runs_of_thread ON runs (thread_id, id);

CREATE INDEX runs_by_time ON runs (due_at, id) WHERE due_at IS NOT NULL;

CREATE INDEX runs_cancelling ON runs (id) WHERE status = 'cancelling';

CREATE TABLE run_steps (
    run_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
);

CREATE TABLE waiting_messages (
    thread_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_id, position)
);

CREATE TABLE virtual_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
