//! StarknetOS run to Cairo proof with S-two, and its verifier.
