//! Which blocks are aggregated together, and which steps can be made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sidereal_aggregation::{Blocks, Step, StepInput};
use sidereal_bus::{Bus, BusError, Enqueued, Headers, NewJob};
use sidereal_os_aggregator::{AggregatorLoad, MAX_BLOBS};
use sidereal_proto::AGGREGATION_QUEUE;
use sidereal_proto::events::{self, proof_job};
use sidereal_service::{Pass, Reconciler, Shutdown, Waker};
use sidereal_starknet_os::BLOB_LENGTH;

use crate::index::{IndexError, ProofIndex, StoredBatch, StoredProof};
use crate::intake::now_s;
use crate::watch::Watch;

/// Batches whose steps are planned at the same time: later ones wait, so that the first ones are settled first.
const OPEN_BATCHES: u32 = 4;
/// Felts of messages to L1 in a batch: some 800 are what a transaction of Ethereum has gas for, besides the proof. A block
/// holds no more (`BlockLimits::message_segment_length`).
const MAX_MESSAGE_FELTS: u64 = 800;
/// The first block that is proven.
pub(crate) const FIRST_BLOCK: u64 = 1;

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Fewer blocks are not aggregated, unless the next one does not fit beside them.
    pub min_blocks: u64,
    /// More blocks are not aggregated together.
    pub max_blocks: u64,
    /// Blobs that the data of a batch may fill.
    pub max_blobs: u64,
    /// Enough blocks wait this long, from when the first one's proof was stored, for more.
    pub max_wait: Duration,
}

impl Policy {
    /// How many of these blocks, which follow each other, make a batch now; 0: none.
    fn batch(&self, proofs: &[StoredProof], now_s: u64) -> usize {
        let Some(first) = proofs.first() else { return 0 };
        let max_felts = BLOB_LENGTH as u64 * self.max_blobs.min(MAX_BLOBS as u64);
        let mut load = AggregatorLoad::base();
        let mut felts = 0_u64;
        let mut message_felts = 0_u64;
        let mut count = 0;
        for proof in proofs {
            let block = &proof.aggregation;
            load += AggregatorLoad { values: block.values, blake: block.blake };
            felts = felts.saturating_add(block.data_felts);
            message_felts = message_felts.saturating_add(block.message_felts);
            let fits = load.fits()
                && felts <= max_felts
                && message_felts <= MAX_MESSAGE_FELTS
                && (count as u64) < self.max_blocks;
            if !fits {
                // A block that fits into no batch is aggregated alone: its step fails, and says why.
                return count.max(1);
            }
            count += 1;
        }
        let waited = now_s.saturating_sub(first.stored_at) >= self.max_wait.as_secs();
        let enough = count as u64 >= self.max_blocks || (count as u64 >= self.min_blocks && waited);
        if enough { count } else { 0 }
    }
}

/// A pass failed; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum AggregationPlannerError {
    #[error("reading or writing what is aggregated failed")]
    Index(#[source] IndexError),
    #[error("planning step {step} failed")]
    Enqueue {
        step: Step,
        #[source]
        source: BusError,
    },
}

/// Plans batches and steps.
pub struct AggregationPlanner {
    pub index: ProofIndex,
    pub bus: Arc<dyn Bus>,
    /// Told of the jobs that were planned.
    pub watch: Arc<Watch>,
    pub policy: Policy,
}

impl AggregationPlanner {
    /// Closes at most one batch, and plans what can be made of those that are open.
    pub async fn pass(&self) -> Result<Pass, AggregationPlannerError> {
        let failed = AggregationPlannerError::Index;
        let planned = self.plan_batch().await.map_err(failed)?;
        for batch in self.index.open_batches(OPEN_BATCHES).await.map_err(failed)? {
            self.plan_steps(batch.blocks).await?;
        }
        Ok(if planned { Pass::More } else { Pass::Done })
    }

    async fn plan_batch(&self) -> Result<bool, IndexError> {
        let last = self.index.last_batch().await?;
        let first = last.map_or(FIRST_BLOCK, |batch| batch.blocks.last + 1);
        // One more than a batch holds, so that a full one is seen.
        let limit = u32::try_from(self.policy.max_blocks.saturating_add(1)).unwrap_or(u32::MAX);
        let mut proofs = self.index.from(first, limit).await?;
        let proven =
            proofs.iter().zip(first..).take_while(|(proof, number)| proof.block_number == *number);
        let proven = proven.count();
        proofs.truncate(proven);
        let count = self.policy.batch(&proofs, now_s());
        let Some(last) = count.checked_sub(1).map(|offset| proofs[offset].block_number) else {
            return Ok(false);
        };
        let Some(blocks) = Blocks::new(first, last) else { return Ok(false) };
        self.index.insert_batch(&StoredBatch { blocks, planned_at: now_s() }).await?;
        tracing::info!(first, last, "blocks are aggregated");
        Ok(true)
    }

    async fn plan_steps(&self, blocks: Blocks) -> Result<(), AggregationPlannerError> {
        let failed = AggregationPlannerError::Index;
        let stored = self.index.steps(blocks).await.map_err(failed)?;
        let steps: HashMap<Step, String> =
            stored.into_iter().map(|stored| (stored.step, stored.key)).collect();
        let limit = u32::try_from(blocks.count()).unwrap_or(u32::MAX);
        let proofs = self.index.from(blocks.first, limit).await.map_err(failed)?;
        let proofs: HashMap<u64, String> =
            proofs.into_iter().map(|proof| (proof.block_number, proof.key)).collect();
        for step in Step::all(blocks) {
            if steps.contains_key(&step) {
                continue;
            }
            let inputs = step.inputs().into_iter().map(|input| match input {
                StepInput::Block(number) => proofs.get(&number).cloned(),
                StepInput::Step(step) => steps.get(&step).cloned(),
            });
            if let Some(inputs) = inputs.collect::<Option<Vec<String>>>() {
                self.plan(step, inputs).await?;
            }
        }
        Ok(())
    }

    async fn plan(&self, step: Step, inputs: Vec<String>) -> Result<(), AggregationPlannerError> {
        let work = events::AggregateStep { step: step.to_string(), inputs };
        let payload = events::ProofJob { work: Some(proof_job::Work::Step(work)) };
        let job = NewJob {
            queue: AGGREGATION_QUEUE.to_owned(),
            job_id: step.to_string(),
            payload: payload.encode_to_vec().into(),
            // Over many blocks, so of no block's trace.
            headers: Headers::new(),
        };
        let enqueued = self.bus.enqueue(job).await;
        let enqueued =
            enqueued.map_err(|source| AggregationPlannerError::Enqueue { step, source })?;
        if enqueued == Enqueued::Added {
            tracing::info!(%step, "step planned");
            self.watch.wake();
        }
        Ok(())
    }

    /// Starts the reconciler.
    pub fn start(self: Arc<Self>, period: Duration, waker: Waker, shutdown: &Shutdown) {
        Reconciler::new("aggregation planner", period).spawn(shutdown, waker, move || {
            let planner = Arc::clone(&self);
            async move { planner.pass().await }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sidereal_bus::{BusConfig, JobFilter, JobState, Lease};
    use starknet_types_core::felt::Felt;

    use super::*;
    use crate::config::DatabaseConfig;
    use crate::index::{AggregatedBlock, StoredStep};

    fn proofs(count: u64, data_felts: u64) -> Vec<StoredProof> {
        (1..=count)
            .map(|block_number| StoredProof {
                block_number,
                block_hash: Felt::from(block_number),
                digest: String::new(),
                size_bytes: 1,
                key: String::new(),
                stored_at: 100 + block_number,
                worker: String::new(),
                cairo_steps: 1,
                total_ms: 1,
                prove_ms: 1,
                peak_memory_bytes: 1,
                aggregation: AggregatedBlock {
                    claim: Felt::ONE,
                    values: 220 + 78 * data_felts,
                    blake: 10,
                    data_felts,
                    message_felts: 0,
                },
            })
            .collect()
    }

    /// Pins down when a batch is closed: when it is full in any respect, or when enough blocks waited long enough.
    #[test]
    fn batches_by_policy() {
        let policy = Policy {
            min_blocks: 2,
            max_blocks: 8,
            max_blobs: 2,
            max_wait: Duration::from_secs(30),
        };
        let batch = |count, data_felts, now| policy.batch(&proofs(count, data_felts), now);
        assert_eq!(batch(0, 10, 1_000), 0);
        assert_eq!(batch(1, 10, 1_000), 0, "too few, however long they wait");
        assert_eq!(batch(5, 10, 130), 0, "the first one has waited 29 s");
        assert_eq!(batch(5, 10, 131), 5);
        assert_eq!(batch(8, 10, 0), 8, "full");
        assert_eq!(batch(9, 10, 0), 8);
        assert_eq!(batch(9, 3_000, 0), 2, "3,000 felts each, and 8,192 in two blobs");
        assert_eq!(batch(2, 9_000, 0), 1, "fits into no batch");
        let mut talkative = proofs(9, 10);
        talkative.iter_mut().for_each(|proof| proof.aggregation.message_felts = 300);
        assert_eq!(policy.batch(&talkative, 0), 2, "800 felts of messages are settled at once");
        let wide = Policy { max_blobs: 6, ..policy };
        assert_eq!(wide.batch(&proofs(9, 3_000), 0), 4, "13,400 felts fill a proof");
    }

    /// Pins down that a step is planned once what it takes is there, and never again when it is done; and that one which
    /// failed for good holds back only what takes it, and is repeated alone.
    #[tokio::test]
    async fn only_the_step_that_failed_is_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let url = format!("sqlite://{}", file("proofs.db"));
        let index = ProofIndex::open(&DatabaseConfig { url, connections: 2 }).await.unwrap();
        let url = format!("sqlite:{}", file("bus.db"));
        let bus = sidereal_bus::open(&BusConfig { url, ..BusConfig::default() }).await.unwrap();
        for proof in proofs(2, 10) {
            let key = format!("proofs/{}", proof.block_number);
            index.insert(&StoredProof { key, ..proof }).await.unwrap();
        }
        let planner = AggregationPlanner {
            index: index.clone(),
            bus: bus.clone(),
            watch: Arc::new(Watch::new(bus.clone(), index.clone())),
            policy: Policy { min_blocks: 2, max_blocks: 2, max_blobs: 1, max_wait: Duration::ZERO },
        };
        let waiting = async || {
            planner.pass().await.unwrap();
            let jobs = bus.list(AGGREGATION_QUEUE, JobFilter::default()).await.unwrap();
            let jobs = jobs.into_iter().filter(|job| matches!(job.state, JobState::Waiting { .. }));
            jobs.map(|job| job.job_id).collect::<BTreeSet<_>>()
        };
        let take = async || {
            let pulled = bus.pull(AGGREGATION_QUEUE, Duration::from_secs(5)).await.unwrap();
            let lease = pulled.unwrap();
            let step: Step = lease.job().job_id.parse().unwrap();
            (step, lease)
        };
        let finish = async |step: Step, lease: Lease| {
            assert!(index.insert_step(&StoredStep::done(step, "")).await.unwrap());
            lease.ack().await.unwrap();
        };
        let names = |steps: &[Step]| steps.iter().map(Step::to_string).collect::<BTreeSet<_>>();

        let both = Blocks::new(1, 2).unwrap();
        let leaves = [Step::Program(both), Step::Wrap(1), Step::Wrap(2)];
        assert_eq!(waiting().await, names(&leaves));
        assert_eq!(waiting().await, names(&leaves), "a second look plans nothing new");
        for _ in leaves {
            let (step, lease) = take().await;
            if step == Step::Wrap(2) {
                lease.fail("out of memory").await.unwrap();
            } else {
                finish(step, lease).await;
            }
        }
        assert_eq!(waiting().await, names(&[Step::WrapProgram(both)]), "it does not take wrap-2");
        let (step, lease) = take().await;
        finish(step, lease).await;
        assert!(waiting().await.is_empty(), "everything else takes wrap-2");

        bus.requeue(AGGREGATION_QUEUE, &Step::Wrap(2).to_string()).await.unwrap();
        let rest = [
            Step::Wrap(2),
            Step::Merge(both),
            Step::Top(both),
            Step::Shrink(both),
            Step::Compact(both),
            Step::Last(both),
        ];
        for expected in rest {
            assert_eq!(waiting().await, names(&[expected]));
            let (step, lease) = take().await;
            finish(step, lease).await;
        }
        assert!(waiting().await.is_empty());
        assert_eq!(index.open_batches(OPEN_BATCHES).await.unwrap(), []);
    }
}
