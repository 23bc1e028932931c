//! How many proofs are verified at the same time.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Bounds the verifications that run at the same time. Clones share the bound.
#[derive(Clone, Debug)]
pub struct Verifications {
    running: Arc<Semaphore>,
}

impl Verifications {
    pub fn new(at_once: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)) }
    }

    /// Runs one when it may begin, on a thread for blocking work. Fails when it panics, or when the runtime ends.
    pub async fn run<T, V>(&self, verification: V) -> Result<T, JoinError>
    where
        T: Send + 'static,
        V: FnOnce() -> T + Send + 'static,
    {
        // No permit would be a closed semaphore: nobody closes it.
        let permit = Arc::clone(&self.running).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            // A thread goes on when its caller has gone, so it is the thread that holds the permit.
            let _permit = permit;
            verification()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    /// Pins down that who hangs up in the middle of a verification makes no room for another one.
    #[tokio::test]
    async fn a_verification_that_nobody_waits_for_counts_until_it_ends() {
        let verifications = Verifications::new(1);
        let (begun, begins) = oneshot::channel();
        let (end, ends) = mpsc::channel();
        let caller = tokio::spawn({
            let verifications = verifications.clone();
            let verification = move || {
                begun.send(()).unwrap();
                ends.recv().unwrap()
            };
            async move { verifications.run(verification).await }
        });
        begins.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert_eq!(verifications.running.available_permits(), 0);
        end.send(()).unwrap();
        assert_eq!(verifications.run(|| 7).await.unwrap(), 7);
        assert_eq!(verifications.running.available_permits(), 1);
    }
}
