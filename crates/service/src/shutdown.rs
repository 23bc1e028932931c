//! Shutdown that is counted by guards, with a deadline, and never slept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Tells everybody to stop, and waits for those who hold a [`Guard`]. Clones are the same shutdown;
/// a [`Shutdown::child`] can be stopped alone, and is stopped with its parent.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    /// Our own counter and those of all parents: a parent is drained when its children are.
    counters: Arc<[Arc<Counter>]>,
}

#[derive(Debug, Default)]
struct Counter {
    held: Mutex<BTreeMap<&'static str, usize>>,
    changed: Notify,
}

/// Work that must end before the process does. Drop it when it has.
#[derive(Debug)]
#[must_use = "shutdown waits only while the guard lives"]
pub struct Guard {
    name: &'static str,
    counters: Arc<[Arc<Counter>]>,
}

/// The deadline passed while some were still at work.
#[derive(Debug, thiserror::Error)]
#[error("still running {}", .still_running.join(", "))]
pub struct NotDrained {
    /// Names of the guards that were not dropped.
    pub still_running: Vec<String>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A shutdown that only [`Shutdown::trigger`] starts; for tests, and for services inside a process.
    pub fn new() -> Self {
        Self { token: CancellationToken::new(), counters: Arc::new([Arc::default()]) }
    }

    /// A shutdown that the first SIGINT or SIGTERM starts; the second one ends the process at once with the
    /// code a shell gives to that signal.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let shutdown = Self::new();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                let mut signals = 0_u32;
                loop {
                    let code = tokio::select! {
                        _ = interrupt.recv() => 130,
                        _ = terminate.recv() => 143,
                    };
                    signals += 1;
                    if signals > 1 {
                        tracing::warn!("second signal: stopping at once");
                        std::process::exit(code);
                    }
                    tracing::info!("signal received: draining");
                    shutdown.trigger();
                }
            }
        });
        Ok(shutdown)
    }

    /// A part that can be stopped alone.
    pub fn child(&self) -> Self {
        let mut counters = vec![Arc::default()];
        counters.extend(self.counters.iter().cloned());
        Self { token: self.token.child_token(), counters: counters.into() }
    }

    /// Tells everybody to stop. Calling it again changes nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is triggered. Cancel-safe.
    pub async fn triggered(&self) {
        self.token.cancelled().await;
    }

    /// The same for whoever needs an owned, `'static` future (servers).
    pub fn triggered_owned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.token.clone().cancelled_owned()
    }

    /// The token, for libraries that take one.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Counts a piece of work that must end before the process does.
    pub fn guard(&self, name: &'static str) -> Guard {
        for counter in self.counters.iter() {
            *counter
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(name)
                .or_default() += 1;
        }
        Guard { name, counters: self.counters.clone() }
    }

    /// Spawns a task with a guard of its own. It must watch [`Shutdown::triggered`] by itself.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guard = self.guard(name);
        tokio::spawn(async move {
            let output = task.await;
            drop(guard);
            output
        })
    }

    /// Waits until every guard is dropped, at most for `deadline`.
    pub async fn drained(&self, deadline: Duration) -> Result<(), NotDrained> {
        let Some(own) = self.counters.first() else { return Ok(()) };
        let all_dropped = async {
            loop {
                let notified = own.changed.notified();
                tokio::pin!(notified);
                // Registered before the look, so that a drop in between is not missed.
                notified.as_mut().enable();
                if own.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return;
                }
                notified.await;
            }
        };
        match tokio::time::timeout(deadline, all_dropped).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let held = own.held.lock().unwrap_or_else(PoisonError::into_inner);
                Err(NotDrained {
                    still_running: held
                        .iter()
                        .map(|(name, count)| format!("{name} ×{count}"))
                        .collect(),
                })
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for counter in self.counters.iter() {
            let mut held = counter.held.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = held.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    held.remove(self.name);
                }
            }
            drop(held);
            counter.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that draining waits for the work and not for a time, and names who is late.
    #[tokio::test]
    async fn draining_waits_for_guards_and_names_the_late_ones() {
        let shutdown = Shutdown::new();
        let guard = shutdown.guard("prover");
        let late = shutdown.drained(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(late.to_string(), "still running prover ×1");
        let worker = tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                shutdown.triggered().await;
                drop(guard);
            }
        });
        shutdown.trigger();
        shutdown.drained(Duration::from_secs(5)).await.unwrap();
        worker.await.unwrap();
    }

    /// Pins down that a child stops alone, stops with its parent, and that the parent waits for its work.
    #[tokio::test]
    async fn a_child_stops_alone_and_holds_its_parent() {
        let parent = Shutdown::new();
        let child = parent.child();
        let other = parent.child();
        child.trigger();
        assert!(child.is_triggered() && !parent.is_triggered() && !other.is_triggered());
        let guard = other.guard("stream");
        child.drained(Duration::from_secs(1)).await.unwrap();
        assert!(parent.drained(Duration::from_millis(10)).await.is_err());
        parent.trigger();
        assert!(other.is_triggered());
        drop(guard);
        parent.drained(Duration::from_secs(1)).await.unwrap();
    }
}
