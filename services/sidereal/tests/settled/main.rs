//! `sidereal verify --l1` and `sidereal rebuild` against the contracts on a real Anvil.

// The settler's tests have it, too, and use all of it.
#[allow(dead_code)]
#[path = "../../../l1-settler/tests/service/anvil.rs"]
mod anvil;
mod node;
mod rebuild;
mod thousands;
mod verify;
mod world;
