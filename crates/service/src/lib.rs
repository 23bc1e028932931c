//! What every main shares: configuration, telemetry, health, authentication, counted shutdown.
