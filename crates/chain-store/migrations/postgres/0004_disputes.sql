-- Blocks that provers came to another result of: a chain with one halts until somebody has looked into it.
CREATE TABLE disputes (
    block_number BIGINT PRIMARY KEY,
    block_hash BYTEA NOT NULL,
    cause TEXT NOT NULL
);
