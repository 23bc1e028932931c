//! The one background loop: an event wakes an idempotent function that reads full state; a timer covers the
//! event that was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::failure::error_chain;
use crate::{RetryPolicy, Shutdown};

/// What a pass left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing to do until the next event or the timer.
    Done,
    /// The pass stopped at its bound; there is more to do now.
    More,
}

/// Wakes a reconciler. Many wakes before a pass begins are one.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// A waker to be shared between the reconciler and those who wake it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a pass soon. Never lost: a wake during a pass leads to another one.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for a wake.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// A background loop.
#[derive(Clone, Debug)]
pub struct Reconciler {
    /// For logs, metrics and the shutdown guard.
    pub name: &'static str,
    /// The longest time between two passes.
    pub period: Duration,
    /// Waits after failed passes. `max_attempts` does not apply: full state is read anew each time.
    pub backoff: RetryPolicy,
}

impl Reconciler {
    /// A loop with the default back-off.
    pub fn new(name: &'static str, period: Duration) -> Self {
        Self { name, period, backoff: RetryPolicy::default() }
    }

    /// Runs `pass` at once, on every wake, and each `period`, until shutdown. A pass that runs is not cut off.
    pub fn spawn<F, Fut, E>(self, shutdown: &Shutdown, waker: Waker, mut pass: F) -> JoinHandle<()>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Pass, E>> + Send,
        E: std::error::Error + Send + 'static,
    {
        let stop = shutdown.clone();
        shutdown.spawn(self.name, async move {
            let mut failures = 0_u32;
            while !stop.is_triggered() {
                let outcome = pass().await;
                let wait = match outcome {
                    Ok(Pass::More) => {
                        failures = 0;
                        metrics::counter!("reconciler_passes_total", "name" => self.name, "outcome" => "more")
                            .increment(1);
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Ok(Pass::Done) => {
                        failures = 0;
                        metrics::counter!("reconciler_passes_total", "name" => self.name, "outcome" => "done")
                            .increment(1);
                        self.period
                    }
                    Err(error) => {
                        failures = failures.saturating_add(1);
                        metrics::counter!("reconciler_passes_total", "name" => self.name, "outcome" => "failed")
                            .increment(1);
                        let delay = self.backoff.delay(failures);
                        tracing::warn!(
                            reconciler = self.name,
                            failures,
                            delay_ms = delay.as_millis(),
                            error = %error_chain(&error),
                            "pass failed"
                        );
                        delay
                    }
                };
                // After a failure an event must not shorten the back-off, or a flood of events would undo it.
                let failed = failures > 0;
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = waker.woken(), if !failed => {}
                    () = stop.triggered() => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn until(what: &str, mut condition: impl FnMut() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not in time: {what}");
    }

    /// Pins down that a wake leads to a pass, also one that comes while a pass runs.
    #[tokio::test]
    async fn a_wake_is_never_lost() {
        let (shutdown, waker, passes) =
            (Shutdown::new(), Waker::new(), Arc::new(AtomicU32::new(0)));
        let inside = waker.clone();
        let count = passes.clone();
        let task = Reconciler::new("test", Duration::from_secs(3600)).spawn(
            &shutdown,
            waker.clone(),
            move || {
                let (inside, count) = (inside.clone(), count.clone());
                async move {
                    if count.fetch_add(1, Ordering::SeqCst) == 0 {
                        inside.wake();
                    }
                    Ok::<_, std::io::Error>(Pass::Done)
                }
            },
        );
        until("the wake from inside the first pass", || passes.load(Ordering::SeqCst) == 2).await;
        waker.wake();
        until("the wake from outside", || passes.load(Ordering::SeqCst) == 3).await;
        shutdown.trigger();
        task.await.unwrap();
        shutdown.drained(Duration::from_secs(1)).await.unwrap();
    }

    /// Pins down that the timer covers a lost event, and that failures are followed by another pass.
    #[tokio::test]
    async fn the_timer_and_the_backoff_lead_to_further_passes() {
        let (shutdown, passes) = (Shutdown::new(), Arc::new(AtomicU32::new(0)));
        let count = passes.clone();
        let reconciler = Reconciler {
            name: "test",
            period: Duration::from_millis(5),
            backoff: RetryPolicy { initial_ms: 1, factor: 1.0, max_ms: 1, max_attempts: 1 },
        };
        reconciler.spawn(&shutdown, Waker::new(), move || {
            let count = count.clone();
            async move {
                if count.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
                    Err(std::io::Error::other("down"))
                } else {
                    Ok(Pass::Done)
                }
            }
        });
        until("four passes", || passes.load(Ordering::SeqCst) >= 4).await;
        shutdown.trigger();
        shutdown.drained(Duration::from_secs(1)).await.unwrap();
    }
}
