CREATE TABLE chunks (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    length BIGINT NOT NULL,
    text TEXT NOT NULL,
    words TSVECTOR NOT NULL,
    UNIQUE (store_id, file_id, number)
);

CREATE INDEX chunks_by_words ON chunks USING gin (words) WITH (fastupdate = off);

-- Where the server has no pgvector of version 0.8 or later, or we may not make it ours, there are no vectors.
DO $$
DECLARE
    dimensions BIGINT;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_available_extension_versions
        WHERE name = 'vector' AND string_to_array(version, '.')::BIGINT[] >= ARRAY[0, 8]::BIGINT[]
    ) THEN
        RETURN;
    END IF;
    BEGIN
        CREATE EXTENSION IF NOT EXISTS vector;
    EXCEPTION WHEN insufficient_privilege THEN
        RETURN;
    END;
    CREATE TABLE chunk_vectors (
        id BIGINT PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
        store_id TEXT NOT NULL,
        file_id TEXT NOT NULL,
        model TEXT NOT NULL,
        vector HALFVEC NOT NULL
    );
    ALTER TABLE chunk_vectors ALTER COLUMN vector SET STORAGE MAIN;
    CREATE INDEX chunk_vectors_of_file ON chunk_vectors (store_id, file_id);
    FOREACH dimensions IN ARRAY ARRAY[256, 384, 512, 768, 1024, 1536, 2560, 3072] LOOP
        EXECUTE format(
            'CREATE INDEX chunk_vectors_%1$s ON chunk_vectors USING hnsw '
            '((vector::HALFVEC(%1$s)) halfvec_cosine_ops) WHERE vector_dims(vector) = %1$s', dimensions
        );
    END LOOP;
END $$;
