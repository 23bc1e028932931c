-- Consecutive blocks that are aggregated together; a batch that was planned stays as it is.
CREATE TABLE batches (
    first_block BIGINT PRIMARY KEY,
    last_block  BIGINT NOT NULL UNIQUE,
    -- Seconds since the Unix epoch.
    planned_at  BIGINT NOT NULL
);
-- The verified proof of each step; the bytes are in the object store.
CREATE TABLE steps (
    name        TEXT PRIMARY KEY,
    first_block BIGINT NOT NULL,
    last_block  BIGINT NOT NULL,
    -- JSON of `index::StoredStep`.
    step        TEXT NOT NULL
);
CREATE INDEX steps_by_block ON steps (first_block, last_block);
-- Proofs of before bind outputs in forms that cannot be joined: the planner has these blocks proven again.
DELETE FROM proofs;
