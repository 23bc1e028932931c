//! Generated gRPC code, and typed conversions between the wire and the domain.
