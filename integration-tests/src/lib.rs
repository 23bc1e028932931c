//! Real clients against the real stack, and the named failure scenarios.
