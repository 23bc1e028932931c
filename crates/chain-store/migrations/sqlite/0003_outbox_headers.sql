-- Headers of a message, as a JSON object of strings: the trace that it belongs to.
ALTER TABLE outbox ADD COLUMN headers BLOB NOT NULL DEFAULT X'7B7D';
