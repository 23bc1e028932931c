-- Headers of a message, as a JSON object of strings: the trace that it belongs to.
ALTER TABLE outbox ADD COLUMN headers BYTEA NOT NULL DEFAULT '\x7b7d';
