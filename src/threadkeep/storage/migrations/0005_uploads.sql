-- Compatible from: 4

-- Uploads and their parts.

CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    status TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    file_expires_after BIGINT,
    parts BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL
);

CREATE TABLE upload_parts (
    upload_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (upload_id, id)
);
