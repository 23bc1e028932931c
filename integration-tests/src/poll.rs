//! Waiting for a state, with a bound.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// What a look at the state found.
pub enum Seen<T, S> {
    /// What was waited for.
    Done(T),
    /// Something else; the failure shows the last of these.
    NotYet(S),
}

/// Looks at a state until it is what is waited for, or `limit` has passed. An error of the look itself counts as a
/// state: servers that restart refuse connections for a while.
pub async fn until<T, S, F, Fut>(what: &str, limit: Duration, mut look: F) -> anyhow::Result<T>
where
    S: Debug,
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Seen<T, S>>>,
{
    let started = Instant::now();
    loop {
        let last = match look().await {
            Ok(Seen::Done(value)) => return Ok(value),
            Ok(Seen::NotYet(state)) => format!("{state:?}"),
            Err(error) => format!("error: {error:#}"),
        };
        if started.elapsed() > limit {
            anyhow::bail!("{what}: not within {} s; seen last: {last}", limit.as_secs());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a wait ends, and that its failure shows the last state.
    #[tokio::test]
    async fn a_wait_in_vain_shows_what_was_seen_last() {
        let mut looks = 0;
        let error = until("counting", Duration::from_millis(300), || {
            looks += 1;
            let state = format!("look {looks}");
            async move { anyhow::Ok(Seen::<(), _>::NotYet(state)) }
        })
        .await
        .unwrap_err();
        assert!(error.to_string().contains("counting"), "{error}");
        assert!(error.to_string().contains("look "), "{error}");
    }

    /// Pins down that an error of the look is waited out.
    #[tokio::test]
    async fn an_error_is_a_state() {
        let mut looks = 0;
        let value = until("answering", Duration::from_secs(5), || {
            looks += 1;
            let look = looks;
            async move {
                anyhow::ensure!(look > 2, "refused");
                Ok(Seen::<_, ()>::Done(look))
            }
        })
        .await
        .unwrap();
        assert_eq!(value, 3);
    }
}
