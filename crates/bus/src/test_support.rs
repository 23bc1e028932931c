//! A real NATS server for tests: own port, own store, restartable. [`NatsServer`].
