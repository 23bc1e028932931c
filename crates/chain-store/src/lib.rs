//! Blocks, receipts, state history, trie nodes and the outbox, on PostgreSQL or SQLite.
