//! Readiness as a latch that components hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Ready when nobody holds a latch. Each component takes one before it starts and lets go when it can serve;
/// one that breaks may take another.
#[derive(Clone, Debug)]
pub struct Readiness {
    held: Arc<Mutex<BTreeMap<String, usize>>>,
    changed: Arc<watch::Sender<bool>>,
}

/// Holds readiness back until it is dropped.
#[derive(Debug)]
#[must_use = "readiness is held back only while the latch lives"]
pub struct Latch {
    name: String,
    readiness: Readiness,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Ready, as nobody holds it back yet.
    pub fn new() -> Self {
        Self { held: Arc::default(), changed: Arc::new(watch::Sender::new(true)) }
    }

    /// Holds readiness back; `name` is shown at `/ready`.
    pub fn hold(&self, name: impl Into<String>) -> Latch {
        let name = name.into();
        *self.lock().entry(name.clone()).or_default() += 1;
        self.changed.send_replace(false);
        Latch { name, readiness: self.clone() }
    }

    /// Whether nobody holds it back.
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// Who holds it back.
    pub fn held_by(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.changed.subscribe()
    }

    /// Waits until nobody holds it back.
    pub async fn ready(&self) {
        let mut changes = self.watch();
        while !self.is_ready() {
            // The sender lives in `self`, so waiting can't fail while we are here.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        // Every critical section leaves the map whole, so a poisoned lock can be taken over.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// Lets go; the same as dropping it, but readable.
    pub fn release(self) {}
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut held = self.readiness.lock();
        if let Some(count) = held.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.name);
            }
        }
        let ready = held.is_empty();
        drop(held);
        self.readiness.changed.send_replace(ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that every holder must let go, and that readiness can be lost again.
    #[tokio::test]
    async fn ready_only_when_every_latch_is_released() {
        let readiness = Readiness::new();
        let store = readiness.hold("store");
        let bus = readiness.hold("bus");
        assert_eq!(readiness.held_by(), ["bus", "store"]);
        store.release();
        assert!(!readiness.is_ready());
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        bus.release();
        waiting.await.unwrap();
        assert!(readiness.is_ready());
        let _again = readiness.hold("bus");
        assert!(!readiness.is_ready());
    }
}
