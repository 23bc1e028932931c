//! Events and jobs: one trait, two implementations (NATS JetStream; embedded).
