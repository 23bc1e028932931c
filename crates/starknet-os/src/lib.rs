//! The StarknetOS program, its input, its hints, its output.
