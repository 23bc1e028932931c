//! JSON-RPC and gRPC for wallets and tools.
