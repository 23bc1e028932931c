//! The tries from outside: against their definition, against published values, against StarknetOS' traversal.

mod properties;
mod state;
mod support;
