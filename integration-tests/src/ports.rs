//! Ports of loopback that nobody listens on.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that was free a moment ago and that this process has not given away before.
pub fn free_port() -> anyhow::Result<u16> {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        // A poisoned lock still holds a set of ports.
        let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if given.insert(port) {
            return Ok(port);
        }
    }
}

/// The first of `count` free ports in a row.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    for _ in 0..200 {
        let first = free_port()?;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first.checked_add(count).is_some_and(|end| end < 65_000 && (first..end).all(free)) {
            return Ok(first);
        }
    }
    anyhow::bail!("{count} free ports in a row were not found")
}
