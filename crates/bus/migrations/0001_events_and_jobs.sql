-- Events are a log; consumers have a position in it, and deliveries that are not acknowledged yet.
CREATE TABLE event (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    subject      TEXT    NOT NULL,
    message_id   TEXT    NOT NULL UNIQUE,
    payload      BLOB    NOT NULL,
    headers      TEXT    NOT NULL,
    published_ms INTEGER NOT NULL
);

CREATE TABLE consumer (
    name          TEXT    PRIMARY KEY,
    filter        TEXT    NOT NULL,
    next_sequence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE delivery (
    consumer TEXT    NOT NULL REFERENCES consumer (name),
    sequence INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (consumer, sequence)
) WITHOUT ROWID;

-- A job's life:
--
--   enqueue -> 0 waiting -- pull --> 1 leased -- ack --> (row deleted)
--                 ^                     |
--                 |<---- release -------|
--                 |<---- nak, or lease over, with deliveries left
--                 |                     '---- fail, or none left ----> 2 parked
--                 '------------------------- requeue ----------------------'
--
-- due_ms: waiting, not before; leased, until; parked, since.
CREATE TABLE job (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    queue       TEXT    NOT NULL,
    job_id      TEXT    NOT NULL,
    payload     BLOB    NOT NULL,
    headers     TEXT    NOT NULL,
    state       INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    attempts    INTEGER NOT NULL,
    lease_token INTEGER,
    due_ms      INTEGER NOT NULL,
    cause       TEXT,
    enqueued_ms INTEGER NOT NULL,
    UNIQUE (queue, job_id)
);

CREATE INDEX job_by_state ON job (queue, state, due_ms);
