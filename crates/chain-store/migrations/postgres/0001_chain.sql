-- Felts and hashes are 32 bytes, big-endian. Numbers are signed because SQL has no others.

CREATE TABLE chain (
    singleton SMALLINT PRIMARY KEY CHECK (singleton = 1),
    chain_id TEXT NOT NULL
);

CREATE TABLE blocks (
    number BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    parent_hash BYTEA NOT NULL,
    accepted_on_l1 BOOLEAN NOT NULL,
    block BYTEA NOT NULL
);

CREATE TABLE state_diffs (
    block_number BIGINT PRIMARY KEY REFERENCES blocks (number),
    diff BYTEA NOT NULL
);

CREATE TABLE transactions (
    block_number BIGINT NOT NULL REFERENCES blocks (number),
    transaction_index BIGINT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    body BYTEA NOT NULL,
    receipt BYTEA NOT NULL,
    PRIMARY KEY (block_number, transaction_index)
);

CREATE TABLE events (
    block_number BIGINT NOT NULL,
    transaction_index BIGINT NOT NULL,
    event_index BIGINT NOT NULL,
    from_address BYTEA NOT NULL,
    first_key BYTEA,
    keys BYTEA NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (block_number, transaction_index, event_index)
);
CREATE INDEX events_by_address
    ON events (from_address, block_number, transaction_index, event_index);
CREATE INDEX events_by_first_key
    ON events (first_key, block_number, transaction_index, event_index);

-- The state's history: the value that holds from this block on.
CREATE TABLE contract_storage (
    address BYTEA NOT NULL,
    key BYTEA NOT NULL,
    block_number BIGINT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (address, key, block_number)
);
CREATE TABLE contract_nonces (
    address BYTEA NOT NULL,
    block_number BIGINT NOT NULL,
    nonce BYTEA NOT NULL,
    PRIMARY KEY (address, block_number)
);
CREATE TABLE contract_classes (
    address BYTEA NOT NULL,
    block_number BIGINT NOT NULL,
    class_hash BYTEA NOT NULL,
    PRIMARY KEY (address, block_number)
);
-- Several rows only where a class was moved to another compiled class hash.
CREATE TABLE declared_classes (
    class_hash BYTEA NOT NULL,
    block_number BIGINT NOT NULL,
    compiled_class_hash BYTEA,
    PRIMARY KEY (class_hash, block_number)
);

-- Content-addressed: 64 bytes left and right; 65 bytes child, path and length; 96 bytes contract leaf.
CREATE TABLE trie_nodes (
    hash BYTEA PRIMARY KEY,
    node BYTEA NOT NULL
);

CREATE TABLE outbox (
    id BIGSERIAL PRIMARY KEY,
    block_number BIGINT NOT NULL,
    subject TEXT NOT NULL,
    payload BYTEA NOT NULL,
    delivered BOOLEAN NOT NULL
);
CREATE INDEX outbox_pending ON outbox (id) WHERE NOT delivered;

CREATE TABLE mempool (
    sequence BIGSERIAL PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    received_at_ms BIGINT NOT NULL,
    body BYTEA NOT NULL
);

CREATE TABLE removals (
    sequence BIGSERIAL PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
);
