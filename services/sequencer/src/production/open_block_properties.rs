//! Pins that a block survives its executors: whatever breaks when, it comes to what one executor makes of it.
