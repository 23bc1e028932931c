//! The gateway as its clients see it: the real service over a chain store in SQLite with hand-made blocks,
//! beside a sequencer and an executor that answer what the tests put into them.

mod bad_input;
mod chain;
mod errors;
mod events;
mod finality;
mod grpc;
mod openrpc;
mod peers;
mod reads;
mod stack;
mod submission;
