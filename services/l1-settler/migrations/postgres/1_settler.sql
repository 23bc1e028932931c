-- Who may send, and until when: at most one row. `token` grows when the holder changes.
CREATE TABLE leader (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    holder   TEXT   NOT NULL,
    token    BIGINT NOT NULL,
    -- Milliseconds since the Unix epoch, by the database's clock.
    until_ms BIGINT NOT NULL
);

-- Transactions, written down before they are sent. L1 is the truth; this only says what was paid for them.
CREATE TABLE transactions (
    chain_id                 BIGINT NOT NULL,
    account                  BYTEA NOT NULL,
    nonce                    BIGINT NOT NULL,
    hash                     BYTEA NOT NULL,
    previous_block           BIGINT NOT NULL,
    new_block                BIGINT NOT NULL,
    -- Wei.
    max_fee_per_gas          BIGINT NOT NULL,
    max_priority_fee_per_gas BIGINT NOT NULL,
    max_fee_per_blob_gas     BIGINT NOT NULL,
    -- The last block of L1 when it was sent.
    sent_at_block            BIGINT NOT NULL,
    PRIMARY KEY (chain_id, account, nonce, hash)
);
