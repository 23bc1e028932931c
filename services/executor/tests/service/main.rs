//! The real service on a SQLite chain store and a folder of classes, spoken to over gRPC: blocks as streams, the
//! same block from two executors, queries, and what is refused.

mod blocks;
mod queries;
mod stack;
