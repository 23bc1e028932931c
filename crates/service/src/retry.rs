//! The one retry policy.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::config::Problems;
use crate::{Classified, Shutdown};

/// Exponential back-off with full jitter: the wait before try *n* is drawn from half of
/// `initial · factorⁿ` to all of it, and never above `max_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// The first wait.
    pub initial_ms: u64,
    /// Each wait is so many times the one before.
    pub factor: f64,
    /// No wait is longer.
    pub max_ms: u64,
    /// Tries in all, the first one included.
    pub max_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { initial_ms: 100, factor: 2.0, max_ms: 10_000, max_attempts: 8 }
    }
}

impl RetryPolicy {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        problems.in_range(section, "initial_ms", self.initial_ms, 1..=3_600_000);
        problems.in_range(section, "max_ms", self.max_ms, self.initial_ms..=86_400_000);
        problems.in_range(section, "max_attempts", u64::from(self.max_attempts), 1..=1_000_000);
        if !(1.0..=10.0).contains(&self.factor) {
            problems.add(section, "factor", "must be between 1 and 10");
        }
    }

    /// The wait after `failures` failures in a row (1 for the first).
    pub fn delay(&self, failures: u32) -> Duration {
        let longest = self.delay_without_jitter(failures);
        longest.mul_f64(rand::thread_rng().gen_range(0.5..=1.0))
    }

    fn delay_without_jitter(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1).min(64)).unwrap_or(64);
        let max = Duration::from_millis(self.max_ms);
        let wait =
            Duration::from_millis(self.initial_ms).as_secs_f64() * self.factor.powi(exponent);
        if wait >= max.as_secs_f64() { max } else { Duration::from_secs_f64(wait.max(0.0)) }
    }

    /// Calls `operation` until it succeeds, fails with what is not worth trying again, has used up the tries, or
    /// shutdown begins. The last error is returned.
    pub async fn run<T, E, F, Fut>(
        &self,
        name: &str,
        shutdown: &Shutdown,
        mut operation: F,
    ) -> Result<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Classified,
    {
        let mut failures = 0_u32;
        loop {
            let error = match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            if !error.class().is_retryable() || failures >= self.max_attempts {
                return Err(error);
            }
            let delay = self.delay(failures);
            tracing::warn!(operation = name, failures, delay_ms = delay.as_millis(), error = %error, "trying again");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = shutdown.triggered() => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tonic::Status;

    use super::*;

    fn quick() -> RetryPolicy {
        RetryPolicy { initial_ms: 1, factor: 2.0, max_ms: 5, max_attempts: 4 }
    }

    /// Pins down growth, bound and jitter of the waits.
    #[test]
    fn waits_grow_to_the_bound_and_are_spread() {
        let policy = RetryPolicy { initial_ms: 100, factor: 2.0, max_ms: 1_000, max_attempts: 3 };
        for (failures, longest_ms) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (1_000_000, 1_000)]
        {
            let longest = Duration::from_millis(longest_ms);
            assert_eq!(policy.delay_without_jitter(failures), longest);
            for _ in 0..50 {
                let delay = policy.delay(failures);
                assert!(delay <= longest && delay >= longest / 2, "{delay:?}");
            }
        }
    }

    /// Pins down that tries are bounded, and that what cannot succeed is tried once.
    #[tokio::test]
    async fn tries_are_bounded_and_final_errors_are_final() {
        for (error, expected) in [(Status::unavailable(""), 4), (Status::invalid_argument(""), 1)] {
            let calls = AtomicU32::new(0);
            let result: Result<(), Status> = quick()
                .run("test", &Shutdown::new(), || async {
                    calls.fetch_add(1, Ordering::SeqCst);
                    Err(error.clone())
                })
                .await;
            assert!(result.is_err());
            assert_eq!(calls.load(Ordering::SeqCst), expected);
        }
    }

    /// Pins down that a shutdown does not wait for a back-off.
    #[tokio::test]
    async fn shutdown_ends_the_waiting() {
        let shutdown = Shutdown::new();
        shutdown.trigger();
        let slow =
            RetryPolicy { initial_ms: 3_600_000, factor: 1.0, max_ms: 3_600_000, max_attempts: 9 };
        let result: Result<(), Status> =
            slow.run("test", &shutdown, || async { Err(Status::unavailable("")) }).await;
        assert!(result.is_err());
    }
}
