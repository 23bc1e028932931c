-- One verified proof a block; the bytes are in the object store.
CREATE TABLE proofs (
    block_number BIGINT PRIMARY KEY,
    block_hash   BLOB NOT NULL UNIQUE,
    -- JSON of `index::StoredProof`.
    proof        TEXT NOT NULL
);
