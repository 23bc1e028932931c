-- Felts and hashes are 32 bytes, big-endian. Numbers are signed because SQL has no others.

CREATE TABLE chain (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    chain_id TEXT NOT NULL
);

CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    parent_hash BLOB NOT NULL,
    accepted_on_l1 BOOLEAN NOT NULL,
    block BLOB NOT NULL
);

CREATE TABLE state_diffs (
    block_number INTEGER PRIMARY KEY REFERENCES blocks (number),
    diff BLOB NOT NULL
);

CREATE TABLE transactions (
    block_number INTEGER NOT NULL REFERENCES blocks (number),
    transaction_index INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    receipt BLOB NOT NULL,
    PRIMARY KEY (block_number, transaction_index)
);

CREATE TABLE events (
    block_number INTEGER NOT NULL,
    transaction_index INTEGER NOT NULL,
    event_index INTEGER NOT NULL,
    from_address BLOB NOT NULL,
    first_key BLOB,
    keys BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (block_number, transaction_index, event_index)
) WITHOUT ROWID;
CREATE INDEX events_by_address
    ON events (from_address, block_number, transaction_index, event_index);
CREATE INDEX events_by_first_key
    ON events (first_key, block_number, transaction_index, event_index);

-- The state's history: the value that holds from this block on.
CREATE TABLE contract_storage (
    address BLOB NOT NULL,
    key BLOB NOT NULL,
    block_number INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (address, key, block_number)
) WITHOUT ROWID;
CREATE TABLE contract_nonces (
    address BLOB NOT NULL,
    block_number INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    PRIMARY KEY (address, block_number)
) WITHOUT ROWID;
CREATE TABLE contract_classes (
    address BLOB NOT NULL,
    block_number INTEGER NOT NULL,
    class_hash BLOB NOT NULL,
    PRIMARY KEY (address, block_number)
) WITHOUT ROWID;
-- Several rows only where a class was moved to another compiled class hash.
CREATE TABLE declared_classes (
    class_hash BLOB NOT NULL,
    block_number INTEGER NOT NULL,
    compiled_class_hash BLOB,
    PRIMARY KEY (class_hash, block_number)
) WITHOUT ROWID;

-- Content-addressed: 64 bytes left and right; 65 bytes child, path and length; 96 bytes contract leaf.
CREATE TABLE trie_nodes (
    hash BLOB PRIMARY KEY,
    node BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    block_number INTEGER NOT NULL,
    subject TEXT NOT NULL,
    payload BLOB NOT NULL,
    delivered BOOLEAN NOT NULL
);
CREATE INDEX outbox_pending ON outbox (id) WHERE NOT delivered;

CREATE TABLE mempool (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    received_at_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE removals (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
);
