//! Executes blocks as a replayable stream, and queries on a pool of their own.
