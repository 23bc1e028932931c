-- Finality is asked for by its end only. Without this, a chain that does not settle is read to its first block each time.
CREATE INDEX blocks_accepted_on_l1 ON blocks (number) WHERE accepted_on_l1;
