//! The last words of a load run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What became of a load run.
#[derive(Clone, Debug)]
pub struct Summary {
    pub planned: u64,
    pub sent: u64,
    pub refused: u64,
    pub reasons: BTreeMap<String, u64>,
    pub succeeded: u64,
    pub reverted: u64,
    /// Transactions that were seen in more than one block: must be zero.
    pub duplicates: u64,
    pub blocks: u64,
    pub elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Summary {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        planned: u64,
        sent: u64,
        refused: u64,
        reasons: BTreeMap<String, u64>,
        succeeded: u64,
        reverted: u64,
        duplicates: u64,
        blocks: u64,
        elapsed: Duration,
        mut latencies: Vec<Duration>,
    ) -> Self {
        latencies.sort_unstable();
        Self {
            planned,
            sent,
            refused,
            reasons,
            succeeded,
            reverted,
            duplicates,
            blocks,
            elapsed,
            latencies,
        }
    }

    /// Transactions that were acknowledged and are in no block that was read.
    pub fn missing(&self) -> u64 {
        self.sent - (self.succeeded + self.reverted)
    }

    /// Whether each acknowledged transaction was executed exactly once, and none failed.
    pub fn is_clean(&self) -> bool {
        self.missing() == 0 && self.duplicates == 0 && self.refused == 0 && self.reverted == 0
    }

    /// The latency below which `percent` of the transactions stayed, from sending to a closed block.
    fn latency(&self, percent: usize) -> Duration {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().max(1) - 1);
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let executed = self.succeeded + self.reverted;
        writeln!(f, "sent          {} of {} ({} refused)", self.sent, self.planned, self.refused)?;
        for (reason, count) in &self.reasons {
            writeln!(f, "  refused     {count} x {reason}")?;
        }
        writeln!(
            f,
            "executed      {executed} in {} blocks ({} reverted)",
            self.blocks, self.reverted
        )?;
        writeln!(f, "missing       {}", self.missing())?;
        writeln!(
            f,
            "rate          {:.1} transactions/s over {seconds:.1} s",
            executed as f64 / seconds.max(0.001)
        )?;
        write!(
            f,
            "to a block    median {:.2} s, 95 % within {:.2} s",
            self.latency(50).as_secs_f64(),
            self.latency(95).as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(sent: u64, succeeded: u64, latencies: &[u64]) -> Summary {
        Summary::new(
            sent,
            sent,
            0,
            BTreeMap::new(),
            succeeded,
            0,
            0,
            1,
            Duration::from_secs(2),
            latencies.iter().map(|s| Duration::from_secs(*s)).collect(),
        )
    }

    #[test]
    fn a_lost_transaction_is_not_clean() {
        assert!(summary(3, 3, &[1, 2, 3]).is_clean());
        assert!(!summary(3, 2, &[1, 2]).is_clean());
        assert_eq!(summary(3, 2, &[]).missing(), 1);
    }

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let summary = summary(4, 4, &[4, 1, 3, 2]);
        assert_eq!(summary.latency(50), Duration::from_secs(3));
        assert_eq!(summary.latency(95), Duration::from_secs(4));
        assert_eq!(super::tests::summary(1, 0, &[]).latency(50), Duration::ZERO);
    }
}
