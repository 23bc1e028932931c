//! Blockifier behind one trait: Cairo Native or Cairo VM, concurrent; the block witness.
